//! Taking applications elsewhere: export, import, clone.

use super::application::{Variables, Wait};
use clap::Args;
use std::path::PathBuf;

/// `berth app export`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth app export shop > shop.berth.json        without the values that the vault has
  berth app export shop --secrets-for age1…      with them, for the owner of that key
  age-keygen -o key.txt                          makes such a key")]
pub struct Export {
    /// Name or id
    pub app: String,
    /// Add secret values, encrypted to this age public key; may be given several times
    #[arg(long, value_name = "RECIPIENT")]
    pub secrets_for: Vec<String>,
}

/// `berth app import`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth app import shop.berth.json --identity key.txt --wait
  berth app import shop.berth.json --name shop2 -e PASSWORD=…")]
pub struct Import {
    /// What `berth app export` wrote, or `-` for standard input
    pub file: PathBuf,
    /// Name of the application [default: as it was]
    #[arg(long)]
    pub name: Option<String>,
    /// File with the age secret key to which its secret values are encrypted
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// What the file is read with
    #[command(flatten)]
    pub variables: Variables,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth app clone`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth app clone shop --to staging --wait
  berth app clone shop --name shop2")]
pub struct CloneApp {
    /// Name or id
    pub app: String,
    /// Cluster to which it goes, by name or id [default: its own]
    #[arg(long, value_name = "CLUSTER")]
    pub to: Option<String>,
    /// Name of the clone [default: the same]
    #[arg(long)]
    pub name: Option<String>,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}
