//! `berth cluster …`.

use super::parse::quota;
use berth_events::Quota;
use clap::{Args, Subcommand, ValueEnum};

/// `berth cluster …`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make a cluster
    Create(CreateCluster),
    /// List clusters
    #[command(after_help = "EXAMPLES\n  berth cluster ls\n  berth cluster ls -o yaml")]
    Ls,
    /// Show a cluster
    #[command(after_help = "EXAMPLES\n  berth cluster show main")]
    Show {
        /// Name or id
        name: String,
    },
    /// Give a cluster another name
    #[command(after_help = "EXAMPLES\n  berth cluster rename main production")]
    Rename {
        /// Name or id
        name: String,
        /// New name
        new_name: String,
    },
    /// Change security policy or placement strategy
    Set(SetCluster),
    /// Delete a cluster; refused while it has applications or nodes unless forced
    #[command(after_help = "EXAMPLES\n  berth cluster rm staging\n  berth cluster rm staging --force")]
    Rm {
        /// Name or id
        name: String,
        /// Remove its applications and nodes with it
        #[arg(long)]
        force: bool,
    },
}

/// `berth cluster create`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth cluster create main
  berth cluster create shop --region eu-1 --zone a --zone b --policy restricted --strategy binpack")]
pub struct CreateCluster {
    /// Name, unique on the platform
    pub name: String,
    /// Region name
    #[arg(long, default_value = "default")]
    pub region: String,
    /// Zone name; may be given several times. None: any zone that a node brings
    #[arg(long = "zone", value_name = "ZONE")]
    pub zones: Vec<String>,
    /// What deploys may ask of nodes
    #[arg(long, value_enum, default_value_t)]
    pub policy: PolicyArg,
    /// How nodes are preferred unless a service says otherwise
    #[arg(long, value_enum, default_value_t)]
    pub strategy: StrategyArg,
}

/// `berth cluster set`.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("setting").required(true).multiple(true),
    after_help = "EXAMPLES
  berth cluster set main --policy open
  berth cluster set main --strategy binpack
  berth cluster set main --quota cpu=64,memory=256GiB --app-quota containers=50
  berth cluster set main --app-quota none"
)]
pub struct SetCluster {
    /// Name or id
    pub name: String,
    /// What deploys may ask of nodes
    #[arg(long, value_enum, group = "setting")]
    pub policy: Option<PolicyArg>,
    /// How nodes are preferred
    #[arg(long, value_enum, group = "setting")]
    pub strategy: Option<StrategyArg>,
    /// What all applications together may reserve: cpu=CORES,memory=SIZE,containers=N (what is left out has no
    /// limit), or `none`
    #[arg(long, value_name = "QUOTA", value_parser = quota, group = "setting")]
    pub quota: Option<Quota>,
    /// What each application may reserve
    #[arg(long, value_name = "QUOTA", value_parser = quota, group = "setting")]
    pub app_quota: Option<Quota>,
}

/// Security policy of a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    /// No host path, no added capability
    Restricted,
    /// No privileged container, host namespace, engine socket or system path
    #[default]
    Baseline,
    /// Everything
    Open,
}

/// Placement strategy of a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StrategyArg {
    /// The emptiest node first
    #[default]
    Spread,
    /// The fullest node that still has room first
    Binpack,
}

impl From<PolicyArg> for berth_events::SecurityPolicy {
    fn from(policy: PolicyArg) -> Self {
        match policy {
            PolicyArg::Restricted => Self::Restricted,
            PolicyArg::Baseline => Self::Baseline,
            PolicyArg::Open => Self::Open,
        }
    }
}

impl From<StrategyArg> for berth_events::spec::Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::Spread => Self::Spread,
            StrategyArg::Binpack => Self::Binpack,
        }
    }
}
