//! Destroys the secrets of removed applications: in the log first, then in the vault.

use crate::vault::Vault;
use async_trait::async_trait;
use berth_access_core::{AccessView, destroy, secret_of, secret_stream};
use berth_eventsourcing::AppendError;
use berth_ids::SecretId;
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{
    Clock, Decision, ServiceContext, ViewHandle, append_events, decide_over_streams, own_meta,
};
use std::{collections::BTreeSet, time::Duration};

/// How long secrets outlive their application: a deploy of the same name may be on its way.
pub const REMOVED_SECRET_GRACE: Duration = Duration::from_secs(30);
/// Looked at this often even if nothing moves: graces end without an event.
const INTERVAL: Duration = Duration::from_secs(10);
/// Secrets destroyed in one activation.
const MAX_AT_ONCE: usize = 200;

/// Keeps until shutdown.
pub(crate) async fn keep(
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    vault: Vault,
    grace: Duration,
) {
    let (moves, shutdown) = (view.moves(), context.shutdown.clone());
    let erasure = Erasure {
        context,
        view,
        vault,
        grace,
        erased: BTreeSet::new(),
    };
    drive(erasure, moves, INTERVAL.min(grace.max(MIN_INTERVAL)), shutdown).await;
}

/// The shortest time between two looks.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

struct Erasure {
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    vault: Vault,
    grace: Duration,
    /// What this process knows to be gone from the vault.
    erased: BTreeSet<SecretId>,
}

#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {reason}")]
pub(crate) struct ErasureError {
    what: &'static str,
    reason: String,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ErasureError {
    move |error| ErasureError {
        what,
        reason: error.to_string(),
    }
}

impl Erasure {
    /// Says in the log that a secret is destroyed: from then on nobody stores or is given a version of it.
    async fn record(&self, secret: SecretId, tenant: &str) -> Result<(), ErasureError> {
        let decided = decide_over_streams(&self.context.log(), |streams| {
            let stream = secret_stream(secret);
            let loaded = streams.get(&stream)?;
            let events = destroy(&secret_of(loaded));
            Ok(berth_eventsourcing::Decision::nothing().with(stream, loaded.version, events))
        })
        .await;
        let decided = decided.map_err(failed("decide about a secret"))?;
        let Decision::Append { streams, guards, .. } = decided else {
            return Ok(());
        };
        if streams.is_empty() {
            return Ok(());
        }
        match append_events(&self.context, tenant, own_meta(&self.context), streams, guards).await {
            // A version was stored meanwhile, or another instance was faster: the view will show it.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(failed("record that a secret is destroyed")(error)),
        }
    }

    /// Takes what the log says is destroyed out of the vault; repeated at every start.
    async fn erase(&mut self) -> Result<(), ErasureError> {
        let destroyed = self.view.read(AccessView::destroyed_secrets);
        let news: Vec<SecretId> = destroyed.difference(&self.erased).copied().collect();
        let mut any = false;
        for secret in news.into_iter().take(MAX_AT_ONCE) {
            any |= self
                .vault
                .destroy(secret)
                .await
                .map_err(failed("destroy a secret"))?;
            self.erased.insert(secret);
        }
        if any && let Err(error) = self.vault.sweep().await {
            tracing::warn!(%error, "destroyed keys stay in the database's files until it sweeps them itself");
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Erasure {
    type Error = ErasureError;

    fn name(&self) -> &'static str {
        "erasure"
    }

    async fn activate(&mut self) -> Result<Next, ErasureError> {
        let due = self
            .view
            .read(|view| view.to_be_destroyed(Clock::now(), self.grace));
        for (secret, tenant) in due.into_iter().take(MAX_AT_ONCE) {
            self.record(secret, &tenant).await?;
        }
        self.erase().await?;
        Ok(Next::Notice)
    }
}
