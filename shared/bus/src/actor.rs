//! Who a command is from: the gateway, which has checked who speaks, signs every command that it sends. A
//! service believes only such a command when it says that it comes from a person, a token or a node.

use crate::{BusError, Delivered};
use berth_events::{Command, Rejection, RejectionKind};
use nkeys::KeyPair;
use std::{path::Path, sync::Arc};

/// Header of the signature, hexadecimal.
pub(crate) const PROOF_HEADER: &str = "Berth-Proof";
/// The user that signs.
const SIGNER: &str = "gateway";
/// Its public key, beside the credentials of every service.
const SIGNER_KEY: &str = "gateway.pub";
/// What a service calls itself; it needs no proof, for the bus lets it send only its own verbs.
const OWN: &str = "service:";
const SEED_BEGINS: &str = "-----BEGIN USER NKEY SEED-----";

/// What signs and what is believed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Actors(Option<Arc<Keys>>);

struct Keys {
    own: Option<KeyPair>,
    gateway: Option<KeyPair>,
}

impl Actors {
    /// From a folder of credentials. Where there is no public key of the gateway, no user is believed.
    pub(crate) fn beside(credentials: &Path, user: &str) -> Result<Self, BusError> {
        let unreadable = |path: &Path| {
            let path = path.display().to_string();
            move |source| BusError::Credentials { path, source }
        };
        let public = credentials.with_file_name(SIGNER_KEY);
        let gateway = match std::fs::read_to_string(&public) {
            Ok(text) => KeyPair::from_public_key(text.trim()).ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&public)(error)),
        };
        let own = if user == SIGNER {
            let text = std::fs::read_to_string(credentials).map_err(unreadable(credentials))?;
            seed_of(&text).and_then(|seed| KeyPair::from_seed(seed).ok())
        } else {
            None
        };
        Ok(Self(Some(Arc::new(Keys { own, gateway }))))
    }

    pub(crate) fn sign(&self, subject: &str, payload: &[u8]) -> Option<String> {
        let key = self.0.as_ref()?.own.as_ref()?;
        key.sign(&signed(subject, payload)).ok().map(hex::encode)
    }

    /// Whether the actor may be believed. Without credentials, as in tests, everybody is.
    pub(crate) fn proves(&self, actor: &str, delivered: &Delivered) -> bool {
        let Some(keys) = &self.0 else {
            return true;
        };
        if actor.starts_with(OWN) {
            return true;
        }
        let proof = delivered.proof.as_ref().and_then(|proof| hex::decode(proof).ok());
        let (Some(gateway), Some(proof)) = (&keys.gateway, proof) else {
            return false;
        };
        let signed = signed(&delivered.subject, &delivered.payload);
        gateway.verify(&signed, &proof).is_ok()
    }
}

fn seed_of(credentials: &str) -> Option<&str> {
    credentials.split_once(SEED_BEGINS)?.1.split_whitespace().next()
}

/// A subject has no line break, so no other pair gives the same bytes.
fn signed(subject: &str, payload: &[u8]) -> Vec<u8> {
    [subject.as_bytes(), b"\n", payload].concat()
}

pub(crate) fn unproven(command: &Command) -> Rejection {
    Rejection {
        kind: RejectionKind::Forbidden,
        code: "command.actor_unproven".into(),
        message: format!(
            "command {} says that it is from `{}`, and the gateway has not signed that",
            command.command_id, command.actor
        ),
        cure: Some("send it through the API".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(subject: &str, proof: Option<String>) -> Delivered {
        Delivered {
            subject: subject.into(),
            payload: "{}".into(),
            proof,
        }
    }

    #[test]
    fn a_user_is_believed_only_under_the_gateways_signature() {
        let key = KeyPair::new_user();
        let folder = std::env::temp_dir().join(format!("berth-actor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("{SEED_BEGINS}\n{}\n", key.seed().unwrap());
        std::fs::write(folder.join("gateway.creds"), text).unwrap();
        std::fs::write(folder.join(SIGNER_KEY), key.public_key()).unwrap();
        let gateway = Actors::beside(&folder.join("gateway.creds"), "gateway").unwrap();
        let service = Actors::beside(&folder.join("cluster.creds"), "cluster").unwrap();
        let proof = gateway.sign("cmd.cluster.x.-", b"{}");
        assert!(proof.is_some() && service.sign("cmd.cluster.x.-", b"{}").is_none());
        assert!(service.proves("token:1", &delivered("cmd.cluster.x.-", proof.clone())));
        assert!(!service.proves("token:1", &delivered("cmd.cluster.y.-", proof)));
        assert!(!service.proves("token:1", &delivered("cmd.cluster.x.-", None)));
        assert!(service.proves("service:monitor", &delivered("cmd.cluster.x.-", None)));
        std::fs::remove_file(folder.join(SIGNER_KEY)).unwrap();
        let blind = Actors::beside(&folder.join("cluster.creds"), "cluster").unwrap();
        assert!(!blind.proves("token:1", &delivered("cmd.cluster.x.-", None)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
