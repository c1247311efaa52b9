//! Benchmarks that print ours and the peer or limit from one run.

mod append;
mod relay;
mod servers;
mod statistics;
mod workload;

use clap::{Parser, Subcommand};

/// Benchmarks; run them with `--release` on an idle machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Appends of many writers against a bulk insert into the same schema.
    Append(append::Options),
    /// From commit to consumer against JetStream's own publish and deliver.
    Relay(relay::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Append(options) => append::run(&options).await,
        What::Relay(options) => relay::run(&options).await,
    }
}
