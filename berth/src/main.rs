//! The one binary for people: the command line, and `berth server`, every service in one process.

mod cli;
mod client;
mod commands;
mod config;
mod docs;
mod exit;
mod files;
mod output;
mod packing;
mod server;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start threads: {error}");
            return ExitCode::from(exit::Exit::Failure as u8);
        }
    };
    let ended = runtime.block_on(commands::run(cli));
    // A read of standard input may hang for ever; nobody waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::from(exit::Exit::Ok as u8),
        Err(failure) => {
            for fault in &failure.faults {
                eprintln!("{fault}\n");
            }
            // Told by the code alone: it is an answer, not an error.
            if failure.exit != exit::Exit::Changes {
                eprintln!("{}: {failure}", output::paint_error("error"));
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}
