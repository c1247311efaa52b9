//! One byte stream from an agent (`term.<node>.<session>`): frames in order, credit back, lines out.

use crate::{app::Shared, lines::Lines, problem::Fault};
use base64::{Engine, engine::general_purpose::STANDARD};
use berth_api::{LogLine, NodeStatus};
use berth_bus::{async_nats, subject};
use berth_events::{Credit, Frame, FrameBody, LogOpened, OpenLog};
use berth_ids::{ClusterId, NodeId};
use futures::StreamExt;
use std::time::Duration;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

/// Frames that may be on their way: 256 KiB.
const WINDOW_FRAMES: u64 = 8;
/// Lines held for a client that reads slowly; the agent waits for its credit.
const BUFFERED_LINES: usize = 256;
/// How long a client may not read at all before the stream is given up.
const SLOW_CLIENT: Duration = Duration::from_secs(30);
/// Silence after which the node is looked at; without `follow` it is the end.
const SILENCE: Duration = Duration::from_secs(10);
/// Credit is granted again after this: a message of the bus may be lost.
const GRANT_AGAIN: Duration = Duration::from_secs(1);

/// What is streamed, from where.
pub(crate) struct Target {
    pub(crate) cluster_id: ClusterId,
    pub(crate) node_id: NodeId,
    /// Names the subjects.
    pub(crate) session: String,
    pub(crate) open: OpenLog,
}

/// A stream that is open.
pub(crate) struct Session {
    app: Shared,
    target: Target,
    frames: async_nats::Subscriber,
    lines: mpsc::Sender<LogLine>,
    next: u64,
    heard_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    /// Opens a stream and pumps it in the background until its end.
    pub(crate) async fn open(app: Shared, target: Target) -> Result<mpsc::Receiver<LogLine>, Fault> {
        let permit = app.streams.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Fault::unavailable("logs.streams", "too many streams are open"))?;
        let out = subject::terminal(target.node_id, &target.session, "out");
        // Subscribed before it is asked for: the first frame is not missed.
        let frames = app.context.bus.client().subscribe(out).await;
        let frames = frames.map_err(|error| Fault::unavailable("bus.unavailable", error.to_string()))?;
        let key = target.cluster_id.to_string();
        let opened: LogOpened = app.context.bus.ask("log", "open", &key, &target.open).await?;
        if opened.node_id != target.node_id || opened.session != target.session {
            return Err(Fault::unavailable(
                "logs.moved",
                "the container is being looked for on another node",
            ));
        }
        let (lines, receiver) = mpsc::channel(BUFFERED_LINES);
        let session = Self {
            app,
            target,
            frames,
            lines,
            next: 1,
            heard_at: Instant::now(),
            _permit: permit,
        };
        tokio::spawn(session.run());
        Ok(receiver)
    }

    async fn run(mut self) {
        let shutdown = self.app.context.shutdown.clone();
        let ended = tokio::select! {
            ended = self.pump() => ended,
            () = shutdown.cancelled() => Err(Some("the platform is being stopped; ask again".into())),
        };
        self.tell(&Credit::Close).await;
        if let Err(Some(reason)) = ended {
            let line = LogLine {
                stream: "error".into(),
                text: reason,
            };
            // The client is gone or will be: nothing is lost by not telling it.
            let _ = self.lines.send_timeout(line, SLOW_CLIENT).await;
        }
    }

    /// Until the end; an error with a reason is told to the client.
    async fn pump(&mut self) -> Result<(), Option<String>> {
        let mut assembled = Lines::default();
        self.grant().await;
        loop {
            let message = tokio::select! {
                message = self.frames.next() => message.ok_or(Some("the bus has closed the stream".to_owned()))?,
                () = self.lines.closed() => return Err(None),
                () = tokio::time::sleep(GRANT_AGAIN) => {
                    self.judge_silence()?;
                    self.grant().await;
                    continue;
                }
            };
            self.heard_at = Instant::now();
            let frame: Frame = serde_json::from_slice(&message.payload)
                .map_err(|error| Some(format!("the agent sent a frame of another shape: {error}")))?;
            if frame.number < self.next {
                continue;
            }
            if frame.number > self.next {
                return Err(Some(format!(
                    "frame {} came where {} was due: lines were lost on the way; ask again with `since`",
                    frame.number, self.next
                )));
            }
            self.next += 1;
            match frame.body {
                FrameBody::Data { stream, bytes } => {
                    let bytes = STANDARD.decode(bytes);
                    let bytes =
                        bytes.map_err(|_| Some("the agent sent a frame that is not base64".to_owned()))?;
                    for line in assembled.push(&stream, &bytes) {
                        self.send(line).await?;
                    }
                    self.grant().await;
                }
                FrameBody::End { error } => {
                    for line in assembled.finish() {
                        self.send(line).await?;
                    }
                    return error.map_or(Ok(()), |error| Err(Some(error)));
                }
            }
        }
    }

    /// Silence is normal while a container says nothing; not on a lost node, nor where an end is due.
    fn judge_silence(&self) -> Result<(), Option<String>> {
        if self.heard_at.elapsed() < SILENCE {
            return Ok(());
        }
        let node = self.app.view.read(|view| {
            view.node_row(self.target.node_id)
                .map(|row| (row.name.to_string(), row.status()))
        });
        match node {
            None => Err(Some("the node was removed".into())),
            Some((name, NodeStatus::Lost)) => Err(Some(format!("node `{name}` is lost"))),
            Some((name, _)) if !self.target.open.follow => Err(Some(format!(
                "node `{name}` has sent nothing for {} s",
                SILENCE.as_secs()
            ))),
            Some(_) => Ok(()),
        }
    }

    async fn send(&self, line: LogLine) -> Result<(), Option<String>> {
        self.lines.send_timeout(line, SLOW_CLIENT).await.map_err(|_| None)
    }

    async fn grant(&self) {
        self.tell(&Credit::UpTo {
            number: self.next - 1 + WINDOW_FRAMES,
        })
        .await;
    }

    async fn tell(&self, credit: &Credit) {
        let to = subject::terminal(self.target.node_id, &self.target.session, "in");
        if let Err(error) = self.app.context.bus.tell(to, credit).await {
            tracing::debug!(%error, "credit could not be granted; it is granted again");
        }
    }
}
