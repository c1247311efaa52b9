//! What can go wrong in the shell of the log.

/// Why the ledger could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database did not do it.
    #[error("could not {action} in the database of the log")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
    /// The bus did not do it.
    #[error("could not {action} on the bus: {reason}")]
    Bus {
        /// What was tried.
        action: String,
        /// What the bus says.
        reason: String,
    },
    /// The bus is not set up for the log.
    #[error("{what}; {cure}")]
    Setup {
        /// What is wrong.
        what: String,
        /// What to do.
        cure: String,
    },
    /// The writer ended.
    #[error("the log-writer ended: {0}")]
    Ended(String),
    /// The log and the stream EVT hold two histories.
    #[error("fork of the log: {0}")]
    Fork(String),
    /// A stored row cannot be read.
    #[error("the event at position {position} cannot be read: {reason}; verify the log, then restore it")]
    Unreadable {
        /// Where.
        position: u64,
        /// Why.
        reason: String,
    },
    /// A migration that ran already has another text now.
    #[error("migration {version} of schema `es` was applied with another text: use the release that made it")]
    Migration {
        /// Its number.
        version: i32,
    },
}

impl LedgerError {
    /// For `map_err`.
    pub(crate) fn database(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { action, source }
    }

    /// For `map_err`.
    pub(crate) fn bus<E: std::fmt::Display>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |error| Self::Bus {
            action: action.into(),
            reason: error.to_string(),
        }
    }
}
