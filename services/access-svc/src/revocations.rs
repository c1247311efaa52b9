//! Refuses the bus users of removed nodes: in the log first, then at the servers.

use crate::nats_auth::Signer;
use async_trait::async_trait;
use berth_access_core::{AccessView, Context, decide};
use berth_bus::{Bus, BusOptions};
use berth_events::AccessCommand;
use berth_eventsourcing::AppendError;
use berth_ids::{NodeId, Timestamp};
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{
    Clock, Decision, ServiceContext, ViewHandle, append_events, decide_over_streams, own_meta,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Looked at this often even if nothing moves; also how often servers are told again.
const INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait for the servers' answer.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
const UPDATE_SUBJECT: &str = "$SYS.REQ.CLAIMS.UPDATE";

/// Keeps until shutdown.
pub(crate) async fn keep(
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    signer: Arc<Signer>,
    system: Option<BusOptions>,
) {
    let (moves, shutdown) = (view.moves(), context.shutdown.clone());
    let revocations = Revocations {
        context,
        view,
        signer,
        system,
        connection: None,
        told: BTreeMap::new(),
    };
    drive(revocations, moves, INTERVAL, shutdown).await;
}

struct Revocations {
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    signer: Arc<Signer>,
    system: Option<BusOptions>,
    connection: Option<Bus>,
    /// What the servers know from us since this start.
    told: BTreeMap<String, Timestamp>,
}

#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {reason}")]
pub(crate) struct RevocationError {
    what: &'static str,
    reason: String,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> RevocationError {
    move |error| RevocationError {
        what,
        reason: error.to_string(),
    }
}

impl Revocations {
    /// Records that a removed node's user is refused.
    async fn revoke(&self, node_id: NodeId, tenant: &str) -> Result<(), RevocationError> {
        let asked = AccessCommand::RevokeCredential { node_id };
        let context = Context {
            tenant,
            now: Clock::now(),
        };
        let decided =
            decide_over_streams(&self.context.log(), |streams| decide(&asked, context, streams)).await;
        let decided = decided.map_err(failed("decide about a bus user"))?;
        let Decision::Append { streams, guards, .. } = decided else {
            return Ok(());
        };
        if streams.is_empty() {
            return Ok(());
        }
        match append_events(&self.context, tenant, own_meta(&self.context), streams, guards).await {
            // Somebody was faster: the view will show it.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(failed("record a revocation")(error)),
        }
    }

    /// Gives the servers the account's token, which names all that are refused.
    async fn tell(&mut self, revoked: BTreeMap<String, Timestamp>) -> Result<(), RevocationError> {
        let Some(options) = &self.system else {
            return Ok(());
        };
        let bus = match &self.connection {
            Some(bus) => bus.clone(),
            None => {
                let connected = Bus::connect(options).await;
                connected.map_err(failed("connect as the system account"))?
            }
        };
        self.connection = Some(bus.clone());
        let token = self
            .signer
            .account_token(&revoked, Clock::now())
            .map_err(failed("sign the account"))?;
        let asked = bus.client().request(UPDATE_SUBJECT, token.into());
        let answer = tokio::time::timeout(TELL_TIMEOUT, asked)
            .await
            .map_err(failed("tell the servers"))?
            .map_err(failed("tell the servers"))?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.payload).map_err(failed("read the servers' answer"))?;
        if answer["data"]["code"] != 200 {
            return Err(failed("tell the servers")(answer));
        }
        self.told = revoked;
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Revocations {
    type Error = RevocationError;

    fn name(&self) -> &'static str {
        "revocations"
    }

    async fn activate(&mut self) -> Result<Next, RevocationError> {
        for (node, tenant) in self.view.read(AccessView::to_be_revoked) {
            self.revoke(node, &tenant).await?;
        }
        let revoked = self.view.read(AccessView::revoked_users);
        if revoked != self.told {
            self.tell(revoked).await?;
        }
        Ok(Next::Notice)
    }
}
