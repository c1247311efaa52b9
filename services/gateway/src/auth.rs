//! Who speaks, and whether it may.

use crate::{app::App, problem::Fault};
use axum::http::{HeaderMap, header};
use berth_api::API_TOKEN_PREFIX;
use berth_bus::AskError;
use berth_events::{Authenticate, Principal, Scope};
use berth_gateway_core::Access;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer of access-svc is believed: a revoked token is refused after this at the latest.
const SESSION_TTL: Duration = Duration::from_secs(5);
/// Answers remembered.
const MAX_SESSIONS: usize = 10_000;
/// The longest token.
const MAX_TOKEN_CHARS: usize = 256;

/// What a handler needs of its caller. `Admin` may everything.
pub(crate) trait Need: Send + Sync + 'static {
    /// Any of these is enough.
    const SCOPES: &'static [Scope];
}

/// To see: every scope may.
pub(crate) struct Reading;
/// To deploy and change applications.
pub(crate) struct Deploying;
/// To change clusters and nodes.
pub(crate) struct Operating;
/// To change who may what.
pub(crate) struct Administering;

impl Need for Reading {
    const SCOPES: &'static [Scope] = &[Scope::Read, Scope::Deploy, Scope::Nodes];
}
impl Need for Deploying {
    const SCOPES: &'static [Scope] = &[Scope::Deploy];
}
impl Need for Operating {
    const SCOPES: &'static [Scope] = &[Scope::Nodes];
}
impl Need for Administering {
    const SCOPES: &'static [Scope] = &[];
}

/// A caller who may do what the handler does.
pub(crate) struct Caller<N> {
    pub(crate) principal: Principal,
    pub(crate) access: Access,
    need: PhantomData<N>,
}

/// Scopes as `berth token create --scope` takes them.
fn words<'s>(scopes: impl IntoIterator<Item = &'s Scope>) -> String {
    let words = scopes
        .into_iter()
        .map(|scope| format!("`{scope:?}`").to_lowercase());
    words.collect::<Vec<_>>().join(", ")
}

impl<N: Need> Caller<N> {
    /// Reads the bearer token, asks who that is, and checks scope and rate.
    pub(crate) async fn of(app: &App, headers: &HeaderMap) -> Result<Self, Fault> {
        let principal = principal(app, headers).await?;
        if !may(&principal, N::SCOPES) {
            return Err(Fault::forbidden(
                "access.scope",
                format!(
                    "the token may {}; this needs `admin` or one of {}",
                    words(&principal.scopes),
                    words(N::SCOPES)
                ),
            )
            .cure("ask an administrator for a token with that scope"));
        }
        if !app.rates.take(&principal.actor, Instant::now()) {
            return Err(Fault::new(
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                "request.rate",
                "this token makes too many requests",
            )
            .cure("wait a moment, or ask for larger pages"));
        }
        Ok(Self {
            access: Access::from(&principal),
            principal,
            need: PhantomData,
        })
    }

    /// Whether it has a scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        may(&self.principal, &[scope])
    }
}

fn may(principal: &Principal, any: &[Scope]) -> bool {
    principal.scopes.contains(&Scope::Admin) || any.iter().any(|scope| principal.scopes.contains(scope))
}

async fn principal(app: &App, headers: &HeaderMap) -> Result<Principal, Fault> {
    let missing = || {
        Fault::unauthorized("access.token_missing", "this needs a token")
            .cure(format!("send `Authorization: Bearer {API_TOKEN_PREFIX}…`"))
    };
    let text = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(missing)?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let secret = secret_of(token.trim()).ok_or_else(|| {
        Fault::unauthorized(
            "access.token_shape",
            "the token does not have the shape of an API token",
        )
        .cure(format!(
            "an API token looks like `{API_TOKEN_PREFIX}<id>.<secret>`"
        ))
    })?;
    app.sessions.principal(app, hash(secret)).await
}

/// The secret part of `berth-api-<id>.<secret>`.
fn secret_of(token: &str) -> Option<&str> {
    if token.len() > MAX_TOKEN_CHARS {
        return None;
    }
    let (id, secret) = token.strip_prefix(API_TOKEN_PREFIX)?.split_once('.')?;
    let well = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()) && !secret.is_empty();
    well.then_some(secret)
}

/// SHA-256 of a secret, hexadecimal.
pub(crate) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Who speaks, remembered for a moment.
#[derive(Default)]
pub(crate) struct Sessions {
    known: Mutex<HashMap<String, (Principal, Instant)>>,
}

impl Sessions {
    async fn principal(&self, app: &App, hash: String) -> Result<Principal, Fault> {
        if let Some(principal) = self.known(&hash, Instant::now()) {
            return Ok(principal);
        }
        let asked_at = Instant::now();
        let question = Authenticate { hash: hash.clone() };
        let answer: Result<Principal, AskError> = app
            .context
            .bus
            .ask("access", "authenticate", "-", &question)
            .await;
        match answer {
            Ok(principal) => {
                self.remember(hash, principal.clone(), asked_at);
                Ok(principal)
            }
            Err(AskError::Refused(rejection)) => {
                let mut fault = Fault::unauthorized(&rejection.code, rejection.message);
                if let Some(cure) = rejection.cure {
                    fault = fault.cure(cure);
                }
                Err(fault)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn known(&self, hash: &str, now: Instant) -> Option<Principal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (principal, since) = known.get(hash)?;
        (now.saturating_duration_since(*since) < SESSION_TTL).then(|| principal.clone())
    }

    fn remember(&self, hash: String, principal: Principal, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SESSIONS {
            known.retain(|_, (_, since)| now.saturating_duration_since(*since) < SESSION_TTL);
        }
        if known.len() < MAX_SESSIONS {
            known.insert(hash, (principal, now));
        }
    }

    /// Forgets everything, so that a change made here is seen at once.
    pub(crate) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_api_tokens_have_a_secret() {
        let id = "0".repeat(32);
        assert_eq!(secret_of(&format!("berth-api-{id}.abc")), Some("abc"));
        for wrong in [
            format!("berth-join-{id}.abc"),
            format!("berth-api-{id}"),
            format!("berth-api-{id}."),
            "berth-api-xyz.abc".to_owned(),
            format!("berth-api-{id}.{}", "x".repeat(300)),
        ] {
            assert_eq!(secret_of(&wrong), None, "{wrong}");
        }
    }

    fn principal(scopes: &[Scope]) -> Principal {
        Principal {
            actor: "token:1".into(),
            tenant: "main".into(),
            scopes: scopes.iter().copied().collect(),
            clusters: Default::default(),
        }
    }

    #[test]
    fn scopes_open_what_they_say() {
        let cases: [(&[Scope], [bool; 4]); 5] = [
            (&[Scope::Admin], [true, true, true, true]),
            (&[Scope::Read], [true, false, false, false]),
            (&[Scope::Deploy], [true, true, false, false]),
            (&[Scope::Nodes], [true, false, true, false]),
            (&[], [false, false, false, false]),
        ];
        for (scopes, expected) in cases {
            let who = principal(scopes);
            let found = [
                Reading::SCOPES,
                Deploying::SCOPES,
                Operating::SCOPES,
                Administering::SCOPES,
            ]
            .map(|any| may(&who, any));
            assert_eq!(found, expected, "{scopes:?}");
        }
    }

    #[test]
    fn a_session_ends() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        sessions.remember("h".into(), principal(&[Scope::Read]), start);
        assert!(sessions.known("h", start + Duration::from_secs(4)).is_some());
        assert!(sessions.known("h", start + Duration::from_secs(5)).is_none());
        sessions.forget();
        assert!(sessions.known("h", start).is_none());
    }
}
