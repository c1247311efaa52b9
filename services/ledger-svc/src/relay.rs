//! The relay: every committed event goes into EVT with its position as sequence.
//!
//! Event P is published with `Nats-Expected-Last-Sequence: P-1`. After any error the stream is asked where
//! it stands, and the relay goes on from there, out of the database. That can be repeated for ever.

use crate::{
    error::LedgerError,
    intrusion,
    metrics::LedgerMetrics,
    options::LedgerOptions,
    read::{PAGE, hash_at, head, read},
    streams::{EVT, ensure_others, evt_info, make_evt},
};
use async_nats::{HeaderMap, Message, Subscriber, jetstream::stream::Info};
use berth_bus::Bus;
use berth_events::{LogHead, Recorded};
use berth_ledger_core::subject_of;
use futures::StreamExt;
use serde::Deserialize;
use sqlx::PgPool;
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// Events published and not yet acknowledged.
const MAX_IN_FLIGHT: u64 = 4_096;
/// Batches that wait for the relay in memory; past it, the relay reads the database.
pub(crate) const MAX_FED_BATCHES: usize = 64;
/// The longest wait for the oldest acknowledgement, and for a place in the client's buffer.
const ACK_PATIENCE: Duration = Duration::from_secs(2);
/// Wait before the stream is asked again after an error.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// A stream made anew begins with this many last events; readers behind them use the database.
const REPLAYED_EVENTS: u64 = 100_000;

/// How often an idle relay looks whether the stream still has what it was given.
const IDLE_CHECK: Duration = Duration::from_secs(2);

const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
const TRACEPARENT: &str = "traceparent";

/// Publishes events until it is dropped or finds a fork.
pub(crate) struct Relay {
    pub(crate) bus: Bus,
    pub(crate) pool: PgPool,
    pub(crate) options: LedgerOptions,
    pub(crate) metrics: Arc<LedgerMetrics>,
    pub(crate) head: watch::Receiver<u64>,
    pub(crate) feed: mpsc::Receiver<Vec<Recorded>>,
    /// A batch from the feed that comes after a hole.
    pub(crate) held: Option<Vec<Recorded>>,
    /// What is the matter, if anything.
    pub(crate) trouble: watch::Sender<Option<String>>,
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    error: Option<AckError>,
}

#[derive(Deserialize)]
struct AckError {
    description: String,
}

#[derive(Deserialize)]
struct Traced<'a> {
    #[serde(borrow)]
    traceparent: Option<std::borrow::Cow<'a, str>>,
}

/// EVT as it is, or made anew.
async fn evt_made(bus: &Bus, pool: &PgPool, options: &LedgerOptions) -> Result<Info, LedgerError> {
    let jetstream = bus.jetstream();
    if let Some(info) = evt_info(jetstream).await? {
        return Ok(info);
    }
    let end = head(pool).await?;
    let first = end.position.saturating_sub(REPLAYED_EVENTS) + 1;
    make_evt(jetstream, options, first).await?;
    evt_info(jetstream).await?.ok_or_else(|| LedgerError::Bus {
        action: "make stream EVT".into(),
        reason: "it is gone again".into(),
    })
}

/// Position of the last message of EVT, compared with the log. Up to `sound` it was looked at before.
///
/// # Errors
/// [`LedgerError::Fork`] if the two tell different histories.
pub(crate) async fn last_relayed(
    bus: &Bus,
    pool: &PgPool,
    options: &LedgerOptions,
    sound: u64,
) -> Result<u64, LedgerError> {
    let mut info = evt_made(bus, pool, options).await?;
    if info.state.messages > 0 && intrusion::removed(bus, sound, info.state.last_sequence).await? {
        info = evt_made(bus, pool, options).await?;
    }
    let last = info.state.last_sequence;
    // Read after the stream: what the stream has was committed before.
    let end = head(pool).await?;
    if last > end.position {
        return Err(LedgerError::Fork(format!(
            "stream EVT holds positions up to {last}, the database only up to {}: the database has lost its \
             tail (a fail-over or an old backup). Restore the newer database, or accept the loss",
            end.position
        )));
    }
    if info.state.messages > 0 && last > 0 {
        compare(bus, pool, last, &end).await?;
    }
    Ok(last)
}

async fn compare(bus: &Bus, pool: &PgPool, position: u64, end: &LogHead) -> Result<(), LedgerError> {
    let failed = || format!("read message {position} of stream EVT");
    let stream = bus
        .jetstream()
        .get_stream_no_info(EVT)
        .await
        .map_err(LedgerError::bus(failed()))?;
    let message = stream
        .get_raw_message(position)
        .await
        .map_err(LedgerError::bus(failed()))?;
    let Ok(published) = serde_json::from_slice::<Recorded>(&message.payload) else {
        return Err(LedgerError::Fork(format!(
            "message {position} of stream EVT is no event of this log: somebody else publishes there"
        )));
    };
    let stored = hash_at(pool, position).await?.map(hex::encode);
    if stored.as_deref() == Some(published.hash.as_str()) && published.source.ends_with(&end.log_id) {
        return Ok(());
    }
    Err(LedgerError::Fork(format!(
        "position {position} has hash {} in stream EVT of `{}`, but {} in the database of log {}: they are two \
         histories. Connect the log to its own NATS, or restore the right database, or accept the loss",
        published.hash,
        published.source,
        stored.unwrap_or_else(|| "none".into()),
        end.log_id
    )))
}

impl Relay {
    /// Publishes for ever; returns only if it finds a fork.
    pub(crate) async fn run(mut self) -> LedgerError {
        loop {
            let error = match self.session().await {
                Ok(never) => match never {},
                Err(error @ LedgerError::Fork(_)) => return error,
                Err(error) => error,
            };
            tracing::warn!(%error, "the relay stopped; it looks where stream EVT stands and goes on");
            self.trouble.send_replace(Some(error.to_string()));
            self.metrics.relay_resyncs.fetch_add(1, Relaxed);
            sleep(RETRY_DELAY).await;
        }
    }

    async fn session(&mut self) -> Result<Infallible, LedgerError> {
        ensure_others(self.bus.jetstream(), &self.options).await?;
        let sound = match self.metrics.relayed.load(Relaxed) {
            // The first look: what was there at the start is judged by its end.
            0 => u64::MAX,
            acknowledged => acknowledged,
        };
        let last = last_relayed(&self.bus, &self.pool, &self.options, sound).await?;
        self.metrics.relayed.store(last, Relaxed);
        let mut session = Session::open(&self.bus, last, self.metrics.clone()).await?;
        self.trouble.send_replace(None);
        loop {
            // Read before the feed: what the head covers was fed before, or never will be.
            let target = *self.head.borrow_and_update();
            match self.fed_after(session.published) {
                Some(batch) => session.publish_all(batch).await?,
                None if session.published < target => {
                    let page = read(&self.pool, session.published, PAGE).await?;
                    if page.is_empty() {
                        return Err(LedgerError::Unreadable {
                            position: session.published + 1,
                            reason: "it is not in the database".into(),
                        });
                    }
                    self.metrics
                        .relay_from_database
                        .fetch_add(page.len() as u64, Relaxed);
                    session.publish_all(page).await?;
                }
                None => self.wait(&mut session).await?,
            }
        }
    }

    /// The batch in memory that holds the event after a position. Older batches are dropped, a later one
    /// is held until the database has filled the hole.
    fn fed_after(&mut self, position: u64) -> Option<Vec<Recorded>> {
        loop {
            let batch = match self.held.take() {
                Some(batch) => batch,
                None => self.feed.try_recv().ok()?,
            };
            let first = batch.first().map_or(0, |event| event.position);
            let last = batch.last().map_or(0, |event| event.position);
            if last <= position {
                continue;
            }
            if first <= position + 1 {
                return Some(batch);
            }
            self.held = Some(batch);
            return None;
        }
    }

    async fn wait(&mut self, session: &mut Session) -> Result<(), LedgerError> {
        tokio::select! {
            biased;
            acked = session.next_ack(), if session.in_flight() > 0 => acked,
            fed = self.feed.recv() => match fed {
                Some(batch) => {
                    self.held = Some(batch);
                    Ok(())
                }
                // The writer is gone; whoever runs this relay ends it.
                None => std::future::pending().await,
            },
            () = sleep(IDLE_CHECK), if session.in_flight() == 0 => {
                let last = last_relayed(&self.bus, &self.pool, &self.options, session.published).await?;
                if last == session.published {
                    return Ok(());
                }
                Err(LedgerError::Bus {
                    action: format!("find position {} in stream EVT", session.published),
                    reason: format!("the stream ends at {last}"),
                })
            }
        }
    }
}

/// From one look at the stream to the next error.
struct Session {
    bus: Bus,
    inbox: String,
    acks: Subscriber,
    published: u64,
    acked: u64,
    sent: VecDeque<(u64, Instant)>,
    metrics: Arc<LedgerMetrics>,
}

impl Session {
    async fn open(bus: &Bus, last: u64, metrics: Arc<LedgerMetrics>) -> Result<Self, LedgerError> {
        let inbox = bus.client().new_inbox();
        let acks = bus
            .client()
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(LedgerError::bus("listen for acknowledgements"))?;
        Ok(Self {
            bus: bus.clone(),
            inbox,
            acks,
            published: last,
            acked: last,
            sent: VecDeque::new(),
            metrics,
        })
    }

    fn in_flight(&self) -> u64 {
        self.published - self.acked
    }

    /// Publishes those that come next; earlier ones are skipped, a hole is left to the database.
    async fn publish_all(&mut self, events: Vec<Recorded>) -> Result<(), LedgerError> {
        for event in &events {
            if event.position != self.published + 1 {
                continue;
            }
            while self.in_flight() >= MAX_IN_FLIGHT {
                self.next_ack().await?;
            }
            self.publish(event).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, event: &Recorded) -> Result<(), LedgerError> {
        let payload = serde_json::to_vec(event).map_err(LedgerError::bus("encode an event"))?;
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST_SEQUENCE, (event.position - 1).to_string().as_str());
        let traced: Option<Traced<'_>> = serde_json::from_str(event.meta.get()).ok();
        if let Some(trace) = traced.and_then(|traced| traced.traceparent)
            && !trace.contains(['\r', '\n'])
        {
            headers.insert(TRACEPARENT, &*trace);
        }
        let reply = format!("{}.{}", self.inbox, event.position);
        let sending = self.bus.client().publish_with_reply_and_headers(
            subject_of(event),
            reply,
            headers,
            payload.into(),
        );
        timeout(ACK_PATIENCE, sending)
            .await
            .map_err(LedgerError::bus("publish an event: the client's buffer is full"))?
            .map_err(LedgerError::bus("publish an event"))?;
        self.published = event.position;
        self.sent.push_back((event.position, Instant::now()));
        Ok(())
    }

    async fn next_ack(&mut self) -> Result<(), LedgerError> {
        let since = self.sent.front().map_or_else(Instant::now, |(_, at)| *at);
        let message = tokio::time::timeout_at(since + ACK_PATIENCE, self.acks.next())
            .await
            .map_err(LedgerError::bus("wait for an acknowledgement of stream EVT"))?
            .ok_or_else(|| LedgerError::Bus {
                action: "wait for an acknowledgement".into(),
                reason: "the subscription ended".into(),
            })?;
        let acked = read_ack(&message)?;
        self.acked = self.acked.max(acked);
        while self
            .sent
            .front()
            .is_some_and(|(position, _)| *position <= self.acked)
        {
            self.sent.pop_front();
        }
        self.metrics.relayed.store(self.acked, Relaxed);
        Ok(())
    }
}

fn read_ack(message: &Message) -> Result<u64, LedgerError> {
    let refused = |reason: String| LedgerError::Bus {
        action: format!("store an event in stream {EVT}"),
        reason,
    };
    if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Err(refused("there is no such stream".into()));
    }
    let ack: Ack = serde_json::from_slice(&message.payload).map_err(|error| refused(error.to_string()))?;
    let position = message
        .subject
        .rsplit('.')
        .next()
        .and_then(|text| text.parse::<u64>().ok());
    match ack.error {
        Some(error) => Err(refused(error.description)),
        None if Some(ack.seq) == position => Ok(ack.seq),
        None => Err(refused(format!("message {position:?} became number {}", ack.seq))),
    }
}
