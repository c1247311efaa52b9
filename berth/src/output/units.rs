//! Numbers and words as people read them.

use serde::Serialize;

const KIB: u64 = 1024;
const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];

/// `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    if count < KIB {
        return format!("{count} B");
    }
    let mut unit = 0;
    let mut size = KIB;
    while unit + 1 < UNITS.len() && count >= size.saturating_mul(KIB) {
        unit += 1;
        size = size.saturating_mul(KIB);
    }
    let tenths = count.saturating_mul(10) / size;
    let name = UNITS.get(unit).copied().unwrap_or("TiB");
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

/// Thousandths of a core: `2`, `0.25`.
pub fn cores(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share of a whole: `42 %`; empty if there is no whole.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        _ => format!("{} %", part.saturating_mul(100) / whole),
    }
}

/// The wire word of a unit variant: `UsedUp` → `used_up`.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_at_most() {
        assert_eq!(
            [0, 1023, 1024, 1536, 3 * KIB * KIB, 23 * KIB * KIB * KIB, u64::MAX].map(bytes),
            [
                "0 B",
                "1023 B",
                "1 KiB",
                "1.5 KiB",
                "3 MiB",
                "23 GiB",
                "1677721.5 TiB"
            ]
        );
        assert_eq!([0, 250, 2_000, 1_500].map(cores), ["0", "0.25", "2", "1.5"]);
        assert_eq!([percent(1, 3), percent(0, 0)], ["33 %", ""]);
    }
}
