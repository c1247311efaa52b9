//! The rules of one token, `token/<id>`: what it opens, and whether it still does.

use crate::refusal::{conflict, forbidden, invalid, not_found};
use berth_events::{Event, Rejection, TokenEvent, TokenGrant, TokenMinted, TokenRevoked, TokenUsed};
use berth_eventsourcing::LoadedStream;
use berth_ids::{ClusterId, NodeId, Timestamp};
use std::collections::BTreeSet;

/// The longest label, in bytes.
const MAX_LABEL_BYTES: usize = 128;
/// Length of a SHA-256 in hexadecimal.
const HASH_CHARS: usize = 64;

/// What the events of a token add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// How it was minted; absent: never.
    pub minted: Option<TokenMinted>,
    /// Nodes that joined by it.
    pub uses: BTreeSet<NodeId>,
    /// It opens nothing any more.
    pub revoked: bool,
}

/// The state of a loaded token stream.
pub fn token_of(stream: &LoadedStream) -> Token {
    stream.events.iter().fold(Token::default(), |mut token, event| {
        match event {
            Event::Token(TokenEvent::Minted(minted)) => token.minted = Some(minted.clone()),
            Event::Token(TokenEvent::Used(used)) => {
                token.uses.insert(used.node_id);
            }
            Event::Token(TokenEvent::Revoked(_)) => token.revoked = true,
            _ => {}
        }
        token
    })
}

/// Mints a token.
pub(crate) fn mint(
    token: &Token,
    wanted: &TokenMinted,
    now: Timestamp,
) -> Result<Vec<TokenEvent>, Rejection> {
    match &token.minted {
        Some(minted) if minted == wanted => return Ok(vec![]),
        Some(_) => {
            return Err(conflict(
                "access.token_exists",
                format!("token {} was minted before", wanted.token_id),
                "use a new id",
            ));
        }
        None => {}
    }
    check_minted(wanted, now)?;
    Ok(vec![TokenEvent::Minted(wanted.clone())])
}

fn check_minted(wanted: &TokenMinted, now: Timestamp) -> Result<(), Rejection> {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if wanted.hash.len() != HASH_CHARS || !wanted.hash.chars().all(hexadecimal) {
        return Err(invalid(
            "access.hash_invalid",
            "the hash of a token is a SHA-256 in lower-case hexadecimal".to_owned(),
            "send the hash of the secret, never the secret",
        ));
    }
    if wanted.label.len() > MAX_LABEL_BYTES || wanted.label.chars().any(char::is_control) {
        return Err(invalid(
            "access.label_invalid",
            format!("the label is longer than {MAX_LABEL_BYTES} bytes or holds a control character"),
            "choose a shorter label",
        ));
    }
    if wanted.expires_at.is_some_and(|end| end <= now) {
        return Err(invalid(
            "access.expiry_past",
            format!("the token would have expired before {now}"),
            "give a moment in the future",
        ));
    }
    match &wanted.grant {
        TokenGrant::Join { max_uses: 0, .. } if wanted.expires_at.is_none() => Err(invalid(
            "access.join_token_unbounded",
            "a join token without a limit of uses must expire".to_owned(),
            "give it an expiry or a number of uses",
        )),
        TokenGrant::Api { scopes, .. } if scopes.is_empty() => Err(invalid(
            "access.no_scope",
            "the token would open nothing".to_owned(),
            "name at least one of: admin, read, deploy, nodes",
        )),
        TokenGrant::Join { .. } | TokenGrant::Api { .. } => Ok(()),
    }
}

/// Revokes a token.
pub(crate) fn revoke(token: &Token) -> Result<Vec<TokenEvent>, Rejection> {
    match (&token.minted, token.revoked) {
        (None, _) => Err(not_found(
            "access.token_unknown",
            "there is no such token".to_owned(),
        )),
        (Some(_), true) => Ok(vec![]),
        (Some(_), false) => Ok(vec![TokenEvent::Revoked(TokenRevoked {})]),
    }
}

/// Uses a join token for a node; answers the cluster that it opens.
///
/// A token that is wrong, unknown, or of another kind gets one and the same refusal.
pub(crate) fn redeem(
    token: &Token,
    hash: &str,
    node_id: NodeId,
    now: Timestamp,
) -> Result<(ClusterId, Vec<TokenEvent>), Rejection> {
    let wrong = || {
        forbidden(
            "access.token_wrong",
            "this is not a join token of ours",
            "mint a new one with `berth token create --join`",
        )
    };
    let minted = token.minted.as_ref().ok_or_else(wrong)?;
    if !constant_time_eq(minted.hash.as_bytes(), hash.as_bytes()) {
        return Err(wrong());
    }
    let TokenGrant::Join { cluster_id, max_uses } = &minted.grant else {
        return Err(wrong());
    };
    still_open(token, now)?;
    if token.uses.contains(&node_id) {
        return Ok((*cluster_id, vec![]));
    }
    if *max_uses > 0 && token.uses.len() >= *max_uses as usize {
        return Err(forbidden(
            "access.token_used_up",
            "the join token has been used as often as it may be",
            "mint a new one",
        ));
    }
    Ok((*cluster_id, vec![TokenEvent::Used(TokenUsed { node_id })]))
}

fn still_open(token: &Token, now: Timestamp) -> Result<(), Rejection> {
    if token.revoked {
        return Err(forbidden(
            "access.token_revoked",
            "the token was revoked",
            "mint a new one",
        ));
    }
    let expires_at = token.minted.as_ref().and_then(|minted| minted.expires_at);
    match expires_at {
        Some(end) if end <= now => Err(forbidden(
            "access.token_expired",
            &format!("the token expired at {end}"),
            "mint a new one; if it is new, compare the clocks of both machines",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Compares without telling by its time where two texts differ.
pub fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differing) == 0 && one.len() == other.len()
}
