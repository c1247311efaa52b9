//! Why a container is where it is, in words.

use crate::{AllocationRow, Block, NodeRow, allocation::ending};
use berth_api::{ContainerHealth, ContainerState, NodeStatus, Retry};
use berth_events::{FailureReason, RetryStep, StopReason};

/// One sentence a line, the most important first.
pub(crate) fn explain(
    row: &AllocationRow,
    node: Option<&NodeRow>,
    block: Option<&Block>,
    waits: bool,
    before: Option<String>,
) -> Vec<String> {
    let mut lines = vec![state(row)];
    lines.extend(row.retry.as_ref().map(retry));
    lines.extend(before);
    if let Some(node) = node.filter(|node| node.status() != NodeStatus::Ready) {
        lines.push(format!(
            "node `{}` is {} since {}",
            node.name,
            word(&node.status()),
            node.status_since
        ));
    }
    if let Some(reason) = row.stop_reason {
        lines.push(format!("it is to be stopped: {}", stop(reason)));
        lines.extend(waits.then(|| "its successor waits until it has stopped".to_owned()));
    }
    if row.restarts > 0 {
        let how = row
            .exit_code
            .map(|code| format!(", last after {}", ending(code, row.oom_killed)));
        lines.push(format!(
            "it was restarted {} times{}",
            row.restarts,
            how.unwrap_or_default()
        ));
    }
    if let Some(block) = block {
        lines.push(format!("its slot has no container: {}", block.report.summary));
        lines.extend(
            block
                .report
                .cure
                .iter()
                .map(|cure| format!("this would help: {cure}")),
        );
    }
    lines.push(placement(row));
    if !row.why.score.is_empty() {
        let parts: Vec<String> = row
            .why
            .score
            .iter()
            .map(|(name, part)| format!("{name} {part}"))
            .collect();
        lines.push(format!(
            "`{}` had the best score: {}",
            row.node_name,
            parts.join(", ")
        ));
    }
    lines
}

fn word(status: &impl serde::Serialize) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn state(row: &AllocationRow) -> String {
    let node = &row.node_name;
    match row.state {
        ContainerState::Placed => format!("it waits for the agent of node `{node}`"),
        ContainerState::Pulling => format!("node `{node}` is pulling image `{}`", row.image),
        ContainerState::Created => format!("it was created on node `{node}` and does not run yet"),
        ContainerState::Running => match (row.health, &row.health_output) {
            (ContainerHealth::Unhealthy, Some(output)) => {
                format!("it runs on node `{node}`, but its check fails: {}", output.trim())
            }
            (ContainerHealth::Healthy, _) => format!("it runs on node `{node}` and is healthy"),
            _ => format!("it runs on node `{node}`"),
        },
        ContainerState::Restarting => {
            let how = ending(row.exit_code.unwrap_or(0), row.oom_killed);
            format!("it ended on node `{node}` with {how} and is started again")
        }
        ContainerState::Stopping => format!("it is being stopped on node `{node}`"),
        ContainerState::Lost => format!("nobody knows what became of it: node `{node}` was lost or removed"),
        ContainerState::Failed | ContainerState::Exited | ContainerState::Removed => ended(row),
    }
}

fn retry(retry: &Retry) -> String {
    let step = match retry.step {
        RetryStep::Pull => "pulling its image failed",
        RetryStep::Secrets => "getting its secrets failed",
        RetryStep::Create => "creating it failed",
        RetryStep::Start => "starting it failed",
        RetryStep::Run => "it ended by itself",
    };
    let message = retry.message.trim();
    let said = if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    };
    format!(
        "{step} (attempt {}); the next try is at {}{said}",
        retry.attempt, retry.next_try_at
    )
}

fn ended(row: &AllocationRow) -> String {
    let node = &row.node_name;
    match (failed(row), row.exit_code) {
        (Some(how), _) => format!("it failed {how}"),
        (None, Some(code)) => format!("it ended on node `{node}` with {}", ending(code, row.oom_killed)),
        (None, None) => format!("it is gone from node `{node}`"),
    }
}

/// Where and how a container failed, if it did.
pub(crate) fn failed(row: &AllocationRow) -> Option<String> {
    let message = row.message.as_deref().unwrap_or_default().trim();
    row.failure
        .map(|reason| format!("on node `{}`: {}: {message}", row.node_name, failure(reason)))
}

fn failure(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Pull => "its image is not to be had",
        FailureReason::Create => "the engine refused to create it",
        FailureReason::Start => "the engine refused to start it",
        FailureReason::Secrets => "its secrets were not to be had",
        FailureReason::CrashLoop => "it ended again and again",
        FailureReason::Unhealthy => "its check failed again and again",
        FailureReason::Vanished => "it vanished from the engine",
    }
}

/// Whether a slot is filled anew after its container was stopped.
pub(crate) fn makes_room(reason: StopReason) -> bool {
    match reason {
        StopReason::Changed
        | StopReason::Restart
        | StopReason::Drained
        | StopReason::Misplaced
        | StopReason::PushedOut => true,
        StopReason::Surplus
        | StopReason::ApplicationStopped
        | StopReason::ApplicationRemoved
        | StopReason::Ended
        | StopReason::Replaced => false,
    }
}

fn stop(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Surplus => "fewer are wanted, or its service is no longer in the file",
        StopReason::Changed => "its specification changed",
        StopReason::Restart => "a restart was asked for",
        StopReason::ApplicationStopped => "the application was stopped",
        StopReason::ApplicationRemoved => "the application was removed",
        StopReason::Drained => "the node is drained",
        StopReason::Ended => "it has ended, and its slot is filled anew or complete",
        StopReason::Replaced => "its slot was replaced while the node was lost",
        StopReason::Misplaced => "a hard rule no longer holds on this node",
        StopReason::PushedOut => "a more important container needs its room",
    }
}

fn placement(row: &AllocationRow) -> String {
    let why = &row.why;
    let mut text = format!(
        "it was placed on node `{}` at {} (cause: {}); {} nodes passed every filter",
        row.node_name, row.placed_at, why.cause, why.candidates
    );
    if !why.refused.is_empty() {
        let refused: Vec<String> = why
            .refused
            .iter()
            .map(|(filter, nodes)| format!("{filter} {nodes}"))
            .collect();
        text.push_str(&format!("; refused by {}", refused.join(", ")));
    }
    text
}
