//! One image that a node makes: its files to the node, the builder's words to the client, its end into the log.

use crate::{app::Shared, lines::Lines, problem::Fault};
use base64::{Engine, engine::general_purpose::STANDARD};
use berth_api::{Build, BuildLine, BuildState};
use berth_bus::{async_nats, subject};
use berth_events::{
    BuildFrame, BuildInput, BuildOrder, BuildResult, BuildSaid, COMMAND_VERSION, CONTEXT_CHUNK_BYTES,
    Command, CommandBody, OpenBuild, SchedulerCommand,
};
use berth_service_kit::{Clock, derived_id, telemetry};
use bytes::Bytes;
use futures::StreamExt;
use std::time::Duration;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};
use uuid::Uuid;

/// Pieces of the context that wait for the node's credit.
const WAITING_PIECES: usize = 4;
/// Lines held for a client that reads slowly.
const BUFFERED_LINES: usize = 1_024;
/// How long a client may not read at all.
const SLOW_CLIENT: Duration = Duration::from_secs(30);
/// How often the node is told that the gateway is there.
const ALIVE: Duration = Duration::from_secs(5);
/// A node that says nothing for so long has no agent any more.
const SILENCE: Duration = Duration::from_secs(20);
/// Tries to record the end, and the wait between them.
const MAX_RECORDS: u32 = 20;
const RECORD_DELAY: Duration = Duration::from_secs(1);

/// Who asked for an image, and what the end of its making is recorded with.
pub(crate) struct Asked {
    pub(crate) tenant: String,
    pub(crate) actor: String,
    /// The command that asked.
    pub(crate) command_id: berth_ids::CommandId,
    pub(crate) correlation_id: berth_ids::CorrelationId,
    pub(crate) request_hash: String,
}

/// A part of the context.
pub(crate) enum Piece {
    /// Bytes, at most [`CONTEXT_CHUNK_BYTES`].
    Bytes(Bytes),
    /// That was all.
    End,
}

/// A making that has begun.
pub(crate) struct Opened {
    /// Takes the context; closed when no more is wanted.
    pub(crate) pieces: mpsc::Sender<Piece>,
    /// What comes of it; the last line is [`BuildLine::Ended`].
    pub(crate) lines: mpsc::Receiver<BuildLine>,
}

/// Leads one making.
struct Leader {
    app: Shared,
    asked: Asked,
    build: Build,
    to: String,
    frames: async_nats::Subscriber,
    pieces: mpsc::Receiver<Piece>,
    lines: mpsc::Sender<BuildLine>,
    words: Lines,
    /// Number of the next frame.
    next: u64,
    /// Number of the next piece.
    piece: u64,
    /// Up to which piece may be sent.
    allowed: u64,
    /// All pieces were sent.
    complete: bool,
    heard_at: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Tells the node, and leads the making in the background until its end.
pub(crate) async fn open(
    app: Shared,
    asked: Asked,
    build: Build,
    order: BuildOrder,
) -> Result<Opened, Fault> {
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::unavailable("build.streams", "too many streams are open"))?;
    let session = Uuid::new_v4().simple().to_string();
    let out = subject::terminal(build.node_id, &session, "out");
    let away = |error: String| Fault::unavailable("bus.unavailable", error);
    // Subscribed before it is asked for: the first frame is not missed.
    let frames = app.context.bus.client().subscribe(out).await;
    let frames = frames.map_err(|error| away(error.to_string()))?;
    let to = subject::terminal(build.node_id, &session, "in");
    let open = OpenBuild {
        build_id: build.id,
        session,
        order,
    };
    let told = app
        .context
        .bus
        .tell(format!("ctl.{}.build", build.node_id), &open)
        .await;
    told.map_err(|error| away(error.to_string()))?;
    let (pieces, pieces_out) = mpsc::channel(WAITING_PIECES);
    let (lines_in, lines) = mpsc::channel(BUFFERED_LINES);
    let leader = Leader {
        app,
        asked,
        build,
        to,
        frames,
        pieces: pieces_out,
        lines: lines_in,
        words: Lines::default(),
        next: 1,
        piece: 1,
        allowed: 0,
        complete: false,
        heard_at: Instant::now(),
        _permit: permit,
    };
    tokio::spawn(leader.run());
    Ok(Opened { pieces, lines })
}

/// Cuts bytes into pieces.
pub(crate) fn pieces(bytes: &Bytes) -> impl Iterator<Item = Bytes> + use<'_> {
    let starts = (0..bytes.len()).step_by(CONTEXT_CHUNK_BYTES);
    starts.map(|start| bytes.slice(start..bytes.len().min(start + CONTEXT_CHUNK_BYTES)))
}

impl Leader {
    async fn run(mut self) {
        let began = Instant::now();
        let shutdown = self.app.context.shutdown.clone();
        let result = tokio::select! {
            result = self.lead() => result,
            () = shutdown.cancelled() => Err("the platform was stopped in the middle; build again".into()),
        };
        let result = match result {
            Ok(result) => result,
            Err(message) => {
                self.tell(&BuildInput::Cancel).await;
                BuildResult::Failed { message }
            }
        };
        // No more pieces: who sends them hears the end.
        self.pieces.close();
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.build.duration_ms = Some(duration_ms);
        match &result {
            BuildResult::Succeeded { digest, .. } => {
                self.build.state = BuildState::Succeeded;
                self.build.digest = Some(digest.clone());
            }
            BuildResult::Failed { message } => {
                self.build.state = BuildState::Failed;
                self.build.message = Some(message.clone());
            }
        }
        self.record(result, duration_ms).await;
        let build = self.build.clone();
        // The client is gone or will be: nothing is lost by not telling it.
        let _ = self
            .lines
            .send_timeout(BuildLine::Ended { build }, SLOW_CLIENT)
            .await;
    }

    /// How it ended, or why it is given up.
    async fn lead(&mut self) -> Result<BuildResult, String> {
        let mut alive = tokio::time::interval(ALIVE);
        loop {
            let may_send = !self.complete && self.piece <= self.allowed;
            tokio::select! {
                message = self.frames.next() => {
                    let message = message.ok_or("the bus has closed the session")?;
                    if let Some(result) = self.hear(&message.payload).await? {
                        return Ok(result);
                    }
                }
                piece = self.pieces.recv(), if may_send => self.send(piece).await?,
                () = self.lines.closed() => return Err("the client has gone".into()),
                _ = alive.tick() => {
                    self.tell(&BuildInput::Alive).await;
                    if self.heard_at.elapsed() > SILENCE {
                        return Err(format!(
                            "node `{}` has said nothing for {} s: its agent or the way to it is gone; build again",
                            self.build.node, SILENCE.as_secs()
                        ));
                    }
                }
            }
        }
    }

    /// Takes a frame; gives the result, if it is the last.
    async fn hear(&mut self, payload: &[u8]) -> Result<Option<BuildResult>, String> {
        self.heard_at = Instant::now();
        let frame = serde_json::from_slice(payload);
        let frame: BuildFrame = frame.map_err(|error| format!("the agent sent something else: {error}"))?;
        if frame.number != self.next {
            return Err(format!(
                "frame {} came where {} was due: some were lost on the way; build again",
                frame.number, self.next
            ));
        }
        self.next += 1;
        match frame.body {
            BuildSaid::Credit { up_to } => self.allowed = self.allowed.max(up_to),
            BuildSaid::Alive => {}
            BuildSaid::Output { text } => {
                for line in self.words.push("build", text.as_bytes()) {
                    self.show(line.text).await?;
                }
            }
            BuildSaid::Done { result } => {
                for line in std::mem::take(&mut self.words).finish() {
                    self.show(line.text).await?;
                }
                return Ok(Some(result));
            }
        }
        Ok(None)
    }

    async fn show(&self, text: String) -> Result<(), String> {
        let sent = self
            .lines
            .send_timeout(BuildLine::Output { text }, SLOW_CLIENT)
            .await;
        sent.map_err(|_| "the client does not read any more".to_owned())
    }

    async fn send(&mut self, piece: Option<Piece>) -> Result<(), String> {
        let number = self.piece;
        self.piece += 1;
        let input = match piece {
            Some(Piece::Bytes(bytes)) => BuildInput::Context {
                number,
                bytes: STANDARD.encode(bytes),
            },
            Some(Piece::End) => {
                self.complete = true;
                BuildInput::End { number }
            }
            None => return Err("the client went away before all files had come".into()),
        };
        self.tell(&input).await;
        Ok(())
    }

    async fn tell(&self, input: &BuildInput) {
        if let Err(error) = self.app.context.bus.tell(self.to.clone(), input).await {
            // A piece that is missing is noticed by the node.
            tracing::warn!(%error, "the node could not be told");
        }
    }

    async fn record(&self, result: BuildResult, duration_ms: u64) {
        let finish = SchedulerCommand::FinishBuild {
            build_id: self.build.id,
            result,
            duration_ms,
        };
        let command = Command {
            version: COMMAND_VERSION,
            command_id: derived_id(self.asked.command_id.as_uuid(), "finish"),
            tenant: self.asked.tenant.clone(),
            actor: self.asked.actor.clone(),
            correlation_id: self.asked.correlation_id,
            issued_at: Clock::now(),
            request_hash: self.asked.request_hash.clone(),
            traceparent: telemetry::current_traceparent(),
            body: CommandBody::Scheduler(finish),
        };
        for _ in 0..MAX_RECORDS {
            match self.app.send(&command, Some(self.build.cluster_id)).await {
                Ok(_) => return,
                Err(fault) => tracing::warn!(code = fault.code(), "the end of a build could not be recorded"),
            }
            tokio::time::sleep(RECORD_DELAY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_no_larger_than_allowed_and_lose_nothing() {
        let bytes = Bytes::from(vec![7; CONTEXT_CHUNK_BYTES * 2 + 5]);
        let sizes: Vec<usize> = pieces(&bytes).map(|piece| piece.len()).collect();
        assert_eq!(sizes, [CONTEXT_CHUNK_BYTES, CONTEXT_CHUNK_BYTES, 5]);
        assert_eq!(pieces(&Bytes::new()).count(), 0);
    }
}
