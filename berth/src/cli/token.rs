//! `berth token …`.

use super::parse::duration;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// `berth token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token; its secret is shown once
    Create(CreateToken),
    /// List tokens
    #[command(after_help = "EXAMPLES\n  berth token ls")]
    Ls,
    /// Make a token open nothing any more
    #[command(after_help = "EXAMPLES\n  berth token revoke 0198c1f2-7c4e-7e0a-9d52-5f0e8f0f3a11")]
    Revoke {
        /// Id, as `berth token ls` shows it
        id: String,
    },
}

/// `berth token create`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth token create --join --cluster main --ttl 1h --max-uses 3
  berth token create --scope read --label dashboards --ttl 30d
  TOKEN=$(berth token create --join --quiet)")]
pub struct CreateToken {
    /// A join token: makes servers nodes of the cluster (the default without --scope)
    #[arg(long, conflicts_with = "scopes")]
    pub join: bool,
    /// An API token that may do this; may be given several times
    #[arg(long = "scope", value_enum, value_name = "SCOPE")]
    pub scopes: Vec<ScopeArg>,
    /// How long it is good [default for join tokens: 1h; for API tokens: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub ttl: Option<Duration>,
    /// How many servers may join with it; 0: no limit
    #[arg(long, default_value_t = 1, value_name = "N", conflicts_with = "scopes")]
    pub max_uses: u32,
    /// A word for people
    #[arg(long, default_value = "")]
    pub label: String,
    /// Print the token and nothing else
    #[arg(short, long)]
    pub quiet: bool,
}

/// What an API token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// Everything, tokens included
    Admin,
    /// See everything but secrets
    Read,
    /// Deploy and change applications
    Deploy,
    /// Clusters and nodes
    Nodes,
}

impl From<ScopeArg> for berth_events::Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Admin => Self::Admin,
            ScopeArg::Read => Self::Read,
            ScopeArg::Deploy => Self::Deploy,
            ScopeArg::Nodes => Self::Nodes,
        }
    }
}
