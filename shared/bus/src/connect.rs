//! The connection of one process (or one service in a process) to the bus.

use crate::{BusError, actor::Actors, trouble::Troubles};
use async_nats::{Client, ConnectOptions, jetstream};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// The longest wait for an answer of the server itself.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait between two tries to connect again.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Messages held for a slow subscription before the oldest are dropped by the client.
const SUBSCRIPTION_CAPACITY: usize = 16_384;

/// How to reach the bus.
#[derive(Debug, Clone, Default)]
pub struct BusOptions {
    /// `nats://…` or `tls://…`; several separated by commas.
    pub url: String,
    /// User that speaks: a service's name; also names the inbox `_INBOX.<user>`.
    pub user: String,
    /// Credentials file with JWT and seed; absent: none (tests).
    pub credentials: Option<PathBuf>,
    /// Certificate of the platform's CA; absent: no TLS.
    pub ca: Option<PathBuf>,
}

/// A connection. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) user: Arc<str>,
    pub(crate) actors: Actors,
    pub(crate) troubles: Troubles,
}

impl Bus {
    /// Connects and stays connected: later outages are healed in the background for ever.
    ///
    /// # Errors
    /// [`BusError::Connect`] if the first connection fails; [`BusError::Credentials`].
    pub async fn connect(options: &BusOptions) -> Result<Self, BusError> {
        let mut connect = ConnectOptions::new()
            .name(&options.user)
            .custom_inbox_prefix(format!("_INBOX.{}", options.user))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                Duration::from_millis(50u64.saturating_mul(1 << attempt.min(6))).min(MAX_RECONNECT_DELAY)
            });
        if let Some(path) = &options.credentials {
            connect = connect
                .credentials_file(path)
                .await
                .map_err(|source| BusError::Credentials {
                    path: path.display().to_string(),
                    source,
                })?;
        }
        if let Some(ca) = &options.ca {
            connect = connect.add_root_certificates(ca.clone()).require_tls(true);
        }
        let client = connect
            .connect(options.url.split(',').map(str::to_owned).collect::<Vec<_>>())
            .await
            .map_err(|source| BusError::Connect {
                url: options.url.clone(),
                source,
            })?;
        let actors = match &options.credentials {
            Some(path) => Actors::beside(path, &options.user)?,
            None => Actors::default(),
        };
        Ok(Self {
            actors,
            ..Self::from_client(client, &options.user)
        })
    }

    /// Wraps a connection made elsewhere.
    pub fn from_client(client: Client, user: &str) -> Self {
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Self {
            client,
            jetstream,
            user: user.into(),
            actors: Actors::default(),
            troubles: Troubles::default(),
        }
    }

    /// What is the matter with the queues that this connection serves, in words; empty if nothing is.
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.now()
    }

    /// The plain client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The JetStream context.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// The user that speaks.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Publishes JSON that nobody stores. Lost if nobody listens.
    ///
    /// # Errors
    /// [`BusError`] if it could not even be queued.
    pub async fn tell(&self, subject: String, body: &impl serde::Serialize) -> Result<(), BusError> {
        let payload = encode(&subject, body)?;
        let what = || format!("publish on `{subject}`");
        self.client
            .publish(subject.clone(), payload)
            .await
            .map_err(|error| BusError::stream(what(), error))
    }

    /// Publishes JSON into a stream and waits until the stream has it.
    ///
    /// # Errors
    /// [`BusError`]; it may have been stored all the same.
    pub async fn store(&self, subject: String, body: &impl serde::Serialize) -> Result<(), BusError> {
        let payload = encode(&subject, body)?;
        let failed = |error: &dyn std::fmt::Display| BusError::stream(format!("store on `{subject}`"), error);
        let ack = self
            .jetstream
            .publish(subject.clone(), payload)
            .await
            .map_err(|error| failed(&error))?;
        ack.await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

pub(crate) fn encode(subject: &str, body: &impl serde::Serialize) -> Result<bytes::Bytes, BusError> {
    serde_json::to_vec(body)
        .map(Into::into)
        .map_err(|source| BusError::Shape {
            subject: subject.to_owned(),
            source,
        })
}
