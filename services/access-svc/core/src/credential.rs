//! The rules of a node's bus user, `credential/<node>`: one node, one key, revoked for ever.

use crate::refusal::{conflict, invalid};
use berth_events::{CredentialEvent, CredentialIssued, CredentialRevoked, Event, Rejection};
use berth_eventsourcing::LoadedStream;

/// Length of a public nkey in characters.
const NKEY_CHARS: usize = 56;

/// What the events of a credential add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// What was issued; absent: nothing.
    pub issued: Option<CredentialIssued>,
    /// It is refused.
    pub revoked: bool,
}

/// The state of a loaded credential stream.
pub fn credential_of(stream: &LoadedStream) -> Credential {
    stream
        .events
        .iter()
        .fold(Credential::default(), |mut credential, event| {
            match event {
                Event::Credential(CredentialEvent::Issued(issued)) => {
                    credential.issued = Some(issued.clone())
                }
                Event::Credential(CredentialEvent::Revoked(_)) => credential.revoked = true,
                _ => {}
            }
            credential
        })
}

/// Issues a bus user. A node that has one keeps it: who else presents its id, even with a good token, could
/// otherwise take its place and read its assignment.
pub(crate) fn issue(
    credential: &Credential,
    wanted: &CredentialIssued,
) -> Result<Vec<CredentialEvent>, Rejection> {
    check_key("user", &wanted.user_key, 'U')?;
    check_key("sealing", &wanted.sealing_key, 'X')?;
    match &credential.issued {
        _ if credential.revoked => Err(conflict(
            "access.node_removed",
            "this identity was removed from its cluster".to_owned(),
            "delete the agent's data folder, so that it joins as a new node",
        )),
        Some(issued) if issued == wanted => Ok(vec![]),
        Some(_) => Err(conflict(
            "access.node_taken",
            format!("node {} has joined with other keys", wanted.node_id),
            "delete the agent's data folder, so that it joins as a new node",
        )),
        None => Ok(vec![CredentialEvent::Issued(wanted.clone())]),
    }
}

/// Refuses a bus user from now on.
pub(crate) fn revoke(credential: &Credential) -> Vec<CredentialEvent> {
    match (&credential.issued, credential.revoked) {
        (Some(issued), false) => vec![CredentialEvent::Revoked(CredentialRevoked {
            user_key: issued.user_key.clone(),
        })],
        (Some(_), true) | (None, _) => vec![],
    }
}

fn check_key(what: &str, key: &str, prefix: char) -> Result<(), Rejection> {
    let base32 = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
    if key.len() == NKEY_CHARS && key.starts_with(prefix) && key.chars().all(base32) {
        return Ok(());
    }
    Err(invalid(
        "access.key_invalid",
        format!("the {what} key is no public nkey beginning with `{prefix}`"),
        "join with an agent of this release",
    ))
}
