//! `berth registry …`.

use clap::{Args, Subcommand};

/// `berth registry …`.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Store the login with which nodes pull a registry's images
    Login(RegistryLogin),
    /// List registries of which a login is stored
    #[command(after_help = "EXAMPLES\n  berth registry ls")]
    Ls,
    /// Destroy the stored login of a registry
    #[command(after_help = "EXAMPLES\n  berth registry logout ghcr.io")]
    Logout {
        /// The registry, as `berth registry ls` shows it
        registry: String,
    },
}

/// `berth registry login`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth registry login ghcr.io --username ada
  berth registry login registry.example.com:5000 -u ci --password-stdin < token.txt

The login is stored encrypted and given to a node of the cluster only when it has an image of the
registry to pull. Whether it is right shows at the next pull: `berth ps` and `berth why` name the
registry if it refuses.")]
pub struct RegistryLogin {
    /// The registry, as names of its images begin; docker.io for names without one
    pub registry: String,
    /// Name of the user
    #[arg(short, long, value_name = "NAME")]
    pub username: String,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
    /// The password itself; others on this machine see it in the list of processes
    #[arg(short, long, value_name = "TEXT", conflicts_with = "password_stdin")]
    pub password: Option<String>,
}
