//! `berth top`: what nodes and containers use now.

use super::Session;
use crate::{
    cli::Top as Args,
    exit::Outcome,
    output::{Table, bytes, cell, cores, percent, print_text},
};
use berth_api::Top;
use std::{io::IsTerminal as _, time::Duration};

/// Clears the screen and goes to its beginning.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Carries out `berth top`. Without a terminal, or in a format for programs, it prints once.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let path = session.in_cluster("/v1/top");
    if args.once || !session.printer.for_people() || !std::io::stdout().is_terminal() {
        let top: Top = session.client.get(&path).await?;
        return session.printer.print(&top, text);
    }
    loop {
        let top: Top = session.client.get(&path).await?;
        print_text(&format!("{CLEAR}{}", text(&top)))?;
        tokio::select! {
            () = tokio::time::sleep(args.interval.max(SHORTEST_INTERVAL)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn text(top: &Top) -> String {
    let mut nodes = Table::new(&["NODE", "CPU", "OF", "MEMORY", "OF", "CONTAINERS"]);
    for node in &top.nodes {
        nodes.row([
            cell(&node.node),
            cell(percent(node.cpu_millis, node.cpu_total_millis)),
            cell(cores(node.cpu_total_millis)),
            cell(bytes(node.memory_bytes)),
            cell(bytes(node.memory_total_bytes)),
            cell(node.containers),
        ]);
    }
    let mut containers = Table::new(&[
        "CONTAINER",
        "APP",
        "NODE",
        "CORES",
        "MEMORY",
        "LIMIT",
        "PROCESSES",
    ]);
    for container in &top.containers {
        let limit = if container.memory_limit_bytes == 0 {
            "none".to_owned()
        } else {
            bytes(container.memory_limit_bytes)
        };
        containers.row([
            cell(&container.name),
            cell(&container.application),
            cell(&container.node),
            cell(cores(container.cpu_millis)),
            cell(bytes(container.memory_bytes)),
            cell(limit),
            cell(container.pids),
        ]);
    }
    format!("{}\n\n{}", nodes.render(), containers.render())
}
