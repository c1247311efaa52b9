//! Makes the accounts of nodes known to the servers of the bus, and refuses those of removed nodes: in the log
//! first, then at the servers.

use crate::nats_auth::Signer;
use async_trait::async_trait;
use berth_access_core::{AccessView, Context, decide};
use berth_bus::{Bus, BusOptions};
use berth_events::AccessCommand;
use berth_eventsourcing::AppendError;
use berth_ids::{ClusterId, NodeId, Timestamp};
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{
    Clock, Decision, ServiceContext, ViewHandle, append_events, decide_over_streams, own_meta,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Looked at this often even if nothing moves; also how often servers are told again.
const INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait for the servers' answer.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// Accounts told in one activation.
const MAX_TOLD_AT_ONCE: usize = 200;
const UPDATE_SUBJECT: &str = "$SYS.REQ.CLAIMS.UPDATE";

/// Keeps until shutdown.
pub(crate) async fn keep(
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    signer: Arc<Signer>,
    system: Option<BusOptions>,
) {
    let (moves, shutdown) = (view.moves(), context.shutdown.clone());
    let accounts = Accounts {
        context,
        view,
        signer,
        system,
        connection: None,
        services_told: false,
        told: BTreeMap::new(),
    };
    drive(accounts, moves, INTERVAL, shutdown).await;
}

/// Its cluster, and since when its users are refused.
type NodeAccount = (ClusterId, Option<Timestamp>);

struct Accounts {
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    signer: Arc<Signer>,
    system: Option<BusOptions>,
    connection: Option<Bus>,
    /// The servers know since this start what the services' account offers.
    services_told: bool,
    /// What the servers know from us since this start; they keep it, but a restored one may have lost it.
    told: BTreeMap<NodeId, NodeAccount>,
}

#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {reason}")]
pub(crate) struct AccountError {
    what: &'static str,
    reason: String,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> AccountError {
    move |error| AccountError {
        what,
        reason: error.to_string(),
    }
}

impl Accounts {
    /// Records that a removed node's user is refused.
    async fn revoke(&self, node_id: NodeId, tenant: &str) -> Result<(), AccountError> {
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

    /// Tells the servers what they do not know yet, as much as one activation may.
    async fn tell_news(&mut self) -> Result<Next, AccountError> {
        let Some(bus) = self.connected().await? else {
            return Ok(Next::Notice);
        };
        if !self.services_told {
            let token = self.signer.services_token(Clock::now());
            tell(&bus, token.map_err(failed("sign the services' account"))?).await?;
            self.services_told = true;
        }
        let wanted = self.view.read(AccessView::node_accounts);
        let mut news = wanted
            .into_iter()
            .filter(|(node, account)| self.told.get(node) != Some(account));
        let now: Vec<(NodeId, NodeAccount)> = news.by_ref().take(MAX_TOLD_AT_ONCE).collect();
        let more = news.next().is_some();
        for (node, account) in now {
            let token = self.signer.node_token(node, account.0, account.1, Clock::now());
            tell(&bus, token.map_err(failed("sign a node's account"))?).await?;
            self.told.insert(node, account);
        }
        Ok(if more { Next::Now } else { Next::Notice })
    }

    async fn connected(&mut self) -> Result<Option<Bus>, AccountError> {
        let Some(options) = &self.system else {
            return Ok(None);
        };
        if self.connection.is_none() {
            let connected = Bus::connect(options).await;
            self.connection = Some(connected.map_err(failed("connect as the system account"))?);
        }
        Ok(self.connection.clone())
    }
}

/// Gives the servers an account's token.
async fn tell(bus: &Bus, token: String) -> Result<(), AccountError> {
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
    Ok(())
}

#[async_trait]
impl Reconciler for Accounts {
    type Error = AccountError;

    fn name(&self) -> &'static str {
        "accounts"
    }

    async fn activate(&mut self) -> Result<Next, AccountError> {
        for (node, tenant) in self.view.read(AccessView::to_be_revoked) {
            self.revoke(node, &tenant).await?;
        }
        self.tell_news().await
    }
}
