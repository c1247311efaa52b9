//! Output of a container as a stream of chunks.

use super::{Engine, EngineError};
use berth_agent_core::{MAX_MESSAGE_BYTES, Seen};
use berth_ids::Timestamp;
use bollard::{container::LogOutput, models::ContainerInspectResponse, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::time::Duration;

/// Which part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRequest {
    /// Go on when the end is reached.
    pub follow: bool,
    /// Lines from the end; `None`: all.
    pub tail: Option<u32>,
    /// Not before this moment (whole seconds).
    pub since: Option<Timestamp>,
    /// Put the engine's time before each line.
    pub timestamps: bool,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Lines of an ended container that are told, and the longest wait for them.
const LAST_LINES: u32 = 5;
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(2);
/// What is read of them before values are hidden; far more than is told, so that a value that is cut in two
/// falls away.
const MAX_LAST_BYTES: usize = 16 * MAX_MESSAGE_BYTES;
/// What the name of a secret's file on the node ends with.
pub(crate) const SECRET_FILE: &str = "-secret";
/// Values of the environment shorter than this are words, not secrets.
const MIN_HIDDEN_CHARS: usize = 4;
/// What is told in place of a value.
const HIDDEN: &str = "***";

impl Engine {
    /// One container by its id or name; with its last lines, if it has ended.
    ///
    /// # Errors
    /// [`EngineError`]; a container that is not there is no error.
    pub async fn inspect_closely(&self, id: &str) -> Result<Seen, EngineError> {
        let mut seen = self.inspect(id).await?;
        if let Seen::Ended { output, .. } = &mut seen {
            *output = self.last_lines(id).await;
        }
        Ok(seen)
    }

    /// The last lines of a container; none if they are not to be had soon.
    async fn last_lines(&self, id: &str) -> String {
        let mut bytes = Vec::new();
        let read = async {
            let request = LogRequest {
                tail: Some(LAST_LINES),
                ..LogRequest::default()
            };
            let Ok(output) = self.logs(id, request).await else {
                return;
            };
            let mut output = std::pin::pin!(output);
            while let Some(Ok(chunk)) = output.next().await {
                bytes.extend_from_slice(&chunk.bytes);
                // Of long lines the end says most.
                let surplus = bytes.len().saturating_sub(MAX_LAST_BYTES);
                bytes.drain(..surplus);
            }
        };
        // What came until then is told.
        let _ = tokio::time::timeout(LAST_LINES_PATIENCE, read).await;
        let text = hide(&String::from_utf8_lossy(&bytes), &self.environment(id).await);
        let shown: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        let cut = shown.len().saturating_sub(MAX_MESSAGE_BYTES);
        let from = (cut..=shown.len()).find(|at| shown.is_char_boundary(*at));
        shown[from.unwrap_or_default()..].trim().to_owned()
    }

    /// Values of a container's environment; its output may hold them, the log of events must not.
    async fn environment(&self, id: &str) -> Vec<String> {
        let Ok(docker) = self.docker().await else {
            return Vec::new();
        };
        let inspected = docker.inspect_container(id, None).await;
        inspected.map(|answer| secret_values(&answer)).unwrap_or_default()
    }

    /// Output of a container, standard output and error apart.
    ///
    /// # Errors
    /// [`EngineError`] if the engine is away; what it refuses comes as the first item.
    pub async fn logs(
        &self,
        id: &str,
        request: LogRequest,
    ) -> Result<impl Stream<Item = Result<LogChunk, EngineError>> + use<>, EngineError> {
        let tail = request
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let since = request
            .since
            .map_or(0, |moment| moment.as_millis().div_euclid(1_000));
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(request.follow)
            .timestamps(request.timestamps)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .tail(&tail)
            .build();
        let docker = self.docker().await?;
        let engine = self.clone();
        let output = docker.logs(id, Some(options));
        Ok(output.map(move |item| item.map(chunk).map_err(|error| engine.error(error))))
    }
}

/// Values of a container's environment and of its secrets' files.
pub(super) fn secret_values(answer: &ContainerInspectResponse) -> Vec<String> {
    let config = answer.config.as_ref();
    let lines = config
        .and_then(|config| config.env.as_ref())
        .into_iter()
        .flatten();
    let values = lines.filter_map(|line| line.split_once('='));
    let values = values.map(|(_, value)| value.to_owned());
    let sources = answer
        .mounts
        .iter()
        .flatten()
        .filter_map(|mount| mount.source.as_deref());
    let files = sources.filter(|source| source.ends_with(SECRET_FILE));
    // They are in memory, and no larger than the platform takes.
    values
        .chain(files.filter_map(|file| std::fs::read_to_string(file).ok()))
        .collect()
}

/// The text without these values, longest first: one may be a part of another.
pub(super) fn hide(text: &str, values: &[String]) -> String {
    let mut values: Vec<&str> = values
        .iter()
        .flat_map(|value| value.lines().chain([value.as_str()]))
        .map(str::trim)
        .filter(|value| value.chars().count() >= MIN_HIDDEN_CHARS)
        .collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let hidden = |text: String, value: &str| text.replace(value, HIDDEN);
    values.into_iter().fold(text.to_owned(), hidden)
}

fn chunk(output: LogOutput) -> LogChunk {
    let (stream, bytes) = match output {
        LogOutput::StdErr { message } => ("stderr", message),
        // With a terminal there is one stream for all.
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            ("stdout", message)
        }
    };
    LogChunk { stream, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_environment_are_not_told() {
        let values = ["s3cret", "s3cret-and-longer", "no", "one line\nand another"].map(str::to_owned);
        let text = "no way: s3cret-and-longer is wrong\ntry s3cret\nand another";
        assert_eq!(hide(text, &values), "no way: *** is wrong\ntry ***\n***");
    }
}
