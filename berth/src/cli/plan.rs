//! Commands that say what would happen.

use super::DeploySource;
use clap::Args;

/// `berth plan`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth plan shop.yml
  berth plan shop.yml --name shop2 -e TAG=1.2 --cluster main
  berth plan shop.yml --detailed-exitcode        code 0: nothing would change, 7: something would
  berth plan shop.yml -o json")]
pub struct Plan {
    /// What would go live, and how
    #[command(flatten)]
    pub what: DeploySource,
    /// How the command ends
    #[command(flatten)]
    pub ending: PlanEnding,
}

/// How a plan ends.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PlanEnding {
    /// End with code 7 instead of 0 if something would change
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Asks for a plan instead of the change.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct DryRun {
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
}
