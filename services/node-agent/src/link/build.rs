//! Making an image for the gateway: its files come in numbered pieces, the builder's words go back.

use super::{BusSecrets, Link, SendError, steps_of_builds::Leftovers};
use crate::{
    engine::{Engine, Key, Making, Progress},
    state::StateDir,
    worker::SecretError,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_bus::{
    async_nats::{Message, Subscriber},
    subject,
};
use berth_events::{
    BuildFrame, BuildInput, BuildResult, BuildSaid, CONTEXT_CHUNK_BYTES, MAX_BUILD_MS, OpenBuild,
    spec::registry_of,
};
use berth_ids::BuildId;
use bytes::Bytes;
use futures::StreamExt;
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Images made at the same time.
const MAX_BUILDS: usize = 2;
/// Pieces of a context that wait for the engine: 4 MiB.
const WINDOW: u64 = 64;
/// How often words, credit and signs of life are sent.
const TICK: Duration = Duration::from_millis(200);
/// A sign of life is sent after so long without anything else.
const ALIVE_AFTER: Duration = Duration::from_secs(5);
/// A gateway that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the builder's words sent a tick; what is more is left out.
const MAX_OUTPUT_BYTES: usize = 32 * 1024;
/// Words that wait for the next tick.
const QUEUED_WORDS: usize = 256;
/// Registries whose logins are asked for.
const MAX_REGISTRIES: usize = 32;
/// The longest name of a session.
const MAX_SESSION_NAME: usize = 64;

/// What images are made with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Builders {
    engine: Engine,
    secrets: Arc<BusSecrets>,
    leftovers: Leftovers,
    slots: Arc<Semaphore>,
}

impl Builders {
    pub(super) fn new(engine: Engine, secrets: Arc<BusSecrets>, state: StateDir) -> Self {
        Self {
            leftovers: Leftovers::new(engine.clone(), state),
            engine,
            secrets,
            slots: Arc::new(Semaphore::new(MAX_BUILDS)),
        }
    }

    /// Opens what the vault has.
    pub(super) fn secrets(&self) -> Arc<BusSecrets> {
        Arc::clone(&self.secrets)
    }

    /// Takes away what builds have left that ended with the agent.
    pub(super) async fn clear(&self) {
        self.leftovers.clear(BuildId::default()).await;
    }

    /// Serves one order from its first message to its last.
    pub(super) async fn serve(self, link: Link, open: OpenBuild, shutdown: CancellationToken) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if open.session.is_empty()
            || open.session.len() > MAX_SESSION_NAME
            || !open.session.chars().all(plain)
        {
            return tracing::warn!("`{}` names no session", open.session);
        }
        let mut session = Session {
            out: subject::terminal(link.node_id, &open.session, "out"),
            link,
            number: 0,
            words: String::new(),
            left_out: 0,
            said_at: Instant::now(),
        };
        let whole = Duration::from_millis(MAX_BUILD_MS);
        let result = tokio::select! {
            result = self.make(&mut session, &open) => result,
            () = shutdown.cancelled() => failed("the node's agent was stopped in the middle; build again"),
            () = tokio::time::sleep(whole) => {
                failed(&format!("it was not done within {} minutes", whole.as_secs() / 60))
            }
        };
        if let BuildResult::Failed { message } = &result {
            tracing::info!(build.id = %open.build_id, "an image was not made: {message}");
        }
        let ended = match session.flush().await {
            Ok(()) => session.say(BuildSaid::Done { result }).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the end of a build was not sent"
            );
        }
        self.leftovers.clear(open.build_id).await;
    }

    async fn make(&self, session: &mut Session, open: &OpenBuild) -> BuildResult {
        let Ok(_slot) = self.slots.try_acquire() else {
            return failed(&format!(
                "this node makes {MAX_BUILDS} images already; try again, or name another node"
            ));
        };
        let heard_at = subject::terminal(session.link.node_id, &open.session, "in");
        let input = match session.link.client.subscribe(heard_at).await {
            Ok(input) => input,
            Err(error) => return failed(&error.to_string()),
        };
        let keys = match self.keys(open).await {
            Ok(keys) => keys,
            Err(message) => return failed(&message),
        };
        self.lead(session, open, keys, input).await
    }

    /// The logins that the engine may need.
    async fn keys(&self, open: &OpenBuild) -> Result<BTreeMap<String, Key>, String> {
        let mut keys = BTreeMap::new();
        let names = std::iter::once(&open.order.image).chain(&open.order.tags);
        let mut registries = open.order.registries.clone();
        registries.extend(names.map(|name| registry_of(name).to_owned()));
        for registry in registries.into_iter().take(MAX_REGISTRIES) {
            let key = match self.secrets.login_to_build(open.build_id, &registry).await {
                Ok(Some(login)) => Key::Stored(login),
                Ok(None) => Key::None,
                Err(SecretError::Refused(reason) | SecretError::Away(reason)) => {
                    return Err(format!(
                        "the login of `{registry}` could not be asked for: {reason}"
                    ));
                }
            };
            keys.insert(registry, key);
        }
        Ok(keys)
    }

    /// Hands the context to the engine and its words to the gateway until one of them ends.
    async fn lead(
        &self,
        session: &mut Session,
        open: &OpenBuild,
        keys: BTreeMap<String, Key>,
        mut input: Subscriber,
    ) -> BuildResult {
        let (pieces, context) = mpsc::channel(usize::try_from(WINDOW).unwrap_or(usize::MAX));
        let (progress, mut told) = mpsc::channel(QUEUED_WORDS);
        let mut context_in = Context::new(pieces);
        let making = Making {
            order: &open.order,
            keys: &keys,
            progress,
        };
        let engine = self.engine.clone();
        let mut work = std::pin::pin!(engine.build(&making, ReceiverStream::new(context)));
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                built = &mut work => {
                    while let Ok(more) = told.try_recv() {
                        self.hear(session, open.build_id, more);
                    }
                    return match built {
                        Ok(built) => BuildResult::Succeeded { digest: built.digest, image_id: built.image_id },
                        Err(fault) => failed(&fault.0),
                    };
                }
                message = input.next() => {
                    let Some(message) = message else { return failed("the bus has closed the session") };
                    if let Err(reason) = context_in.take(&message) {
                        return failed(&reason);
                    }
                }
                Some(more) = told.recv() => self.hear(session, open.build_id, more),
                _ = ticks.tick() => {
                    if let Err(reason) = session.tick(&mut context_in).await {
                        return failed(&reason);
                    }
                }
            }
        }
    }

    fn hear(&self, session: &mut Session, build: BuildId, progress: Progress) {
        match progress {
            Progress::Text(text) => session.hear(&text),
            Progress::Container(id) => self.leftovers.note(build, &id),
        }
    }
}

fn failed(message: &str) -> BuildResult {
    BuildResult::Failed {
        message: message.to_owned(),
    }
}

/// The files, piece by piece.
struct Context {
    /// Gone when all have come.
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    next: u64,
    granted: u64,
    heard_at: Instant,
}

impl Context {
    fn new(pieces: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            pieces: Some(pieces),
            next: 1,
            granted: 0,
            heard_at: Instant::now(),
        }
    }

    /// Takes a message; an error ends the session.
    fn take(&mut self, message: &Message) -> Result<(), String> {
        self.heard_at = Instant::now();
        let input = serde_json::from_slice(&message.payload);
        let input: BuildInput = input.map_err(|error| format!("the gateway sent something else: {error}"))?;
        match input {
            BuildInput::Alive => Ok(()),
            BuildInput::Cancel => Err("nobody waits for the image any more".to_owned()),
            BuildInput::Context { number, bytes } => {
                self.is_due(number)?;
                let bytes = STANDARD.decode(bytes);
                let bytes = bytes.map_err(|_| "the gateway sent a piece that is not base64".to_owned())?;
                if bytes.len() > CONTEXT_CHUNK_BYTES {
                    return Err("the gateway sent too large a piece".to_owned());
                }
                let Some(pieces) = &self.pieces else {
                    return Err("the gateway sent a piece after the end".to_owned());
                };
                match pieces.try_send(Ok(bytes.into())) {
                    Ok(()) => Ok(()),
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        Err("the gateway sent more than was allowed".to_owned())
                    }
                    // The engine has refused: its answer comes.
                    Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
                }
            }
            BuildInput::End { number } => {
                self.is_due(number)?;
                self.pieces = None;
                Ok(())
            }
        }
    }

    fn is_due(&mut self, number: u64) -> Result<(), String> {
        if number != self.next {
            return Err(format!(
                "piece {number} of the files came where {} was due: some were lost on the way; build again",
                self.next
            ));
        }
        self.next += 1;
        Ok(())
    }

    /// Up to which piece may be sent, if that is more than was said.
    fn grant(&mut self) -> Option<u64> {
        let room = self.pieces.as_ref()?.capacity();
        let up_to = self.next - 1 + u64::try_from(room).unwrap_or(0);
        let more = up_to > self.granted;
        self.granted = self.granted.max(up_to);
        more.then_some(up_to)
    }
}

/// The way back.
struct Session {
    link: Link,
    out: String,
    number: u64,
    words: String,
    /// Bytes that were too many.
    left_out: usize,
    said_at: Instant,
}

impl Session {
    fn hear(&mut self, text: &str) {
        let room = MAX_OUTPUT_BYTES.saturating_sub(self.words.len());
        let end = (0..=room.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        self.words.push_str(&text[..end]);
        self.left_out += text.len() - end;
    }

    /// An error ends the session.
    async fn tick(&mut self, context: &mut Context) -> Result<(), String> {
        if context.heard_at.elapsed() > PATIENCE {
            return Err("the gateway has gone; build again".to_owned());
        }
        let sent = async {
            if let Some(up_to) = context.grant() {
                self.say(BuildSaid::Credit { up_to }).await?;
            }
            self.flush().await?;
            if self.said_at.elapsed() > ALIVE_AFTER {
                self.say(BuildSaid::Alive).await?;
            }
            Ok::<(), SendError>(())
        };
        sent.await.map_err(|error| error.to_string())
    }

    async fn flush(&mut self) -> Result<(), SendError> {
        if self.words.is_empty() {
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.words);
        if self.left_out > 0 {
            text.push_str(&format!("\n… {} bytes of output are left out\n", self.left_out));
            self.left_out = 0;
        }
        self.say(BuildSaid::Output { text }).await
    }

    async fn say(&mut self, body: BuildSaid) -> Result<(), SendError> {
        self.number += 1;
        self.said_at = Instant::now();
        let frame = BuildFrame {
            number: self.number,
            body,
        };
        self.link.tell(self.out.clone(), &frame).await
    }
}

#[cfg(test)]
mod tests;
