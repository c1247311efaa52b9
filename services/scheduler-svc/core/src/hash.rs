//! The identity of a container specification.

use berth_events::spec::ContainerSpec;
use sha2::{Digest, Sha256};

/// SHA-256, hexadecimal, over the specification's JSON.
///
/// That text is canonical: fields stand in the order of declaration, maps and sets are sorted, defaults are
/// left out; a field added later does not change the hash of those that do not use it.
pub fn spec_hash(spec: &ContainerSpec) -> String {
    // A specification has only text as map keys, so that encoding cannot fail; an empty text would still
    // be a valid, if useless, identity.
    let text = serde_json::to_vec(spec).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_specifications_have_equal_hashes_and_others_do_not() {
        let web = ContainerSpec {
            image: "nginx".into(),
            ..ContainerSpec::default()
        };
        let mut other = web.clone();
        assert_eq!(spec_hash(&web), spec_hash(&other));
        other.read_only = true;
        assert_ne!(spec_hash(&web), spec_hash(&other));
    }
}
