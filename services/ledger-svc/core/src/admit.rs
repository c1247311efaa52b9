//! What an append must be before it may wait in the queue: nothing in it can make a whole batch fail.

use berth_eventsourcing::{AppendError, AppendRequest};

/// The longest tenant, in bytes; it is a part of subjects.
pub const MAX_TENANT_BYTES: usize = 64;
/// The largest meta of an append, encoded, in bytes; it is stored with every event.
pub const MAX_META_BYTES: usize = 8 * 1024;
/// The longest hash of a request, in bytes: SHA-256 in hexadecimal.
pub const MAX_REQUEST_HASH_BYTES: usize = 64;

/// Checks what the sequencer leaves to the store: texts that a database column or a subject cannot hold.
///
/// # Errors
/// [`AppendError::Refused`] or [`AppendError::TooLarge`].
pub fn admit(request: &AppendRequest) -> Result<(), AppendError> {
    let tenant = &request.tenant;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if tenant.is_empty() || !tenant.chars().all(plain) {
        return Err(refused(format!(
            "tenant `{tenant}` must be letters, digits, `-` and `_` only"
        )));
    }
    limit("the tenant in bytes", tenant.len(), MAX_TENANT_BYTES)?;
    let streams = request.streams.iter().map(|append| &append.stream);
    let guards = request.guards.iter().map(|guard| &guard.stream);
    for stream in streams.chain(guards) {
        if stream.as_str().chars().any(char::is_control) {
            return Err(refused(format!(
                "stream {:?} holds a control character",
                stream.as_str()
            )));
        }
    }
    if let Some(append) = request.streams.iter().find(|append| append.events.is_empty()) {
        return Err(refused(format!(
            "stream `{}` is named without an event: use a guard",
            append.stream
        )));
    }
    let meta = serde_json::to_string(&request.meta).map_err(|error| refused(error.to_string()))?;
    limit("the meta of an append in bytes", meta.len(), MAX_META_BYTES)?;
    match &request.command {
        Some(command) => admit_hash(&command.request_hash),
        None => Ok(()),
    }
}

fn admit_hash(hash: &str) -> Result<(), AppendError> {
    limit("the request hash in bytes", hash.len(), MAX_REQUEST_HASH_BYTES)?;
    if hash.chars().any(|c| !c.is_ascii_alphanumeric()) {
        return Err(refused("the request hash must be hexadecimal".to_owned()));
    }
    Ok(())
}

fn refused(reason: String) -> AppendError {
    AppendError::Refused { reason }
}

fn limit(what: &str, actual: usize, limit: usize) -> Result<(), AppendError> {
    if actual <= limit {
        return Ok(());
    }
    Err(AppendError::TooLarge {
        what: what.to_owned(),
        actual: actual as u64,
        limit: limit as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{Category, Meta, StreamName};
    use berth_eventsourcing::Guard;

    fn request(tenant: &str) -> AppendRequest {
        AppendRequest {
            tenant: tenant.to_owned(),
            meta: Meta::default(),
            streams: Vec::new(),
            guards: Vec::new(),
            command: None,
        }
    }

    #[test]
    fn a_tenant_is_safe_in_a_subject() {
        assert_eq!(admit(&request("main")), Ok(()));
        for bad in ["", "a.b", "*", ">", "a b", "a\0"] {
            assert!(admit(&request(bad)).is_err(), "{bad:?}");
        }
        assert!(admit(&request(&"x".repeat(65))).is_err());
    }

    #[test]
    fn a_control_character_never_reaches_the_database() {
        let mut bad = request("main");
        bad.guards.push(Guard {
            stream: StreamName::new(Category::Node, "a\0b"),
            at_most: 1,
        });
        assert!(matches!(admit(&bad), Err(AppendError::Refused { .. })));
    }

    #[test]
    fn meta_is_bounded() {
        let mut large = request("main");
        large.meta.actor = "x".repeat(MAX_META_BYTES);
        assert!(matches!(admit(&large), Err(AppendError::TooLarge { .. })));
    }
}
