//! Sizes, times and processor counts as Compose writes them. Each answer says why a text is none.

/// Milliseconds of `1h2m3.5s4ms`; less than one counts as one.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let mut rest = text;
    let mut total_ms = 0.0_f64;
    if rest.is_empty() {
        return Err("is no time".to_owned());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| "is no time".to_owned())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit_ms = match &rest[..end] {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            "" => return Err("has no unit".to_owned()),
            other => return Err(format!("has the unknown unit `{}`", crate::cx::shorten(other))),
        };
        rest = &rest[end..];
        total_ms += number * unit_ms;
    }
    whole(total_ms, "is too long")
}

/// Bytes of `512`, `64k`, `1.5gb`, `2 MiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| "is no size".to_owned())?;
    let factor = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1_048_576.0,
        "g" | "gb" | "gib" => 1_073_741_824.0,
        "t" | "tb" | "tib" => 1_099_511_627_776.0,
        "p" | "pb" | "pib" => 1_125_899_906_842_624.0,
        other => return Err(format!("has the unknown unit `{}`", crate::cx::shorten(other))),
    };
    whole(number * factor, "is too large")
}

/// Thousandths of a core of `0.5`.
pub(crate) fn cpus_millis(text: &str) -> Result<u64, String> {
    const MOST_CORES: f64 = 100_000.0;
    let cores: f64 = text.parse().map_err(|_| "is no number of cores".to_owned())?;
    if !cores.is_finite() || cores < 0.0 {
        return Err("is negative or no number".to_owned());
    }
    if cores > MOST_CORES {
        return Err("is more cores than any node has".to_owned());
    }
    whole((cores * 1_000_000.0).round() / 1_000.0, "is too large")
}

/// Rounds up. The range check makes the conversion exact.
fn whole(value: f64, too_large: &str) -> Result<u64, String> {
    const MOST: f64 = 9_007_199_254_740_992.0;
    let value = value.ceil();
    if !(0.0..=MOST).contains(&value) {
        return Err(too_large.to_owned());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(value as u64)
}
