//! Commands that make images.

use super::Variables;
use clap::Args;
use std::path::PathBuf;

/// `berth build`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth build shop.yml
  berth build shop.yml web --node n2
  berth build shop.yml -e TAG=1.2 -o json        digests for scripts")]
pub struct BuildArgs {
    /// Compose file, or `-` for standard input
    pub file: PathBuf,
    /// Services; none: all that have `build`
    pub services: Vec<String>,
    /// What the file is read with
    #[command(flatten)]
    pub variables: Variables,
    /// Node that builds [default: one that has built it before, else one with room]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Use nothing of earlier builds
    #[arg(long)]
    pub no_cache: bool,
    /// Fetch base images anew
    #[arg(long)]
    pub pull: bool,
}
