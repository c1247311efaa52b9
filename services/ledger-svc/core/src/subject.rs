//! Where an event is published: `evt.<tenant>.<category>.<key>`.

use berth_events::{Category, Recorded};
use serde::Deserialize;

/// The longest key of a subject, in bytes.
pub const MAX_KEY_BYTES: usize = 64;
/// The key of events that have none that is safe in a subject.
const NO_KEY: &str = "-";

#[derive(Deserialize)]
struct Addressed {
    node_id: String,
}

/// The subject of an event. The same for every instance and every release: agents subscribe to it.
pub fn subject_of(recorded: &Recorded) -> String {
    let category = recorded.stream.category();
    let key = match category {
        Category::Name => NO_KEY.to_owned(),
        Category::Placement => addressed_node(recorded).unwrap_or_else(|| first_part(recorded.stream.key())),
        _ => first_part(recorded.stream.key()),
    };
    format!(
        "evt.{}.{}.{key}",
        subject_token(&recorded.tenant),
        category.as_str()
    )
}

/// A text as one token of a subject; `-` if it cannot be one.
pub fn subject_token(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > MAX_KEY_BYTES || !text.chars().all(safe) {
        return NO_KEY.to_owned();
    }
    text.to_owned()
}

fn addressed_node(recorded: &Recorded) -> Option<String> {
    if &*recorded.type_name != "placement.decided" {
        return None;
    }
    let addressed: Addressed = serde_json::from_str(recorded.data.get()).ok()?;
    Some(subject_token(&addressed.node_id))
}

fn first_part(key: &str) -> String {
    subject_token(key.split('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::SpecVersion;
    use berth_ids::{EventId, Timestamp};
    use serde_json::value::RawValue;

    const NODE: &str = "01890000-0000-7000-8000-000000000001";

    fn recorded(stream: &str, type_name: &str, data: &str) -> Recorded {
        Recorded {
            specversion: SpecVersion::V1,
            id: EventId::from_u128(1),
            source: "berth/log".into(),
            type_name: type_name.into(),
            stream: stream.parse().unwrap(),
            recorded_at: Timestamp::default(),
            position: 1,
            version: 1,
            category_previous: 0,
            schema_version: 1,
            tenant: "main".into(),
            incarnation: 1,
            hash: String::new(),
            previous_hash: String::new(),
            meta: RawValue::from_string("{}".into()).unwrap(),
            data: RawValue::from_string(data.into()).unwrap(),
        }
    }

    #[test]
    fn each_kind_of_event_has_its_key() {
        let data = format!(r#"{{"cluster_id":"c","node_id":"{NODE}"}}"#);
        for (stream, type_name, subject) in [
            (
                "placement/c1",
                "placement.decided",
                format!("evt.main.placement.{NODE}"),
            ),
            (
                "placement/c1",
                "placement.blocked",
                "evt.main.placement.c1".into(),
            ),
            (
                "allocation/n1",
                "allocation.running",
                "evt.main.allocation.n1".into(),
            ),
            ("node/n1", "node.cordoned", "evt.main.node.n1".into()),
            ("secret/c1/shop/web", "secret.stored", "evt.main.secret.c1".into()),
            ("name/c1/shop", "name.claimed", "evt.main.name.-".into()),
        ] {
            assert_eq!(
                subject_of(&recorded(stream, type_name, &data)),
                subject,
                "{stream}"
            );
        }
    }

    #[test]
    fn a_key_never_breaks_a_subject() {
        for bad in ["a.b", "*", ">", "a b", "", "é", "\u{7f}", &"x".repeat(65)] {
            assert_eq!(subject_token(bad), "-", "{bad:?}");
        }
        let event = recorded("placement/a.b>", "placement.decided", r#"{"node_id":"*"}"#);
        assert_eq!(subject_of(&event), "evt.main.placement.-");
    }
}
