//! NATS JWTs of version 2: the claims as text, ready to be signed by the shell.
//!
//! Operator signs accounts, account signs users; a user proves itself with the seed of its own key, so that
//! a token alone is worth nothing.

use crate::Permissions;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_ids::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long an answer to a received message may be sent.
const RESPONSE_TTL_NANOS: u64 = 30_000_000_000;
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// A JWT without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned(String);

impl Unsigned {
    fn new(issuer: &str, subject: &str, name: &str, issued_at: Timestamp, nats: &Value) -> Self {
        let seconds = issued_at.as_millis().div_euclid(1_000);
        let claims = json!({
            "jti": format!("{subject}.{seconds}"),
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
    /// It may use JetStream.
    pub jetstream: bool,
    /// Users that are refused if their token was signed before the moment.
    pub revoked: &'a BTreeMap<String, Timestamp>,
}

/// The operator's own token.
pub fn operator_claims(operator: &str, name: &str, system_account: &str, issued_at: Timestamp) -> Unsigned {
    let nats = json!({ "type": "operator", "version": 2, "system_account": system_account });
    Unsigned::new(operator, operator, name, issued_at, &nats)
}

/// An account's token.
pub fn account_claims(claims: &AccountClaims<'_>) -> Unsigned {
    let storage = if claims.jetstream { -1 } else { 0 };
    let revocations: BTreeMap<&str, i64> = claims
        .revoked
        .iter()
        // Rounded up: a token of the same second is refused too.
        .map(|(user, at)| (user.as_str(), at.as_millis().div_euclid(1_000) + 1))
        .collect();
    let nats = json!({
        "type": "account",
        "version": 2,
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": 0, "disallow_bearer": true,
            "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        },
        "default_permissions": { "pub": {}, "sub": {} },
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
