//! Commands that work without a platform, and `berth login`.

use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// `berth check`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth check shop.yml\n  berth check shop.yml -e TAG=1.2 -o json")]
pub struct Check {
    /// Compose file, or `-` for standard input
    pub file: PathBuf,
    /// What it may be read with
    #[command(flatten)]
    pub variables: super::application::Variables,
    /// Print the application as it is understood
    #[arg(long)]
    pub show: bool,
}

/// `berth login`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth login https://berth.example:7443 --token TOKEN --ca ca.pem
  berth login http://127.0.0.1:7080 --name local < token.txt")]
pub struct Login {
    /// Address of the platform
    #[arg(value_name = "URL")]
    pub address: String,
    /// Name under which it is stored
    #[arg(long, default_value = "default")]
    pub name: String,
}

/// `berth completions`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth completions bash > /etc/bash_completion.d/berth
  berth completions zsh > ~/.zfunc/_berth
  berth completions fish > ~/.config/fish/completions/berth.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}
