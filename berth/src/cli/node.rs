//! `berth node …`.

use super::parse::{duration, key_value, resource};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `berth node …`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List nodes
    #[command(after_help = "EXAMPLES\n  berth node ls\n  berth node ls --cluster main -o json")]
    Ls,
    /// Show a node
    #[command(after_help = "EXAMPLES\n  berth node show n1")]
    Show {
        /// Name or id
        node: String,
    },
    /// Set and take away labels
    Label(LabelNode),
    /// Say how many GPUs or other countable resources a node has
    Resource(NodeResource),
    /// Place nothing new on a node
    #[command(after_help = "EXAMPLES\n  berth node cordon n1 --reason \"new disk\"")]
    Cordon {
        /// Name or id
        node: String,
        /// Why, for the others
        #[arg(long, default_value = "by hand")]
        reason: String,
    },
    /// Place on a node again
    #[command(after_help = "EXAMPLES\n  berth node uncordon n1")]
    Uncordon {
        /// Name or id
        node: String,
    },
    /// Move containers away from a node
    Drain(Drain),
    /// Take a node out of its cluster; refused while containers are on it unless forced
    #[command(after_help = "EXAMPLES\n  berth node drain n1 && berth node rm n1\n  berth node rm n1 --force")]
    Rm {
        /// Name or id
        node: String,
        /// Although containers are on it
        #[arg(long)]
        force: bool,
    },
}

/// `berth node label`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth node label n1 disk=ssd rack=7\n  berth node label n1 --rm rack")]
pub struct LabelNode {
    /// Name or id
    pub node: String,
    /// Labels to set or overwrite
    #[arg(value_name = "KEY=VALUE", value_parser = key_value, required_unless_present = "remove")]
    pub set: Vec<(String, String)>,
    /// Label to take away; may be given several times
    #[arg(long = "rm", value_name = "KEY")]
    pub remove: Vec<String>,
}

/// `berth node resource`.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES\n  berth node resource n1 gpu=2 fpga=1\n  berth node resource n1 --rm gpu        what the engine names counts again"
)]
pub struct NodeResource {
    /// Name or id
    pub node: String,
    /// Resources to set or overwrite
    #[arg(value_name = "KIND=COUNT", value_parser = resource, required_unless_present = "remove")]
    pub set: Vec<(String, u64)>,
    /// Resource to take away; may be given several times
    #[arg(long = "rm", value_name = "KIND")]
    pub remove: Vec<String>,
}

/// `berth node drain`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth node drain n1
  berth node drain n1 --deadline 10m --force
  berth node drain n1 --abandon-volume           also what a local volume holds there
  berth node drain n1 --no-wait")]
pub struct Drain {
    /// Name or id
    pub node: String,
    /// When what is left is reported
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub deadline: Duration,
    /// At the deadline, stop what could not be moved
    #[arg(long)]
    pub force: bool,
    /// Containers with a local volume move too, and begin elsewhere with an empty one
    #[arg(long)]
    pub abandon_volume: bool,
    /// Do not wait until the node is empty
    #[arg(long)]
    pub no_wait: bool,
}
