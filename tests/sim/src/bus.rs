//! What travels, and what the bus may do to it.

use berth_events::{AllocationReport, Assignment, CommandBody, PlacementDecided, RecordedUpTo};
use berth_ids::{CommandId, NodeId};

/// A message on its way.
#[derive(Debug, Clone)]
pub enum Message {
    /// A placement event addressed to a node, and its position.
    Placement(Box<PlacementDecided>, u64),
    /// A node asks for its complete assignment.
    AskAssignment(NodeId),
    /// The answer.
    Assignment(NodeId, Box<Assignment>),
    /// What an agent saw.
    Report(Box<AllocationReport>),
    /// What of it is recorded.
    Recorded(NodeId, RecordedUpTo),
    /// A node lives.
    Heartbeat(NodeId),
    /// A command to a service. It may come twice, and is never lost: the queue keeps it.
    Command(CommandId, Box<CommandBody>),
}

impl Message {
    /// The node whose link it needs.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self {
            Self::Placement(change, _) => Some(change.node_id),
            Self::AskAssignment(node)
            | Self::Assignment(node, _)
            | Self::Recorded(node, _)
            | Self::Heartbeat(node) => Some(*node),
            Self::Report(report) => Some(report.node_id),
            Self::Command(..) => None,
        }
    }
}

/// What the bus does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Of a hundred messages, so many are lost.
    pub loss: u64,
    /// Of a hundred messages, so many come twice.
    pub twice: u64,
    /// The shortest and the longest way, in milliseconds: what is sent later may come earlier.
    pub delay_ms: (u64, u64),
}

impl Faults {
    /// A good day.
    pub const NONE: Self = Self {
        loss: 0,
        twice: 0,
        delay_ms: (1, 1),
    };
    /// A bad one.
    pub const MANY: Self = Self {
        loss: 10,
        twice: 10,
        delay_ms: (1, 300),
    };
}
