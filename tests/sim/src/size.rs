//! Amounts as people write them.

/// Bytes of `8GiB`, `512MiB` or a plain number.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<u64>().ok()?.checked_mul(size);
        }
    }
    text.parse().ok()
}

/// Milliseconds of `500ms`, `30s` or `5m`.
pub(crate) fn millis(text: &str) -> Option<u64> {
    for (unit, size) in [("ms", 1_u64), ("s", 1_000), ("m", 60_000)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<u64>().ok()?.checked_mul(size);
        }
    }
    None
}
