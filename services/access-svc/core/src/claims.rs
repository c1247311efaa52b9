//! NATS JWTs of version 2: the claims as text, ready to be signed by the shell.
//!
//! Operator signs accounts, account signs users; a user proves itself with the seed of its own key, so that
//! a token alone is worth nothing.

use crate::{Direction, Permissions, Share};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_ids::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// How long an answer to a received message may be sent.
const RESPONSE_TTL_NANOS: u64 = 30_000_000_000;
/// In a list of revocations: whoever it is.
const EVERY_USER: &str = "*";
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// A JWT without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned(String);

impl Unsigned {
    fn new(issuer: &str, subject: &str, name: &str, issued_at: Timestamp, nats: &Value) -> Self {
        let seconds = issued_at.as_millis().div_euclid(1_000);
        // A server takes a token with an id that it knows for the one that it has.
        let content = Sha256::digest(nats.to_string());
        let claims = json!({
            "jti": format!("{subject}.{seconds}.{}", URL_SAFE_NO_PAD.encode(content)),
            "iat": seconds,
            "iss": issuer,
            "sub": subject,
            "name": name,
            "nats": nats,
        });
        Self(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        ))
    }

    /// What is signed.
    pub fn signing_input(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The whole token.
    pub fn signed(self, signature: &[u8]) -> String {
        format!("{}.{}", self.0, URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A user of the bus.
#[derive(Debug, Clone)]
pub struct UserClaims<'a> {
    /// Public key of the account that signs.
    pub account: &'a str,
    /// Public key of the user.
    pub user: &'a str,
    /// Name, for people.
    pub name: &'a str,
    /// When it is signed.
    pub issued_at: Timestamp,
    /// What it may do; absent: everything in its account (the system account's user).
    pub permissions: Option<&'a Permissions>,
}

/// An account of the bus.
#[derive(Debug, Clone)]
pub struct AccountClaims<'a> {
    /// Public key of the operator that signs.
    pub operator: &'a str,
    /// Public key of the account.
    pub account: &'a str,
    /// Name, for people.
    pub name: &'a str,
    /// When it is signed.
    pub issued_at: Timestamp,
    /// How much it may use.
    pub limits: AccountLimits,
    /// What it offers to every account of this operator.
    pub exports: &'a [Share],
    /// The account from which it imports, and what.
    pub imports: Option<(&'a str, &'a [Share])>,
    /// All users whose tokens were signed up to this moment are refused.
    pub revoked: Option<Timestamp>,
}

/// How much an account may use; absent: as much as the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// It may use JetStream.
    pub jetstream: bool,
    /// Connections.
    pub connections: Option<u32>,
    /// Subscriptions of all connections.
    pub subscriptions: Option<u32>,
}

/// The operator's own token.
pub fn operator_claims(operator: &str, name: &str, system_account: &str, issued_at: Timestamp) -> Unsigned {
    let nats = json!({ "type": "operator", "version": 2, "system_account": system_account });
    Unsigned::new(operator, operator, name, issued_at, &nats)
}

/// An account's token.
pub fn account_claims(claims: &AccountClaims<'_>) -> Unsigned {
    let limits = claims.limits;
    let storage = if limits.jetstream { -1 } else { 0 };
    let most = |limit: Option<u32>| limit.map_or(-1, i64::from);
    // Rounded up: a token of the same second is refused too.
    let revocations: BTreeMap<&str, i64> = claims
        .revoked
        .map(|at| (EVERY_USER, at.as_millis().div_euclid(1_000) + 1))
        .into_iter()
        .collect();
    let nats = json!({
        "type": "account",
        "version": 2,
        "limits": {
            "subs": most(limits.subscriptions), "conn": most(limits.connections), "leaf": 0,
            "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "disallow_bearer": true,
            "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        },
        "default_permissions": { "pub": {}, "sub": {} },
        "exports": claims.exports.iter().map(export).collect::<Vec<_>>(),
        "imports": imported(claims.imports),
        "revocations": revocations,
    });
    Unsigned::new(
        claims.operator,
        claims.account,
        claims.name,
        claims.issued_at,
        &nats,
    )
}

fn export(share: &Share) -> Value {
    let mut export = json!({
        "name": share.subject,
        "subject": share.subject,
        "type": share.direction.as_str(),
    });
    if let (Direction::Request, Some(fields)) = (share.direction, export.as_object_mut()) {
        fields.insert("response_type".into(), json!("Singleton"));
        fields.insert("response_threshold".into(), json!(RESPONSE_TTL_NANOS));
    }
    export
}

fn imported(imports: Option<(&str, &[Share])>) -> Vec<Value> {
    let Some((account, shares)) = imports else {
        return Vec::new();
    };
    let import = |share: &Share| {
        json!({
            "name": share.subject,
            "subject": share.subject,
            "account": account,
            "type": share.direction.as_str(),
        })
    };
    shares.iter().map(import).collect()
}

/// A user's token.
pub fn user_claims(claims: &UserClaims<'_>) -> Unsigned {
    let mut nats = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    if let (Some(permissions), Some(fields)) = (claims.permissions, nats.as_object_mut()) {
        fields.insert("pub".into(), allow(&permissions.publish));
        fields.insert("sub".into(), allow(&permissions.subscribe));
        if permissions.responds {
            fields.insert("resp".into(), json!({ "max": 1, "ttl": RESPONSE_TTL_NANOS }));
        }
    }
    Unsigned::new(claims.account, claims.user, claims.name, claims.issued_at, &nats)
}

/// An empty list would allow everything: then everything is denied by name.
fn allow(subjects: &[String]) -> Value {
    if subjects.is_empty() {
        return json!({ "deny": [">"] });
    }
    json!({ "allow": subjects })
}
