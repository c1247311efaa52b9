//! The commands behind `./dev`: bring the platform up on this machine, take it down, check the code.

mod checks;
mod client;
mod doctor;
mod down;
mod firewall;
mod install;
mod place;
mod process;
mod state;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

/// Develop Berth on this machine.
#[derive(Parser)]
#[command(name = "dev", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing, build, start the platform, join this machine, deploy the sample shop.
    #[command(
        after_help = "Examples:\n  ./dev up\n  ./dev up --nodes 3    three real engines in network namespaces"
    )]
    Up(UpArgs),
    /// Undo `up`: everything it started and made, in reverse, then check that nothing is left.
    Down(DataArgs),
    /// Run all checks and tests; `--quick` leaves out those that need engines.
    Test {
        /// Without the tests that start engines and whole platforms.
        #[arg(long)]
        quick: bool,
    },
    /// Format, clippy, cargo deny (if installed), tidy.
    Lint,
    /// Say what this machine has and what is missing.
    Doctor,
    /// Install what is missing (Debian packages, nats-server).
    Install,
    /// Make the sample's images in an engine.
    Images {
        /// The engine.
        #[arg(long, default_value = "unix:///var/run/docker.sock", env = "DOCKER_HOST")]
        docker_host: String,
    },
}

#[derive(Args)]
struct UpArgs {
    /// This many engines in network namespaces, instead of the engine of this machine.
    #[arg(long)]
    nodes: Option<usize>,
    #[command(flatten)]
    data: DataArgs,
    /// Build with optimisation.
    #[arg(long)]
    release: bool,
}

#[derive(Args)]
struct DataArgs {
    /// The folder of everything [default: /var/lib/berth/dev as root, else target/dev].
    #[arg(long)]
    data: Option<PathBuf>,
}

impl DataArgs {
    fn folder(self) -> Result<PathBuf> {
        let folder = self.data.unwrap_or_else(place::default_data);
        std::path::absolute(&folder).with_context(|| format!("could not resolve `{}`", folder.display()))
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => up::run(&up::Options {
            nodes: args.nodes,
            data: args.data.folder()?,
            release: args.release,
        }),
        Command::Down(args) => down::run(&args.folder()?),
        Command::Test { quick } => checks::test(quick),
        Command::Lint => checks::lint(),
        Command::Doctor => doctor::run(),
        Command::Install => install::run(),
        Command::Images { docker_host } => up::make_images(&docker_host),
    }
}
