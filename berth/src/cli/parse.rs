//! Small values of the command line, read and printed.

use berth_events::Quota;
use berth_ids::Timestamp;
use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `90s`, `5m`, `1h30m`, `250ms`, `2d`.
///
/// # Errors
/// Says what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is not a time span; write it like 90s, 5m, 1h30m or 2d");
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let number: u64 = rest
            .get(..digits)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(fault)?;
        rest = rest.get(digits..).unwrap_or_default();
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest.get(..letters).unwrap_or_default();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?;
        millis = number
            .checked_mul(*factor)
            .and_then(|part| millis.checked_add(part))
            .ok_or_else(fault)?;
        rest = rest.get(letters..).unwrap_or_default();
    }
    Ok(Duration::from_millis(millis))
}

/// Reads a moment: RFC 3339, or a time span back from now.
///
/// # Errors
/// Says what a moment looks like.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let back = duration(text).map_err(|_| {
        format!("`{text}` is no moment; write 2026-11-24T10:00:00Z, or a span back from now like 10m")
    })?;
    let micros = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
    let now = berth_service_kit::Clock::now().as_micros();
    Ok(Timestamp::from_micros(now.saturating_sub(micros)))
}

/// Reads `KEY=VALUE`; without `=` the value is empty.
///
/// # Errors
/// The key is missing.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.trim().is_empty() {
        return Err(format!("`{text}` has no name before the `=`"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// `KIND=COUNT` of a countable resource; kinds are in small letters.
///
/// # Errors
/// It is none.
pub fn resource(text: &str) -> Result<(String, u64), String> {
    let (kind, count) = key_value(text)?;
    let count = count.trim().parse::<u64>();
    let count =
        count.map_err(|_| format!("`{text}`: write KIND=COUNT with a whole number, such as gpu=2"))?;
    Ok((berth_events::spec::resource_kind(&kind), count))
}

/// `SERVICE=WEIGHT` with a weight of 0–100.
///
/// # Errors
/// It is none.
pub fn weight(text: &str) -> Result<(String, u8), String> {
    let (name, value) = key_value(text)?;
    match value.parse::<u8>() {
        Ok(weight) if weight <= 100 => Ok((name, weight)),
        _ => Err(format!(
            "`{text}`: write SERVICE=WEIGHT with a weight from 0 to 100"
        )),
    }
}

/// `cpu=CORES,memory=SIZE,containers=N`, each of which may be left out, or `none`.
///
/// # Errors
/// Says what a quota looks like.
pub fn quota(text: &str) -> Result<Quota, String> {
    let fault = || format!("`{text}` is no quota; write it like cpu=8,memory=32GiB,containers=50, or none");
    let mut quota = Quota::default();
    if text == "none" {
        return Ok(quota);
    }
    for part in text.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(fault)?;
        let (place, amount) = match key.trim() {
            "cpu" => (&mut quota.cpu_millis, thousandths(value.trim())),
            "memory" => (&mut quota.memory_bytes, size(value.trim())),
            "containers" => (&mut quota.containers, value.trim().parse().ok()),
            _ => return Err(fault()),
        };
        if place.replace(amount.ok_or_else(fault)?).is_some() {
            return Err(format!("`{text}` names {key} twice"));
        }
    }
    Ok(quota)
}

/// Cores with up to three decimals, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(part)
}

/// Bytes of `512`, `64k`, `32GiB`; each unit is 1,024 of the one before.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(1_024_u64.checked_pow(power)?)
}

/// The longest key of a change; a further write of the same command adds its number.
const MAX_KEY_CHARS: usize = 200;

/// Reads the key of a change.
///
/// # Errors
/// Says what a key looks like.
pub fn key_text(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_KEY_CHARS || !good {
        return Err(format!(
            "a key has 1 to {MAX_KEY_CHARS} visible ASCII characters and no space"
        ));
    }
    Ok(text.to_owned())
}

/// How long ago something was, in one unit: `12s`, `5m`, `3h`, `2d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read() {
        let all = quota("cpu=2.5,memory=32GiB,containers=50").unwrap();
        assert_eq!(
            (all.cpu_millis, all.memory_bytes, all.containers),
            (Some(2_500), Some(32 << 30), Some(50))
        );
        assert_eq!(quota("none"), Ok(Quota::default()));
        for bad in [
            "",
            "cpu",
            "cpu=x",
            "cpu=1.2345",
            "memory=3 parsecs",
            "cpu=1,cpu=2",
            "disk=1",
        ] {
            assert!(quota(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in [
            "",
            "5",
            "m",
            "5x",
            "-5s",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_read_both_ways() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(Timestamp::from_millis(1_000)));
        assert!(moment("10m").is_ok());
        assert!(moment("yesterday").unwrap_err().contains("span back"));
    }

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_millis(1_000_000_000);
        let ago = |seconds: i64| age(Timestamp::from_millis(1_000_000_000 - seconds * 1_000), now);
        assert_eq!(
            [ago(5), ago(300), ago(7_300), ago(200_000)],
            ["5s", "5m", "2h", "2d"]
        );
        assert_eq!(ago(-5), "0s");
    }

    #[test]
    fn keys_are_visible_and_short() {
        assert_eq!(key_text("build-42/1"), Ok("build-42/1".into()));
        for bad in ["", "a b", "ä", &"x".repeat(MAX_KEY_CHARS + 1)] {
            assert!(key_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_need_a_key() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a"), Ok(("a".into(), String::new())));
        assert!(key_value("=x").is_err());
    }
}
