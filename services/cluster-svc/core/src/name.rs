//! Unique names: a stream `name/<scope>/<name>` says who has it.

use crate::refusal::invalid;
use berth_events::{Event, MAX_STREAM_NAME_BYTES, NameEvent, Rejection, StreamName};
use berth_eventsourcing::{LoadedStream, Streams, Undecided};

/// Who has a name, and at which version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameOwner {
    /// Version of the name's stream.
    pub version: u64,
    /// Id of the object that has it.
    pub owner: Option<String>,
}

/// Who has the name of a loaded name stream.
pub fn owner_of(stream: &LoadedStream) -> NameOwner {
    let owner = stream.events.iter().fold(None, |owner, event| match event {
        Event::Name(NameEvent::Claimed(claimed)) => Some(claimed.owner.clone()),
        Event::Name(NameEvent::Released(_)) => None,
        _ => owner,
    });
    NameOwner {
        version: stream.version,
        owner,
    }
}

/// Looks a name up.
pub(crate) fn look_up(streams: &Streams, name: &StreamName) -> Result<NameOwner, Undecided> {
    check_length(name)?;
    Ok(owner_of(streams.get(name)?))
}

/// Names count characters, streams count bytes: a long name of a script with long characters fits no stream.
fn check_length(name: &StreamName) -> Result<(), Rejection> {
    let bytes = name.as_str().len();
    if bytes <= MAX_STREAM_NAME_BYTES {
        return Ok(());
    }
    Err(invalid(
        "name.too_long",
        format!(
            "the name takes {bytes} bytes with its scope, more than the limit of {MAX_STREAM_NAME_BYTES}"
        ),
        "choose a shorter name",
    ))
}
