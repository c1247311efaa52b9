//! Values of secrets, asked for just before a container is created and opened with the node's own key.

use crate::worker::{SecretError, SecretSource};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_bus::{async_nats::Client, subject};
use berth_events::{Answer, RejectionKind, SealedSecrets, SecretRequest, spec::SecretRef};
use berth_ids::{AllocationId, NodeId};
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
        // The assignment may reach this node before access-svc has read it.
        let mut wait = LAG_DELAY;
        for _ in 1..LAG_ATTEMPTS {
            match self.ask(allocation_id, &wanted).await {
                Err(SecretError::Refused(_)) => tokio::time::sleep(wait).await,
                result => return result,
            }
            wait *= 2;
        }
        self.ask(allocation_id, &wanted).await
    }
}

impl BusSecrets {
    async fn ask(
        &self,
        allocation_id: AllocationId,
        wanted: &BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError> {
        let away = |error: &dyn std::fmt::Display| SecretError::Away(error.to_string());
        let request = SecretRequest {
            allocation_id,
            wanted: wanted.clone(),
        };
        let payload = serde_json::to_vec(&request).map_err(|error| away(&error))?;
        let subject = subject::question("access", "secret", &self.node_id.to_string());
        let answer = self
            .client
            .request(subject, payload.into())
            .await
            .map_err(|error| away(&error))?;
        match serde_json::from_slice(&answer.payload).map_err(|error| away(&error))? {
            Answer::Ok(sealed) => {
                let mut values = self.open_sealed(&sealed).map_err(SecretError::Refused)?;
                let found = wanted.iter().filter_map(|secret| {
                    let name = format!("{}@{}/{}", secret.secret_id, secret.version, secret.key);
                    values.remove(&name).map(|value| (secret.clone(), value))
                });
                Ok(found.collect())
            }
            Answer::Refused(rejection) if rejection.kind == RejectionKind::Unavailable => {
                Err(SecretError::Away(rejection.message))
            }
            Answer::Refused(rejection) => Err(SecretError::Refused(rejection.message)),
        }
    }
}
