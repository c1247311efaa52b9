//! The appends of the benchmarks: one event and one command each.

use anyhow::Result;
use berth_events::{Category, CommandOutcome, Event, Meta, NodeCordoned, NodeEvent, StreamName};
use berth_eventsourcing::{AppendRequest, CommandRecord, Expected, NewEvent, StreamAppend};
use berth_ids::{CommandId, EventId, NodeId};
use uuid::Uuid;

/// The next append of a writer to its own stream.
pub fn append(writer: u128, version: u64, reason: &str) -> Result<AppendRequest> {
    let event = Event::from(NodeEvent::Cordoned(NodeCordoned {
        reason: reason.to_owned(),
    }));
    Ok(AppendRequest {
        tenant: "main".into(),
        meta: Meta {
            actor: "token:01890000-0000-7000-8000-000000000001".into(),
            ..Meta::default()
        },
        streams: vec![StreamAppend {
            stream: StreamName::new(Category::Node, NodeId::from_u128(writer)),
            expected: Expected::Version(version),
            events: vec![NewEvent::encode(EventId::from_uuid(Uuid::now_v7()), &event)?],
        }],
        guards: Vec::new(),
        command: Some(CommandRecord {
            command_id: CommandId::from_uuid(Uuid::new_v4()),
            request_hash: "0f".repeat(32),
            outcome: CommandOutcome::Accepted {
                position: 0,
                result: serde_json::Value::Null,
            },
        }),
    })
}
