//! JSON values as YAML text: block style, keys sorted, texts quoted only where they must be.

use serde_json::Value;
use std::fmt::Write as _;

/// A value as a YAML document.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            // Sorted here, because features of other crates may keep the order of insertion.
            for (key, value) in fields.iter().collect::<std::collections::BTreeMap<_, _>>() {
                let _ = write!(out, "{indent}{}:", text(key));
                after_mark(out, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "{indent}-");
                after_mark(out, item, depth + 1);
            }
        }
        _ => {
            let _ = writeln!(out, "{indent}{}", scalar(value));
        }
    }
}

fn after_mark(out: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(out, value, depth);
    } else {
        let _ = writeln!(out, " {}", scalar(value));
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// Plain if no reader could take it for something else, else as JSON text, which is YAML too.
fn text(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/'))
        && !matches!(
            value,
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        value.to_owned()
    } else {
        Value::String(value.to_owned()).to_string()
    }
}
