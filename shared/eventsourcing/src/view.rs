//! Views: pure folds over the whole log, kept in memory and, row by row, in a service's own schema.

use berth_events::{Event, Recorded};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names one row of a view: kind and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// Kind of the row, such as `node`.
    pub kind: String,
    /// Key within the kind.
    pub key: String,
}

impl RowKey {
    /// Names a row.
    pub fn new(kind: &str, key: impl fmt::Display) -> Self {
        Self {
            kind: kind.to_owned(),
            key: key.to_string(),
        }
    }
}

/// A stored row that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("row `{key}` of kind `{kind}` of view `{view}` cannot be read: rebuild the view")]
pub struct RowError {
    /// The view.
    pub view: &'static str,
    /// Kind of the row.
    pub kind: String,
    /// Key of the row.
    pub key: String,
    /// What serde says.
    #[source]
    pub source: Option<serde_json::Error>,
}

/// A read model as a pure fold: same events, same rows, byte for byte.
///
/// Rows are its whole state: `restore` of all rows gives the same view. Uses no clock and no randomness.
pub trait View: Default + Send + Sync + 'static {
    /// Name of the view, unique in its service.
    const NAME: &'static str;
    /// Rises with every change of rows or of the set of event types handled; a new number is a rebuild.
    const VERSION: u32;

    /// Takes an event in and says which rows it touched. Events that it does not need touch none.
    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey>;

    /// A row as JSON text; `None` if it is not (any more) there.
    fn row(&self, key: &RowKey) -> Option<String>;

    /// Takes a stored row in.
    ///
    /// # Errors
    /// [`RowError`] if it has another shape.
    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError>;
}
