//! The agent's access to the bus, kept fresh while it runs: rights of its bus user, and the certificates by
//! which it checks the bus.
//!
//! Access has no end of its own (a node that was off for months comes back), so what is renewed is what a later
//! release or another CA has changed. What comes is kept on disk first; the next connection uses it, and one is
//! made at once when rights have changed.

use super::{Link, LinkError, SendError, encode};
use crate::state::{Identity, Membership, StateDir};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_bus::{
    async_nats::{Auth, AuthError},
    subject,
};
use berth_events::{Answer, RenewAccess, RenewedAccess};
use rand::RngExt as _;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Time between two renewals of a connection that lasts.
const RENEW_INTERVAL: Duration = Duration::from_secs(600);
/// Wait after a question that nobody answered; it doubles with each in a row.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The longest wait before the question of a new connection: all agents connect at once after an outage.
const MAX_JITTER: Duration = Duration::from_secs(3);
/// Time between two connections made for other rights: services of two releases may answer in turn.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(300);

/// What the next connection is made with.
pub(super) struct Access {
    state: StateDir,
    identity: Identity,
    member: RwLock<Membership>,
    key: nkeys::KeyPair,
}

/// What a renewal changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    /// Takes force with the next connection.
    Pins,
    /// Other rights take force with a new connection only.
    Rights,
}

impl Access {
    pub(super) fn new(state: StateDir, identity: Identity, member: Membership) -> Result<Self, LinkError> {
        let key = nkeys::KeyPair::from_seed(identity.user_seed.expose_secret()).map_err(LinkError::Seed)?;
        Ok(Self {
            state,
            identity,
            member: RwLock::new(member),
            key,
        })
    }

    /// Proves to a server who this is, with the newest token.
    pub(super) fn prove(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        let member = self.member.read().unwrap_or_else(PoisonError::into_inner);
        if !member.user_jwt.is_empty() {
            auth.jwt = Some(member.user_jwt.clone());
            auth.signature = Some(self.key.sign(nonce).map_err(AuthError::new)?);
        }
        Ok(auth)
    }

    /// The certificates by which the bus is checked.
    pub(super) fn ca_pem(&self) -> String {
        let member = self.member.read().unwrap_or_else(PoisonError::into_inner);
        member.ca_pem.clone()
    }

    /// Keeps what has changed, on disk before it is used.
    fn take(&self, renewed: RenewedAccess) -> Result<Change, String> {
        let now = self.member.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut next = now.clone();
        if rights_of(&renewed.user_jwt).is_none() {
            return Err("the token of the bus user cannot be read".to_owned());
        }
        if rights_of(&renewed.user_jwt) != rights_of(&now.user_jwt) {
            next.user_jwt = renewed.user_jwt;
        }
        // An agent that checks the bus goes on to: no answer takes that away.
        if !now.ca_pem.is_empty() && renewed.ca_pem != now.ca_pem {
            check_certificates(&renewed.ca_pem)?;
            next.ca_pem = renewed.ca_pem;
        }
        let change = match (next.user_jwt != now.user_jwt, next.ca_pem != now.ca_pem) {
            (true, _) => Change::Rights,
            (false, true) => Change::Pins,
            (false, false) => return Ok(Change::Nothing),
        };
        let identity = Identity {
            membership: Some(next.clone()),
            ..self.identity.clone()
        };
        self.state
            .keep_identity(&identity)
            .map_err(|error| error.to_string())?;
        *self.member.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(change)
    }
}

/// What a bus user may do, as its token says.
fn rights_of(jwt: &str) -> Option<serde_json::Value> {
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let mut claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get_mut("nats").map(serde_json::Value::take)
}

fn check_certificates(pem: &str) -> Result<(), String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) => Err("there is no certificate in what the bus is to be checked by".to_owned()),
        Err(error) => Err(format!(
            "the certificates that the bus is to be checked by cannot be read: {error}"
        )),
    }
}

/// Renews after each connection, and from time to time while it lasts.
pub(super) async fn run(link: Link, access: Arc<Access>) {
    let mut up = link.up.clone();
    let mut reconnected: Option<Instant> = None;
    let mut retry = RETRY_DELAY;
    loop {
        if up.wait_for(|up| *up).await.is_err() {
            return;
        }
        let jitter = rand::rng().random_range(Duration::ZERO..MAX_JITTER);
        tokio::time::sleep(jitter).await;
        let wait = match renew(&link, &access).await {
            Ok(change) => {
                retry = RETRY_DELAY;
                let late = reconnected.is_none_or(|at| at.elapsed() >= RECONNECT_INTERVAL);
                if change == Change::Rights && late {
                    reconnected = Some(Instant::now());
                    tracing::info!("the rights of this agent on the bus have changed: connecting anew");
                    if let Err(error) = link.client.force_reconnect().await {
                        tracing::warn!(%error, "the next connection will have the new rights");
                    }
                }
                RENEW_INTERVAL
            }
            Err(reason) => {
                tracing::warn!(
                    reason,
                    "access to the bus was not renewed; trying again in {retry:?}"
                );
                let next = (retry * 2).min(MAX_RETRY_DELAY);
                std::mem::replace(&mut retry, next)
            }
        };
        up.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = up.changed() => if changed.is_err() { return },
        }
    }
}

async fn renew(link: &Link, access: &Arc<Access>) -> Result<Change, String> {
    let renewed = ask(link).await?;
    let access = Arc::clone(access);
    let change = tokio::task::spawn_blocking(move || access.take(renewed))
        .await
        .map_err(|error| error.to_string())??;
    if change != Change::Nothing {
        tracing::info!("access to the bus was renewed");
    }
    Ok(change)
}

async fn ask(link: &Link) -> Result<RenewedAccess, String> {
    let subject = subject::question("access", "renew", &link.node_id.to_string());
    let payload = encode(&subject, &RenewAccess::default()).map_err(|error: SendError| error.to_string())?;
    let answer = link
        .client
        .request(subject, payload)
        .await
        .map_err(|error| error.to_string())?;
    match serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())? {
        Answer::Ok(renewed) => Ok(renewed),
        Answer::Refused(rejection) => Err(rejection.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_ids::{ClusterId, NodeId};
    use secrecy::SecretString;

    fn token(issued_at: u32, rights: &str) -> String {
        let claims = format!(r#"{{"iat":{issued_at},"nats":{{"pub":["{rights}"]}}}}"#);
        format!("head.{}.sign", URL_SAFE_NO_PAD.encode(claims))
    }

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        params.self_signed(&key).unwrap().pem()
    }

    struct Folder(tempfile::TempDir, Access);

    fn access(user_jwt: String, ca_pem: String) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let member = Membership {
            name: "n1".into(),
            cluster_id: ClusterId::from_u128(1),
            tenant: "main".into(),
            user_jwt,
            nats_urls: vec![],
            ca_pem,
            address: String::new(),
        };
        let identity = Identity {
            node_id: NodeId::from_u128(7),
            membership: Some(member.clone()),
            user_seed: SecretString::from(nkeys::KeyPair::new_user().seed().unwrap()),
            sealing_seed: SecretString::from("SX"),
        };
        let state = StateDir::open(folder.path()).unwrap();
        state.keep_identity(&identity).unwrap();
        Folder(folder, Access::new(state, identity, member).unwrap())
    }

    fn kept(folder: &Folder) -> Membership {
        let identity = StateDir::open(folder.0.path()).unwrap().identity().unwrap();
        identity.unwrap().membership.unwrap()
    }

    #[test]
    fn what_has_changed_is_kept_on_disk_and_used_for_the_next_connection() {
        let (old, new) = (pem(), format!("{}{}", pem(), pem()));
        let folder = access(token(1, "a"), old.clone());
        let take = |user_jwt: String, ca_pem: &str| {
            let ca_pem = ca_pem.to_owned();
            folder.1.take(RenewedAccess { user_jwt, ca_pem })
        };
        assert_eq!(take(token(2, "a"), &old), Ok(Change::Nothing), "the same rights");
        assert_eq!(take(token(2, "a"), &new), Ok(Change::Pins));
        assert_eq!(take(token(3, "b"), &new), Ok(Change::Rights));
        let member = kept(&folder);
        assert_eq!((member.user_jwt, member.ca_pem), (token(3, "b"), new.clone()));
        let pins = std::fs::read_to_string(folder.0.path().join("agent/ca.pem")).unwrap();
        assert_eq!(pins, new);
        let proof = folder.1.prove(b"nonce").unwrap();
        assert_eq!(proof.jwt, Some(token(3, "b")));
        assert!(proof.signature.is_some());
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let (rights, pins) = (token(1, "a"), pem());
        let folder = access(rights.clone(), pins.clone());
        for (user_jwt, ca_pem) in [
            ("none".to_owned(), pins.clone()),
            (token(2, "b"), String::new()),
            (
                token(2, "b"),
                "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned(),
            ),
        ] {
            folder.1.take(RenewedAccess { user_jwt, ca_pem }).unwrap_err();
        }
        let member = kept(&folder);
        assert_eq!((member.user_jwt, member.ca_pem), (rights, pins));
    }
}
