//! Whether a node takes containers: cordons and drains.

use crate::{
    node::{Availability, Node},
    refusal::{conflict, invalid},
};
use berth_events::{
    NodeCordoned, NodeDrainExpired, NodeDrainStarted, NodeDrained, NodeEvent, NodeUncordoned, Rejection,
};
use berth_ids::Timestamp;

pub(crate) fn cordon(node: &Node, reason: &str) -> Vec<NodeEvent> {
    match node.availability {
        Availability::Active => vec![NodeEvent::Cordoned(NodeCordoned {
            reason: reason.to_owned(),
        })],
        // Already so: a repeated command is neither an error nor an event.
        Availability::Cordoned
        | Availability::Draining { .. }
        | Availability::DrainExpired
        | Availability::Drained => vec![],
    }
}

pub(crate) fn uncordon(node: &Node) -> Result<Vec<NodeEvent>, Rejection> {
    match node.availability {
        Availability::Active => Ok(vec![]),
        Availability::Cordoned | Availability::DrainExpired | Availability::Drained => {
            Ok(vec![NodeEvent::Uncordoned(NodeUncordoned {})])
        }
        Availability::Draining { deadline_at, .. } => Err(conflict(
            "node.drain_in_progress",
            format!("the node is being drained until {deadline_at}"),
            "wait until the drain has ended, or drain again with a nearer deadline",
        )),
    }
}

pub(crate) fn drain(
    node: &Node,
    deadline_at: Timestamp,
    force: bool,
    now: Timestamp,
) -> Result<Vec<NodeEvent>, Rejection> {
    let wanted = Availability::Draining { deadline_at, force };
    if node.availability == wanted || node.availability == Availability::Drained {
        return Ok(vec![]);
    }
    if deadline_at <= now {
        return Err(invalid(
            "node.deadline_past",
            format!("the deadline {deadline_at} is not after {now}"),
            "give a deadline in the future",
        ));
    }
    Ok(vec![NodeEvent::DrainStarted(NodeDrainStarted {
        deadline_at,
        force,
    })])
}

pub(crate) fn settle(node: &Node, remaining: u32, now: Timestamp) -> Result<Vec<NodeEvent>, Rejection> {
    let drained = || vec![NodeEvent::Drained(NodeDrained {})];
    match node.availability {
        Availability::Draining { .. } | Availability::DrainExpired if remaining == 0 => Ok(drained()),
        Availability::Draining { deadline_at, .. } if now < deadline_at => Err(conflict(
            "node.drain_not_due",
            format!("{remaining} container(s) are left and the deadline {deadline_at} has not passed"),
            "wait for the deadline",
        )),
        Availability::Draining { .. } => Ok(vec![NodeEvent::DrainExpired(NodeDrainExpired { remaining })]),
        Availability::DrainExpired | Availability::Drained => Ok(vec![]),
        Availability::Active | Availability::Cordoned => Err(conflict(
            "node.not_draining",
            "the node is not being drained".to_owned(),
            "",
        )),
    }
}
