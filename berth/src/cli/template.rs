//! Commands about stored templates.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `berth template …`.
#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// List templates: those stored, and those that come with Berth
    #[command(after_help = "EXAMPLES\n  berth template ls")]
    Ls,
    /// Show a template: its parameters, its versions, its text
    Show(ShowTemplate),
    /// Store a Compose file as a template, or as a new version of one
    Save(SaveTemplate),
    /// Forget a template with all its versions; applications made from it stay
    #[command(after_help = "EXAMPLES\n  berth template rm web")]
    Rm {
        /// Name
        name: String,
    },
}

/// `berth template show`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth template show wordpress
  berth template show web@2 --text > web.yml")]
pub struct ShowTemplate {
    /// Name, or NAME@NUMBER for one of its versions
    pub template: String,
    /// Print its text only
    #[arg(long)]
    pub text: bool,
}

/// `berth template save`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth template save web web.yml --description 'A web server'
  berth app template shop | berth template save shop -")]
pub struct SaveTemplate {
    /// Name
    pub name: String,
    /// Compose file, or `-` for standard input; `x-parameters` in it declares parameters
    pub file: PathBuf,
    /// What it is for [default: as it was]
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}
