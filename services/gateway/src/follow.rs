//! Event streams (SSE): the past from Postgres, then new events, without a hole between.

use crate::{
    app::{App, Shared},
    history,
    problem::{Fault, LAGGING},
};
use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse},
};
use berth_events::Recorded;
use berth_gateway_core::{Access, EventFilter};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Events held for a client that reads slowly.
const BUFFERED_EVENTS: usize = 256;
/// How long it may not read at all before it is cut off; it goes on with `Last-Event-ID`.
const SLOW_CLIENT: Duration = Duration::from_secs(30);
/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time after which a client that was cut off should come again.
const RETRY: Duration = Duration::from_secs(1);
/// Events taken from Postgres at once.
const PAGE: usize = 500;

type Sender = mpsc::Sender<Result<sse::Event, Infallible>>;

/// Whether a client asks for a stream.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Streams what a caller may see and a filter takes, after a position.
pub(crate) fn stream(app: Shared, access: Access, filter: EventFilter, from: u64) -> Result<Response, Fault> {
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::unavailable("events.streams", "too many streams are open"))?;
    let (sender, receiver) = mpsc::channel(BUFFERED_EVENTS);
    let pump = Pump {
        app,
        access,
        filter,
        position: from,
        sender,
        _permit: permit,
    };
    tokio::spawn(pump.run());
    let heartbeat = sse::KeepAlive::new().interval(HEARTBEAT).text("alive");
    let stream = sse::Sse::new(ReceiverStream::new(receiver)).keep_alive(heartbeat);
    Ok((
        [(header::CACHE_CONTROL, "no-store"), (header::VARY, "accept")],
        stream,
    )
        .into_response())
}

struct Pump {
    app: Shared,
    access: Access,
    filter: EventFilter,
    position: u64,
    sender: Sender,
    _permit: OwnedSemaphorePermit,
}

/// Why a stream ends. The client comes again by itself.
enum Ended {
    /// The client is gone or reads too slowly, or the process stops.
    Quietly,
    /// The past could not be read.
    Fault(Fault),
}

impl Pump {
    async fn run(mut self) {
        let shutdown = self.app.context.shutdown.clone();
        let ended = tokio::select! {
            ended = self.flow() => ended,
            () = shutdown.cancelled() => Ended::Quietly,
        };
        if let Ended::Fault(fault) = ended {
            tracing::debug!(
                code = fault.code(),
                "an event stream ends; its client comes again"
            );
            let goodbye = sse::Event::default().event("error").data(fault.code());
            let _ = self.sender.try_send(Ok(goodbye));
        }
    }

    async fn flow(&mut self) -> Ended {
        // Listening begins before the past is read: nothing falls between.
        let mut live = self.app.feed.listen();
        if self.send(opening(self.position)).await.is_err() {
            return Ended::Quietly;
        }
        // The past comes first, and again after a view that hangs has made the stream wait.
        let mut behind = true;
        while !self.sender.is_closed() {
            let next = tokio::select! {
                biased;
                () = self.sender.closed() => return Ended::Quietly,
                () = std::future::ready(()), if behind => Err(RecvError::Lagged(0)),
                next = live.recv() => next,
                () = tokio::time::sleep(HEARTBEAT) => Err(RecvError::Lagged(0)),
            };
            let result = match next {
                Ok(recorded) => self.take(&recorded).await,
                Err(RecvError::Lagged(_)) => self.catch_up().await,
                Err(RecvError::Closed) => return Ended::Quietly,
            };
            behind = match result {
                Ok(()) => false,
                // Each look waits as long as a read does, so this does not run hot.
                Err(Ended::Fault(fault)) if fault.code() == LAGGING => true,
                Err(ended) => return ended,
            };
        }
        Ended::Quietly
    }

    /// A new event; a hole before it is filled from Postgres.
    async fn take(&mut self, recorded: &Arc<Recorded>) -> Result<(), Ended> {
        if recorded.position <= self.position {
            return Ok(());
        }
        if recorded.position > self.position + 1 {
            self.catch_up().await?;
            if recorded.position <= self.position {
                return Ok(());
            }
        }
        // What it is about is known only when the view has folded it; a view that hangs is no reason to
        // show what may not be seen.
        let known = self.app.view.at_least(recorded.position).await;
        known.map_err(|lagging| Ended::Fault(lagging.into()))?;
        self.show(recorded).await
    }

    async fn show(&mut self, recorded: &Recorded) -> Result<(), Ended> {
        if history::wanted(&self.app, &self.access, &self.filter, recorded) {
            let event = frame(recorded).map_err(Ended::Fault)?;
            self.send(event).await?;
        }
        self.position = recorded.position;
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Ended> {
        loop {
            let app: &App = &self.app;
            let found = history::after(app, &self.access, &self.filter, self.position, PAGE).await;
            let found = found.map_err(Ended::Fault)?;
            for recorded in &found.events {
                self.send(frame(recorded).map_err(Ended::Fault)?).await?;
            }
            self.position = found.reached;
            if !found.more {
                return Ok(());
            }
        }
    }

    async fn send(&self, event: sse::Event) -> Result<(), Ended> {
        let sent = self.sender.send_timeout(Ok(event), SLOW_CLIENT).await;
        sent.map_err(|_| Ended::Quietly)
    }
}

/// Names the place where the stream begins, so that one that breaks before its first event goes on there.
fn opening(position: u64) -> sse::Event {
    sse::Event::default()
        .comment("open")
        .retry(RETRY)
        .id(position.to_string())
}

fn frame(recorded: &Recorded) -> Result<sse::Event, Fault> {
    let event = sse::Event::default()
        .id(recorded.position.to_string())
        .event(&*recorded.type_name)
        .json_data(recorded);
    event.map_err(|error| Fault::internal(error.to_string()))
}
