//! Commands about releases.

use super::{
    DryRun, Wait,
    parse::{duration, weight},
};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// How a deploy goes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Method {
    /// Container by container, as each service's `deploy.update_config` says
    #[default]
    Rolling,
    /// All containers of a changed service at once, with a short outage
    Standard,
    /// New services beside the old ones until `berth release confirm` or `berth rollback`
    BlueGreen,
}

impl From<Method> for berth_events::DeployMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Rolling => Self::Rolling,
            Method::Standard => Self::Standard,
            Method::BlueGreen => Self::BlueGreen,
        }
    }
}

/// `berth release …`.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// List the releases of an application
    #[command(after_help = "EXAMPLES\n  berth release ls shop\n  berth release ls shop -o json")]
    Ls(ReleaseOf),
    /// Show a release: what differs from the one before, and what happened to it
    #[command(after_help = "EXAMPLES\n  berth release show shop\n  berth release show shop 3")]
    Show(ShowRelease),
    /// Watch the release that is going live until its end
    #[command(after_help = "EXAMPLES\n  berth release watch shop\n  berth release watch shop --timeout 10m")]
    Watch(WatchRelease),
    /// Replace nothing more until it is resumed
    #[command(after_help = "EXAMPLES\n  berth release pause shop")]
    Pause(ReleaseOf),
    /// Go on with a paused release; failures before do not count any more
    #[command(after_help = "EXAMPLES\n  berth release resume shop")]
    Resume(ReleaseOf),
    /// Take back the release that is going live
    #[command(after_help = "EXAMPLES\n  berth release abort shop --wait")]
    Abort(AbortRelease),
    /// Let the old services of a blue-green release go
    #[command(
        after_help = "EXAMPLES\n  berth release confirm shop\n  berth release confirm shop --force --wait"
    )]
    Confirm(ConfirmRelease),
    /// Share traffic between services: 0 (none) to 100
    #[command(after_help = "EXAMPLES\n  berth release weight shop web=50 web-2=50")]
    Weight(Weigh),
}

/// An application whose release is meant.
#[derive(Debug, Args)]
pub struct ReleaseOf {
    /// Name or id
    pub app: String,
}

/// `berth release show`.
#[derive(Debug, Args)]
pub struct ShowRelease {
    /// Name or id
    pub app: String,
    /// Number of the release [default: the newest]
    pub number: Option<u32>,
}

/// `berth release watch`.
#[derive(Debug, Args)]
pub struct WatchRelease {
    /// Name or id
    pub app: String,
    /// How long to watch
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
}

/// `berth release abort`.
#[derive(Debug, Args)]
pub struct AbortRelease {
    /// Name or id
    pub app: String,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth release confirm`.
#[derive(Debug, Args)]
pub struct ConfirmRelease {
    /// Name or id
    pub app: String,
    /// Also if new containers are not ready
    #[arg(long)]
    pub force: bool,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth release weight`.
#[derive(Debug, Args)]
pub struct Weigh {
    /// Name or id
    pub app: String,
    /// SERVICE=WEIGHT, once or more
    #[arg(required = true, value_name = "SERVICE=WEIGHT", value_parser = weight)]
    pub weights: Vec<(String, u8)>,
}

/// `berth rollback`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth rollback shop                            the last release before that ran
  berth rollback shop --to 3 --wait")]
pub struct Rollback {
    /// Name or id
    pub app: String,
    /// Number of the release to bring back [default: the last one before that ran]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<u32>,
    /// Whether to do it
    #[command(flatten)]
    pub dry: DryRun,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}
