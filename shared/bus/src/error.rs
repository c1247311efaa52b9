//! What can go wrong between a process and the bus.

/// A fault of the bus, as seen from here.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No connection at start.
    #[error("could not connect to the bus at `{url}`")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Credentials or certificates could not be read.
    #[error("could not use the bus credentials `{path}`")]
    Credentials {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A message did not have its shape.
    #[error("a message on `{subject}` does not have its shape")]
    Shape {
        /// Where.
        subject: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A stream, consumer or subscription could not be had.
    #[error("could not {what}: {reason}")]
    Stream {
        /// What was tried.
        what: String,
        /// What the server said.
        reason: String,
    },
}

impl BusError {
    pub(crate) fn stream(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Stream {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}
