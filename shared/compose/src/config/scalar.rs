//! Values written in one piece: numbers, sizes, times, truth values.

use super::shape::{Misfit, Read, misfit, one};
use crate::{
    cx::shorten,
    tree::{Kind, Node},
    units,
};
use serde_json::{Value, json};

/// A whole number as YAML writes it.
fn parse_whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .map(|digits| i64::from_str_radix(digits, radix))
    };
    let number = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| {
            let octal = digits.len() > 1 && digits.starts_with('0');
            octal.then(|| i64::from_str_radix(digits, 8))
        })
        .unwrap_or_else(|| digits.parse());
    number
        .ok()
        .filter(|number| *number >= 0)
        .map(|number| number * sign)
}

pub(super) fn whole(node: &Node, path: &str) -> Result<i64, Misfit> {
    let text = one(node, path)?;
    match parse_whole(text.trim()) {
        Some(number) => Ok(number),
        None => misfit(
            path,
            node,
            format!("must be a whole number, and is `{}`", shorten(text)),
        ),
    }
}

pub(super) fn number(node: &Node, path: &str) -> Read {
    let text = one(node, path)?;
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(plain_number(number)),
        _ => misfit(
            path,
            node,
            format!("must be a number, and is `{}`", shorten(text)),
        ),
    }
}

fn plain_number(number: f64) -> Value {
    let whole = format!("{number:.0}").parse::<i64>().ok();
    match whole.filter(|_| number.fract() == 0.0) {
        Some(whole) => json!(whole),
        None => json!(number),
    }
}

pub(super) fn truth(node: &Node, path: &str) -> Read {
    match one(node, path)?.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Ok(json!(true)),
        "false" | "n" | "no" | "off" => Ok(json!(false)),
        other => misfit(
            path,
            node,
            format!("must be true or false, and is `{}`", shorten(other)),
        ),
    }
}

pub(super) fn bytes(node: &Node, path: &str) -> Read {
    let text = one(node, path)?.trim();
    if let Some(number) = parse_whole(text) {
        return Ok(json!(number.to_string()));
    }
    match units::bytes(text) {
        Ok(bytes) => Ok(json!(bytes.to_string())),
        Err(reason) => misfit(path, node, format!("`{}` {reason}", shorten(text))),
    }
}

pub(super) fn time(node: &Node, path: &str) -> Read {
    let text = one(node, path)?.trim();
    match units::duration_ms(text) {
        Ok(ms) => Ok(json!(go_time(ms))),
        Err(reason) => misfit(path, node, format!("`{}` {reason}", shorten(text))),
    }
}

/// A time as the model writes it: `1h2m3s`, `1.5s`, `20ms`.
fn go_time(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (seconds, part) = (ms / 1_000, ms % 1_000);
    let part = match part {
        0 => String::new(),
        part => format!(".{part:03}").trim_end_matches('0').to_owned(),
    };
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}{part}s"),
        (0, m, s) => format!("{m}m{s}{part}s"),
        (h, m, s) => format!("{h}h{m}m{s}{part}s"),
    }
}

/// A value by YAML's own rules.
pub(super) fn any(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::List(items) => items.iter().map(any).collect(),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), any(&entry.value)));
            Value::Object(entries.collect())
        }
        Kind::Scalar { text, plain: false } => json!(text),
        Kind::Scalar { text, plain: true } => match text.as_str() {
            "true" | "True" | "TRUE" => json!(true),
            "false" | "False" | "FALSE" => json!(false),
            text => plain_scalar(text),
        },
    }
}

fn plain_scalar(text: &str) -> Value {
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match parse_whole(text).filter(|_| begins) {
        Some(number) => json!(number),
        None => match text.parse::<f64>() {
            Ok(number) if begins && number.is_finite() => json!(number),
            _ => json!(text),
        },
    }
}
