//! The chain: each event's hash covers the one before and every field (design, section 11).

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// Hash "before" the first event.
pub const ZERO_HASH: Hash = [0; 32];

/// The fields that a hash covers.
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    /// Place in the log.
    pub position: u64,
    /// Stream name.
    pub stream: &'a str,
    /// Place in the stream.
    pub version: u64,
    /// Id of the event, 16 bytes.
    pub event_id: &'a [u8; 16],
    /// Wire name.
    pub type_name: &'a str,
    /// Version of the type.
    pub schema_version: u16,
    /// Tenant.
    pub tenant: &'a str,
    /// When, in microseconds since 1970.
    pub recorded_at_micros: i64,
    /// Data as stored.
    pub data: &'a str,
    /// Meta as stored.
    pub meta: &'a str,
}

/// SHA-256 over the previous hash and every field, each with its length before it (8 bytes, big-endian).
pub fn chain(previous: &Hash, event: Hashed<'_>) -> Hash {
    let mut sha = Sha256::new();
    sha.update(previous);
    for field in [
        event.position.to_be_bytes().as_slice(),
        event.stream.as_bytes(),
        event.version.to_be_bytes().as_slice(),
        event.event_id.as_slice(),
        event.type_name.as_bytes(),
        event.schema_version.to_be_bytes().as_slice(),
        event.tenant.as_bytes(),
        event.recorded_at_micros.to_be_bytes().as_slice(),
        event.data.as_bytes(),
        event.meta.as_bytes(),
    ] {
        sha.update((field.len() as u64).to_be_bytes());
        sha.update(field);
    }
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(data: &str, meta: &str) -> Hash {
        chain(
            &ZERO_HASH,
            Hashed {
                position: 1,
                stream: "node/1",
                version: 1,
                event_id: &[7; 16],
                type_name: "node.cordoned",
                schema_version: 1,
                tenant: "main",
                recorded_at_micros: 5,
                data,
                meta,
            },
        )
    }

    #[test]
    fn a_byte_moved_between_fields_changes_the_hash() {
        assert_ne!(hash_of("ab", "c"), hash_of("a", "bc"));
    }

    #[test]
    fn the_format_is_fixed_for_ever() {
        assert_eq!(
            hex::encode(hash_of("{}", "{}")),
            "9e8291b6340488cc4b9b05f97b69c9273d323ea8684aa0057968e2fd7452a7e4"
        );
    }
}
