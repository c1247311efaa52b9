//! Moments of all parties on one clock: everything runs on this machine.

use anyhow::{Context, Result};
use berth_ids::Timestamp;
use chrono::Utc;

/// Now.
pub fn now() -> Timestamp {
    Utc::now().into()
}

/// Milliseconds from one moment to another; negative if it was the other way round.
#[allow(clippy::cast_precision_loss, reason = "moments of one run")]
pub fn millis(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_micros() - from.as_micros()) as f64 / 1_000.0
}

/// A moment as an engine writes it.
pub fn parse(text: Option<&str>) -> Result<Timestamp> {
    let text = text.context("the engine did not say when")?;
    text.parse()
        .with_context(|| format!("the engine said `{text}` for a moment"))
}
