//! `berth node …`.

use super::{Session, volumes, wait};
use crate::{
    cli::{Drain, LabelNode, NodeCommand, NodeResource, age},
    client::query,
    exit::{Exit, Failure, Outcome},
    output::{Table, Tone, bytes, cell, cores, percent, toned, word},
};
use berth_api::{CordonNode, DrainNode, DrainState, Node, NodeStatus, PatchNode, PatchResources, Written};
use berth_events::spec::resource_kind;
use berth_ids::Timestamp;
use berth_service_kit::Clock;
use reqwest::Method;
use std::time::Duration;

/// Time after the deadline in which the platform says what is left.
const SETTLE_TIME: Duration = Duration::from_secs(15);

/// Carries out `berth node …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::Ls => {
            let nodes: Vec<Node> = session.client.list(&session.in_cluster("/v1/nodes")).await?;
            session.printer.print(&nodes, |nodes| table(nodes, Clock::now()))
        }
        NodeCommand::Show { node } => {
            let node: Node = session.client.get(&session.path("nodes", &node, "")).await?;
            session.printer.print(&node, fields)
        }
        NodeCommand::Label(args) => label(session, args).await,
        NodeCommand::Resource(args) => resource(session, args).await,
        NodeCommand::Cordon { node, reason } => {
            let body = CordonNode { reason };
            let written: Written = session
                .client
                .post(&session.path("nodes", &node, "/cordon"), &body)
                .await?;
            session
                .printer
                .done(&written, &format!("nothing new is placed on node {node}"))
        }
        NodeCommand::Uncordon { node } => {
            let path = session.path("nodes", &node, "/uncordon");
            let written: Written = session.client.write(Method::POST, &path, None::<&()>).await?;
            session
                .printer
                .done(&written, &format!("node {node} takes containers again"))
        }
        NodeCommand::Drain(args) => drain(session, args).await,
        NodeCommand::Rm { node, force } => {
            let path = query(
                &session.path("nodes", &node, ""),
                &[("force", if force { "true" } else { "" })],
            );
            let written: Written = session.client.delete(&path).await?;
            session.printer.done(&written, &format!("removed node {node}"))
        }
    }
}

async fn label(session: &Session, args: LabelNode) -> Outcome {
    let patch = PatchNode {
        set: args.set.into_iter().collect(),
        remove: args.remove.into_iter().collect(),
    };
    let path = session.path("nodes", &args.node, "");
    let written: Written = session.client.write(Method::PATCH, &path, Some(&patch)).await?;
    session
        .printer
        .done(&written, &format!("changed the labels of node {}", args.node))
}

async fn resource(session: &Session, args: NodeResource) -> Outcome {
    let patch = PatchResources {
        set: args.set.into_iter().collect(),
        remove: args.remove.iter().map(|kind| resource_kind(kind)).collect(),
    };
    let path = session.path("nodes", &args.node, "/resources");
    let written: Written = session.client.write(Method::PATCH, &path, Some(&patch)).await?;
    session
        .printer
        .done(&written, &format!("changed the resources of node {}", args.node))
}

async fn drain(session: &Session, args: Drain) -> Outcome {
    let body = DrainNode {
        deadline_seconds: Some(args.deadline.as_secs()),
        force: args.force,
    };
    let path = session.path("nodes", &args.node, "");
    if args.abandon_volume {
        // Before the drain: one that finds only what a volume holds is over at once.
        volumes::abandon_on(session, &args.node).await?;
    }
    let written: Written = session
        .client
        .post(&session.path("nodes", &args.node, "/drain"), &body)
        .await?;
    if args.no_wait {
        return session.printer.done(
            &written,
            &format!("containers are being moved away from node {}", args.node),
        );
    }
    session.printer.note(&format!(
        "waiting until node {} is empty (at most {}s)",
        args.node,
        args.deadline.as_secs()
    ));
    let mut progress = wait::Progress::start(session.printer);
    let give_up = args.deadline + SETTLE_TIME;
    let mut at_first = 0;
    let node: Node = wait::until(give_up, async || {
        let node: Node = session.client.get(&path).await?;
        let left = node.drain.as_ref().map_or(0, |drain| drain.remaining);
        at_first = at_first.max(left);
        progress.say(&format!("{left} of {at_first} containers left"));
        let ended = node
            .drain
            .as_ref()
            .is_none_or(|drain| drain.state != DrainState::Running);
        Ok(ended.then_some(node))
    })
    .await?
    .ok_or_else(|| {
        Failure::new(
            Exit::Unavailable,
            format!("node {} is not empty in time", args.node),
        )
    })?;
    progress.end();
    match node.drain.as_ref().map(|drain| (drain.state, drain.remaining)) {
        Some((DrainState::Expired, left)) => {
            let message = format!(
                "the deadline passed and {left} containers are still on node {}",
                args.node
            );
            let cure = "see with `berth why` what holds them, or drain it with --force";
            Err(Failure::new(Exit::Refused, message).cure(cure))
        }
        _ => session
            .printer
            .done(&node, &format!("node {} is empty", args.node)),
    }
}

fn tone(status: NodeStatus) -> Tone {
    match status {
        NodeStatus::Ready => Tone::Good,
        NodeStatus::Cordoned | NodeStatus::Draining | NodeStatus::Drained => Tone::Warn,
        NodeStatus::Lost => Tone::Bad,
    }
}

fn table(nodes: &Vec<Node>, now: Timestamp) -> String {
    let headers = [
        "NAME",
        "STATUS",
        "CLUSTER",
        "ZONE",
        "ADDRESS",
        "CONTAINERS",
        "CPU",
        "MEMORY",
        "ENGINE",
        "AGE",
        "ID",
    ];
    let mut table = Table::new(&headers);
    for node in nodes {
        let reserved = percent(node.cpu_reserved_millis, node.facts.cpu_millis);
        let memory = percent(node.memory_reserved_bytes, node.facts.memory_bytes);
        table.row([
            cell(&node.name),
            toned(word(&node.status), tone(node.status)),
            cell(&node.cluster),
            cell(&node.zone),
            cell(&node.address),
            cell(format!("{}/{}", node.containers.running, node.containers.total)),
            cell(format!("{reserved} of {}", cores(node.facts.cpu_millis))),
            cell(format!("{memory} of {}", bytes(node.facts.memory_bytes))),
            cell(&node.facts.engine_version),
            cell(age(node.joined_at, now)),
            toned(node.id, Tone::Dim),
        ]);
    }
    table.render()
}

fn fields(node: &Node) -> String {
    let mut table = Table::fields();
    table.field("Name", &node.name);
    table.field("Id", node.id);
    table.field("Cluster", &node.cluster);
    table.field(
        "Status",
        format!("{} since {}", word(&node.status), node.status_since),
    );
    table.field("Reason", node.reason.as_deref().unwrap_or_default());
    if let Some(drain) = &node.drain {
        let text = format!(
            "{}, {} left, deadline {}",
            word(&drain.state),
            drain.remaining,
            drain.deadline_at
        );
        table.field("Drain", text);
    }
    table.field("Zone", &node.zone);
    table.field("Address", &node.address);
    let labels: Vec<_> = node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    table.field("Labels", labels.join(", "));
    let facts = &node.facts;
    table.field("Host", &facts.hostname);
    table.field(
        "Engine",
        format!("{} (API {})", facts.engine_version, facts.engine_api_version),
    );
    table.field(
        "System",
        format!("{}/{} {}", facts.os, facts.architecture, facts.kernel),
    );
    table.field("Agent", &facts.agent_version);
    table.field(
        "CPU",
        format!(
            "{} of {} cores reserved",
            cores(node.cpu_reserved_millis),
            cores(facts.cpu_millis)
        ),
    );
    table.field(
        "Memory",
        format!(
            "{} of {} reserved",
            bytes(node.memory_reserved_bytes),
            bytes(facts.memory_bytes)
        ),
    );
    for (kind, resource) in &node.resources {
        let text = format!("{} of {} reserved", resource.reserved, resource.total);
        table.field(&format!("Resource {kind}"), text);
    }
    table.field("Disk", bytes(facts.disk_bytes));
    table.field(
        "Containers",
        format!("{} ({} running)", node.containers.total, node.containers.running),
    );
    table.field("Joined", node.joined_at);
    table.field("Version", node.version);
    table.render()
}
