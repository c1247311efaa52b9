//! Output of one container as numbered frames, as many as the receiver allows.

use super::{Link, SendError};
use crate::{
    engine::{Engine, LogChunk, LogRequest},
    worker::Remote,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_bus::subject;
use berth_events::{Credit, Frame, FrameBody, OpenLogs};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt};
use std::{pin::Pin, time::Duration};
use tokio_util::sync::CancellationToken;

/// Bytes of output in one frame.
const FRAME_BYTES: usize = 32 * 1_024;
/// Frames that may be sent before the receiver has said anything.
const INITIAL_CREDIT: u64 = 8;
/// A receiver that grants nothing for so long is gone.
const CREDIT_PATIENCE: Duration = Duration::from_secs(60);
/// The longest life of one session.
const MAX_SESSION: Duration = Duration::from_secs(12 * 3_600);
/// The longest name of a session.
const MAX_SESSION_NAME: usize = 64;

type Output = Pin<Box<dyn Stream<Item = Result<LogChunk, crate::engine::EngineError>> + Send>>;

/// Serves one session from its first frame to its last.
pub(super) async fn serve(
    link: Link,
    worker: Remote,
    engine: Engine,
    open: OpenLogs,
    full: bool,
    shutdown: CancellationToken,
) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if open.session.is_empty() || open.session.len() > MAX_SESSION_NAME || !open.session.chars().all(plain) {
        return tracing::warn!("`{}` names no session", open.session);
    }
    let mut session = Session {
        out: subject::terminal(link.node_id, &open.session, "out"),
        link,
        number: 0,
    };
    let ended = tokio::select! {
        ended = session.run(&worker, &engine, &open, full) => ended,
        () = shutdown.cancelled() => Some("the agent stops; ask again".to_owned()),
        () = tokio::time::sleep(MAX_SESSION) => Some("the session is too old; ask again".to_owned()),
    };
    if let Err(error) = session.send(FrameBody::End { error: ended }).await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "the end of a session was not sent"
        );
    }
}

struct Session {
    link: Link,
    out: String,
    number: u64,
}

impl Session {
    /// Gives why it ended, if not by itself.
    async fn run(&mut self, worker: &Remote, engine: &Engine, open: &OpenLogs, full: bool) -> Option<String> {
        if full {
            return Some("this node sends too many outputs already; close one".to_owned());
        }
        let credits_at = subject::terminal(self.link.node_id, &open.session, "in");
        let mut credits = match self.link.client.subscribe(credits_at).await {
            Ok(credits) => credits
                .filter_map(|message| async move { serde_json::from_slice::<Credit>(&message.payload).ok() })
                .boxed(),
            Err(error) => return Some(error.to_string()),
        };
        let Some(container) = worker.container(open.allocation_id).await else {
            return Some(format!(
                "allocation {} has no container on this node",
                open.allocation_id
            ));
        };
        let request = LogRequest {
            follow: open.follow,
            tail: open.tail,
            since: open.since,
            timestamps: open.timestamps,
        };
        let mut output: Output = match engine.logs(&container, request).await {
            Ok(output) => Box::pin(output),
            Err(error) => return Some(error.to_string()),
        };
        self.copy(&mut output, &mut credits).await
    }

    async fn copy(
        &mut self,
        output: &mut Output,
        credits: &mut (impl Stream<Item = Credit> + Unpin),
    ) -> Option<String> {
        let mut allowed = INITIAL_CREDIT;
        let mut rest: Option<LogChunk> = None;
        loop {
            if self.number >= allowed {
                match tokio::time::timeout(CREDIT_PATIENCE, credits.next()).await {
                    Ok(Some(Credit::UpTo { number })) => allowed = allowed.max(number),
                    Ok(Some(Credit::Close) | None) => return None,
                    Err(_) => return Some("nobody takes the output any more".to_owned()),
                }
                continue;
            }
            let chunk = match rest.take() {
                Some(chunk) => chunk,
                None => tokio::select! {
                    item = output.next() => match item {
                        Some(Ok(chunk)) => chunk,
                        Some(Err(error)) => return Some(error.to_string()),
                        None => return None,
                    },
                    credit = credits.next() => match credit {
                        Some(Credit::UpTo { number }) => { allowed = allowed.max(number); continue }
                        Some(Credit::Close) | None => return None,
                    },
                },
            };
            let (bytes, next) = fill(chunk.stream, chunk.bytes, output);
            rest = next;
            let body = FrameBody::Data {
                stream: chunk.stream.to_owned(),
                bytes: STANDARD.encode(&bytes),
            };
            if let Err(error) = self.send(body).await {
                return Some(error.to_string());
            }
        }
    }

    async fn send(&mut self, body: FrameBody) -> Result<(), SendError> {
        self.number += 1;
        let frame = Frame {
            number: self.number,
            body,
        };
        self.link.tell(self.out.clone(), &frame).await
    }
}

/// One frame's bytes: the chunk and what else is there already of the same stream. Gives what is left over.
fn fill(stream: &'static str, first: Bytes, output: &mut Output) -> (Bytes, Option<LogChunk>) {
    let mut bytes = BytesMut::from(&first[..first.len().min(FRAME_BYTES)]);
    if first.len() > FRAME_BYTES {
        let bytes_left = first.slice(FRAME_BYTES..);
        return (
            bytes.freeze(),
            Some(LogChunk {
                stream,
                bytes: bytes_left,
            }),
        );
    }
    while bytes.len() < FRAME_BYTES {
        // An error or the end is met again at the next read.
        let Some(Some(Ok(chunk))) = output.next().now_or_never() else {
            break;
        };
        if chunk.stream != stream || bytes.len() + chunk.bytes.len() > FRAME_BYTES {
            return (bytes.freeze(), Some(chunk));
        }
        bytes.extend_from_slice(&chunk.bytes);
    }
    (bytes.freeze(), None)
}
