//! Values of secrets, asked for just before a container is created and opened with the node's own key.

use crate::{
    engine::Login,
    worker::{SecretError, SecretSource},
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_bus::{async_nats::Client, subject};
use berth_events::{
    Answer, LOGIN_PASSWORD, LOGIN_USERNAME, RejectionKind, SealedSecrets, SecretRequest, spec::SecretRef,
};
use berth_ids::{AllocationId, BuildId, NodeId};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use zeroize::Zeroizing;

/// Questions for one container, and the first wait between them, while access-svc refuses.
const LAG_ATTEMPTS: u32 = 5;
const LAG_DELAY: Duration = Duration::from_millis(20);

/// Asks access-svc over the bus.
pub struct BusSecrets {
    client: Client,
    node_id: NodeId,
    sealing_seed: SecretString,
}

impl BusSecrets {
    /// A source for the node whose sealing key this is.
    pub fn new(link: &super::Link, sealing_seed: SecretString) -> Self {
        Self {
            client: link.client.clone(),
            node_id: link.node_id,
            sealing_seed,
        }
    }

    fn open_sealed(&self, sealed: &SealedSecrets) -> Result<BTreeMap<String, String>, String> {
        let own = nkeys::XKey::from_seed(self.sealing_seed.expose_secret()).map_err(|e| e.to_string())?;
        let sender = nkeys::XKey::from_public_key(&sealed.sender_key).map_err(|e| e.to_string())?;
        let bytes = STANDARD.decode(&sealed.sealed).map_err(|e| e.to_string())?;
        let text = Zeroizing::new(own.open(&bytes, &sender).map_err(|e| e.to_string())?);
        serde_json::from_slice(&text).map_err(|_| "the opened secrets do not have their shape".to_owned())
    }
}

#[async_trait]
impl SecretSource for BusSecrets {
    async fn open(
        &self,
        allocation_id: AllocationId,
        wanted: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError> {
        let asked = SecretRequest {
            allocation_id,
            build_id: None,
            wanted,
            registry: None,
        };
        let mut values = self.ask_patiently(&asked).await?;
        let found = asked.wanted.into_iter().filter_map(|secret| {
            let name = format!("{}@{}/{}", secret.secret_id, secret.version, secret.key);
            values.remove(&name).map(|value| (secret, value))
        });
        Ok(found.collect())
    }

    async fn login(&self, allocation_id: AllocationId, registry: &str) -> Result<Option<Login>, SecretError> {
        let asked = SecretRequest {
            allocation_id,
            build_id: None,
            wanted: BTreeSet::new(),
            registry: Some(registry.to_owned()),
        };
        self.ask_patiently(&asked).await.map(login_in)
    }
}

fn login_in(mut values: BTreeMap<String, String>) -> Option<Login> {
    let login = values.remove(LOGIN_USERNAME).zip(values.remove(LOGIN_PASSWORD));
    login.map(|(username, password)| Login {
        username,
        password: password.into(),
    })
}

impl BusSecrets {
    /// The login of a registry for an image that is made here; none is stored.
    pub(super) async fn login_to_build(
        &self,
        build_id: BuildId,
        registry: &str,
    ) -> Result<Option<Login>, SecretError> {
        let asked = SecretRequest {
            allocation_id: AllocationId::default(),
            build_id: Some(build_id),
            wanted: BTreeSet::new(),
            registry: Some(registry.to_owned()),
        };
        self.ask_patiently(&asked).await.map(login_in)
    }

    /// The assignment may reach this node before access-svc has read it.
    async fn ask_patiently(&self, asked: &SecretRequest) -> Result<BTreeMap<String, String>, SecretError> {
        let mut wait = LAG_DELAY;
        for _ in 1..LAG_ATTEMPTS {
            match self.ask(asked).await {
                Err(SecretError::Refused(_)) => tokio::time::sleep(wait).await,
                result => return result,
            }
            wait *= 2;
        }
        self.ask(asked).await
    }

    async fn ask(&self, asked: &SecretRequest) -> Result<BTreeMap<String, String>, SecretError> {
        let away = |error: &dyn std::fmt::Display| SecretError::Away(error.to_string());
        let payload = serde_json::to_vec(asked).map_err(|error| away(&error))?;
        let subject = subject::question("access", "secret", &self.node_id.to_string());
        let answer = self
            .client
            .request(subject, payload.into())
            .await
            .map_err(|error| away(&error))?;
        match serde_json::from_slice(&answer.payload).map_err(|error| away(&error))? {
            Answer::Ok(sealed) => self.open_sealed(&sealed).map_err(SecretError::Refused),
            Answer::Refused(rejection) if rejection.kind == RejectionKind::Unavailable => {
                Err(SecretError::Away(rejection.message))
            }
            Answer::Refused(rejection) => Err(SecretError::Refused(rejection.message)),
        }
    }
}
