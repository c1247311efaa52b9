//! Quantiles of durations.

use std::{fmt, time::Duration};

/// Durations in order.
pub struct Sorted(Vec<Duration>);

impl Sorted {
    /// Sorts them.
    pub fn new(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    /// The value below which `share` of all are.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a list"
        )]
        let index = (last as f64 * share).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |share| self.quantile(share).as_micros();
        write!(
            f,
            "p50 {:>6} µs  p90 {:>6} µs  p99 {:>6} µs  max {:>7} µs",
            micros(0.5),
            micros(0.9),
            micros(0.99),
            micros(1.0)
        )
    }
}

/// Milliseconds in order.
pub struct Millis(Vec<f64>);

impl Millis {
    /// Sorts them.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which `share` of all are.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a list"
        )]
        let index = (last as f64 * share).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:>7.1} ms  p99 {:>7.1} ms  min {:>7.1} ms  max {:>7.1} ms",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.0),
            self.quantile(1.0)
        )
    }
}
