//! Countable resources named by people: which kinds and numbers are taken.

use crate::refusal::invalid;
use berth_events::Rejection;
use std::collections::BTreeMap;

/// The longest kind, in bytes.
pub const MAX_KIND_BYTES: usize = 63;
/// The most of one kind.
pub const MAX_AMOUNT: u64 = 1_000_000;
/// The most kinds of a node.
pub const MAX_KINDS: usize = 32;

/// Checks every kind and number.
///
/// # Errors
/// [`Rejection`] names the first that breaks a rule, and the rule.
pub fn check_resources(resources: &BTreeMap<String, u64>) -> Result<(), Rejection> {
    resources.iter().try_for_each(|(kind, count)| {
        check_kind(kind)?;
        if *count <= MAX_AMOUNT {
            return Ok(());
        }
        Err(invalid(
            "resource.too_many_of_a_kind",
            format!("`{count}` of {kind} is more than the limit of {MAX_AMOUNT}"),
            "count in larger units",
        ))
    })
}

/// Checks how many kinds there would be.
pub(crate) fn check_kinds(count: usize) -> Result<(), Rejection> {
    if count <= MAX_KINDS {
        return Ok(());
    }
    Err(invalid(
        "resource.too_many",
        format!("the node would have {count} kinds of resources, more than the limit of {MAX_KINDS}"),
        "take some away first",
    ))
}

fn check_kind(kind: &str) -> Result<(), Rejection> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let first = |c: char| c.is_ascii_alphanumeric();
    if kind.len() <= MAX_KIND_BYTES && kind.starts_with(first) && kind.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(
        "resource.kind_invalid",
        format!("`{kind}` is no kind of resource"),
        "use small letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 63",
    ))
}
