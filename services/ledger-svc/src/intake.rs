//! `led.append.<service>`: appends that arrive over the bus. Only the active writer listens.

use crate::{
    error::LedgerError,
    queue::{LedgerHandle, MAX_QUEUED, unavailable},
};
use async_nats::{Client, Message};
use berth_eventsourcing::{AppendError, AppendRequest, Appended};
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SUBJECT: &str = "led.append.*";
const GROUP: &str = "ledger";

/// Takes appends until `stop`; then answers those that were taken.
///
/// # Errors
/// [`LedgerError::Bus`] if the subscription cannot be made.
pub(crate) async fn take_appends(
    client: &Client,
    handle: &LedgerHandle,
    stop: &CancellationToken,
) -> Result<(), LedgerError> {
    let mut appends = client
        .queue_subscribe(SUBJECT, GROUP.to_owned())
        .await
        .map_err(LedgerError::bus("listen for appends"))?;
    // More than the queue holds, so that it is the queue that says "busy".
    let limit = Arc::new(Semaphore::new(2 * MAX_QUEUED));
    let tasks = TaskTracker::new();
    while let Some(message) = tokio::select! {
        message = appends.next() => message,
        () = stop.cancelled() => None,
    } {
        let Some(reply) = message.reply.clone() else {
            continue;
        };
        let Ok(permit) = limit.clone().try_acquire_owned() else {
            answer(client, reply, &Err(AppendError::Busy)).await;
            continue;
        };
        let (client, handle) = (client.clone(), handle.clone());
        tasks.spawn(async move {
            let result = append(&handle, &message).await;
            answer(&client, reply, &result).await;
            drop(permit);
        });
    }
    // The server may have handed over some that are still in the client: they are not lost but refused.
    let _ = appends.unsubscribe().await;
    while let Some(message) = appends.next().await {
        if let Some(reply) = message.reply {
            answer(client, reply, &Err(unavailable("this writer has stopped"))).await;
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn append(handle: &LedgerHandle, message: &Message) -> Result<Appended, AppendError> {
    // The server's rights let only the service itself use its subject.
    let caller = message.subject.rsplit('.').next().unwrap_or_default();
    let request: AppendRequest =
        serde_json::from_slice(&message.payload).map_err(|error| AppendError::Refused {
            reason: format!(
                "the request on `{}` does not have its shape: {error}",
                message.subject
            ),
        })?;
    handle.append(caller, request).await
}

async fn answer(client: &Client, reply: async_nats::Subject, result: &Result<Appended, AppendError>) {
    match serde_json::to_vec(result) {
        Ok(payload) => {
            if let Err(error) = client.publish(reply, payload.into()).await {
                tracing::debug!(%error, "could not answer an append; the caller asks again");
            }
        }
        Err(error) => tracing::error!(%error, "the answer to an append has no JSON form"),
    }
}
