//! Output of a container as a stream of chunks.

use super::{Engine, EngineError};
use berth_ids::Timestamp;
use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt};

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

impl Engine {
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
