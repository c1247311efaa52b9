//! Benchmarks that print ours and the peer or limit from one run.

mod alarms;
mod append;
mod client;
mod deploy;
mod engine;
mod loss;
mod moment;
mod plan;
mod relay;
mod scale;
mod servers;
mod site;
mod stages;
mod statistics;
mod swarm;
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
    /// Placement decisions on many nodes.
    Plan(plan::Options),
    /// One container from deploy to running, against the raw engine and Swarm mode.
    Deploy(deploy::Options),
    /// Many containers on several engines, against the raw engines and Swarm mode.
    Scale(scale::Options),
    /// A node's cable is cut, against Swarm mode.
    Loss(loss::Options),
    /// Every core busy for minutes: how many nodes are taken for lost.
    FalseAlarms(alarms::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    match Arguments::parse().what {
        What::Append(options) => append::run(&options).await,
        What::Relay(options) => relay::run(&options).await,
        What::Plan(options) => plan::run(&options).await,
        What::Deploy(options) => deploy::run(&options).await,
        What::Scale(options) => scale::run(&options).await,
        What::Loss(options) => loss::run(&options).await,
        What::FalseAlarms(options) => alarms::run(&options).await,
    }
}
