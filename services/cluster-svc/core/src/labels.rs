//! Labels given by people: which keys and values are taken.

use crate::refusal::invalid;
use berth_events::Rejection;
use std::collections::BTreeMap;

/// The longest key, in bytes.
pub const MAX_LABEL_KEY_BYTES: usize = 128;
/// The longest value, in bytes.
pub const MAX_LABEL_VALUE_BYTES: usize = 256;
/// The most labels of a node.
pub const MAX_LABELS: usize = 64;

/// Checks every key and value.
///
/// # Errors
/// [`Rejection`] names the first label that breaks a rule, and the rule.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
    labels.iter().try_for_each(|(key, value)| {
        check_key(key)?;
        check_value(key, value)
    })
}

/// Checks how many there would be.
pub(crate) fn check_count(count: usize) -> Result<(), Rejection> {
    if count <= MAX_LABELS {
        return Ok(());
    }
    Err(invalid(
        "label.too_many",
        format!("the node would have {count} labels, more than the limit of {MAX_LABELS}"),
        "take labels away first",
    ))
}

fn check_key(key: &str) -> Result<(), Rejection> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fine = key.len() <= MAX_LABEL_KEY_BYTES
        && key.chars().all(allowed)
        && edge(key.chars().next())
        && edge(key.chars().next_back());
    if fine {
        return Ok(());
    }
    Err(invalid(
        "label.key_invalid",
        format!("`{key}` is no label key"),
        "use letters, digits, `-`, `_`, `.` and `/`, beginning and ending with a letter or digit, at most 128",
    ))
}

fn check_value(key: &str, value: &str) -> Result<(), Rejection> {
    if value.len() <= MAX_LABEL_VALUE_BYTES && !value.chars().any(char::is_control) {
        return Ok(());
    }
    Err(invalid(
        "label.value_invalid",
        format!("the value of label `{key}` is too long or holds a control character"),
        "use at most 256 bytes of printable text",
    ))
}
