//! The bus side of the agent: assignments in, reports, heartbeats, usage and output out.
//!
//! Everything here may fail for days: the worker goes on without it.

mod access;
mod assignment;
mod build;
mod control;
mod facts;
mod heartbeat;
mod logs;
mod registry;
mod reports;
mod secrets;
mod steps_of_builds;
mod trouble;

pub use secrets::BusSecrets;

use crate::{
    engine::Engine,
    state::{Identity, Membership, StateDir},
    usage,
    worker::{Order, Remote},
};
use access::Access;
use berth_bus::async_nats::{self, Client, ConnectOptions, Event, jetstream};
use berth_events::UsageSample;
use berth_ids::{ClusterId, NodeId};
use build::Builders;
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

/// The longest wait between two tries to connect again.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// The longest wait for the server or a service.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest wait for the tasks of the link at shutdown.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Messages of other tasks waiting for the reports.
const NOTE_QUEUE: usize = 64;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The agent's own key cannot be read.
    #[error("the seed of the agent's bus user cannot be read; join the cluster again")]
    Seed(#[source] nkeys::error::Error),
    /// The client could not be made.
    #[error("could not make a client for the bus at {urls}")]
    Client {
        /// Its addresses.
        urls: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
}

/// What went wrong with one message.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It has no JSON form.
    #[error("a message for `{subject}` has no JSON form")]
    Shape {
        /// Where it was going.
        subject: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The bus did not take it.
    #[error("the bus did not take a message for `{subject}`: {reason}")]
    Bus {
        /// Where it was going.
        subject: String,
        /// Why.
        reason: String,
    },
}

/// The connection of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    pub(crate) client: Client,
    jetstream: jetstream::Context,
    /// The bus is there.
    up: watch::Receiver<bool>,
    pub(crate) node_id: NodeId,
    cluster_id: ClusterId,
    tenant: Arc<str>,
    address: Arc<str>,
    access: Arc<Access>,
    /// Somebody wants a heartbeat at once.
    beat: Arc<Notify>,
    /// Looks for troubles of the connection.
    _ear: Option<Arc<AbortOnDropHandle<()>>>,
}

/// Who connects where.
pub struct LinkOptions {
    /// Who it is.
    pub identity: Identity,
    /// Where it belongs.
    pub member: Membership,
    /// Where what is renewed is kept.
    pub state: StateDir,
}

/// What a link serves.
pub struct Serving {
    /// Runs containers.
    pub worker: Remote,
    /// The engine.
    pub engine: Engine,
    /// Opens what the vault has.
    pub secrets: Arc<BusSecrets>,
    /// The agent's folder.
    pub state: StateDir,
}

impl Link {
    /// A connection that is made, and made again, in the background for ever.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn open(options: LinkOptions) -> Result<Self, LinkError> {
        let LinkOptions {
            identity,
            member,
            state,
        } = options;
        let (node_id, ca_path) = (identity.node_id, state.ca_path());
        let access = Arc::new(Access::new(state, identity, member.clone())?);
        let proving = Arc::clone(&access);
        let (up_in, up) = watch::channel(false);
        let ear = Arc::new(trouble::Ear::default());
        let hearing = Arc::clone(&ear);
        let prove = move |nonce: Vec<u8>| std::future::ready(proving.prove(&nonce));
        let mut connect = ConnectOptions::with_auth_callback(prove)
            .name(format!("agent {}", member.name))
            .custom_inbox_prefix(format!("_INBOX.{node_id}"))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                Duration::from_millis(50_u64.saturating_mul(1 << attempt.min(6))).min(MAX_RECONNECT_DELAY)
            })
            .event_callback(move |event| {
                hearing.hear(&event);
                match event {
                    Event::Connected => drop(up_in.send_replace(true)),
                    Event::Disconnected | Event::Closed => drop(up_in.send_replace(false)),
                    other => tracing::debug!("bus: {other}"),
                }
                std::future::ready(())
            });
        if !member.ca_pem.is_empty() {
            connect = connect.add_root_certificates(ca_path).require_tls(true);
        }
        let client = connect
            .connect(member.nats_urls.clone())
            .await
            .map_err(|source| LinkError::Client {
                urls: member.nats_urls.join(", "),
                source,
            })?;
        let listening = ear.listen(member.nats_urls.clone(), Arc::clone(&access));
        let ear = (!member.ca_pem.is_empty()).then(|| AbortOnDropHandle::new(tokio::spawn(listening)));
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Ok(Self {
            client,
            jetstream,
            up,
            node_id,
            cluster_id: member.cluster_id,
            tenant: member.tenant.into(),
            address: member.address.into(),
            access,
            beat: Arc::default(),
            _ear: ear.map(Arc::new),
        })
    }

    /// Serves the worker until shutdown.
    pub async fn run(self, serving: Serving, shutdown: CancellationToken) {
        let Serving {
            worker,
            engine,
            secrets,
            state,
        } = serving;
        let builders = Builders::new(engine.clone(), secrets, state);
        let tasks = TaskTracker::new();
        let (notes, note_queue) = mpsc::channel(NOTE_QUEUE);
        tasks.spawn(until(
            shutdown.clone(),
            tell_bus_state(self.clone(), worker.clone()),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            heartbeat::run(self.clone(), worker.clone()),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            access::run(self.clone(), Arc::clone(&self.access)),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            assignment::run(self.clone(), worker.clone()),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            reports::run(self.clone(), worker.clone(), note_queue),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            facts::run(self.clone(), worker.clone(), engine.clone()),
        ));
        tasks.spawn(until(
            shutdown.clone(),
            usage_loop(self.clone(), worker.clone(), engine.clone()),
        ));
        tasks.spawn(control::run(
            self.clone(),
            control::Desk {
                worker,
                engine,
                builders,
                notes,
            },
            shutdown.clone(),
        ));
        tasks.close();
        shutdown.cancelled().await;
        if tokio::time::timeout(SHUTDOWN_PATIENCE, tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!("the link was still busy at the end");
        }
        // What is queued goes out; a bus that is away has nothing to wait for.
        let _ = tokio::time::timeout(SHUTDOWN_PATIENCE, self.client.flush()).await;
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Waits until the bus is there.
    async fn wait_up(&self) {
        // The sender lives as long as the client.
        let _ = self.up.clone().wait_for(|up| *up).await;
    }

    /// Publishes what nobody stores.
    async fn tell(&self, subject: String, body: &impl Serialize) -> Result<(), SendError> {
        let payload = encode(&subject, body)?;
        self.client
            .publish(subject.clone(), payload)
            .await
            .map_err(|error| SendError::Bus {
                subject,
                reason: error.to_string(),
            })
    }

    /// Publishes into a stream and waits until the stream has it.
    async fn store(&self, subject: String, body: &impl Serialize) -> Result<(), SendError> {
        let payload = encode(&subject, body)?;
        let failed = |reason: String| SendError::Bus {
            subject: subject.clone(),
            reason,
        };
        let ack = self.jetstream.publish(subject.clone(), payload).await;
        ack.map_err(|error| failed(error.to_string()))?
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(())
    }
}

fn encode(subject: &str, body: &impl Serialize) -> Result<bytes::Bytes, SendError> {
    serde_json::to_vec(body)
        .map(Into::into)
        .map_err(|source| SendError::Shape {
            subject: subject.to_owned(),
            source,
        })
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

/// The worker gives containers up only while the scheduler can hear of it.
async fn tell_bus_state(link: Link, worker: Remote) {
    let mut up = link.up.clone();
    loop {
        let now = *up.borrow_and_update();
        tracing::info!("the bus is {}", if now { "there" } else { "away" });
        worker.tell(Order::BusUp(now)).await;
        if up.changed().await.is_err() {
            return;
        }
    }
}

/// Tells every few seconds what the node and its containers use, and each second how far images are.
async fn usage_loop(link: Link, worker: Remote, engine: Engine) {
    let mut sampler = usage::Sampler::new(engine.clone());
    let mut ticks = tokio::time::interval(usage::PULL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let subject = format!("met.{}.{}", link.cluster_id, link.node_id);
    let mut last: Option<(Instant, UsageSample)> = None;
    loop {
        ticks.tick().await;
        let sample = match last.take() {
            // Between two samples only what is fetched is told, and only news.
            Some((taken, mut sample)) if taken.elapsed() < usage::SAMPLE_INTERVAL => {
                let pulls = engine.pulls();
                let news = pulls != sample.pulls;
                sample.pulls = pulls;
                last = Some((taken, sample.clone()));
                if !news {
                    continue;
                }
                sample
            }
            Some(_) | None => {
                let running = worker.running().await;
                let sample = sampler.sample(link.node_id, link.cluster_id, &running).await;
                last = Some((Instant::now(), sample.clone()));
                sample
            }
        };
        if link.is_up()
            && let Err(error) = link.tell(subject.clone(), &sample).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a sample was not sent");
        }
    }
}
