//! Typed access to values: each function reports a fault with a cure and answers with nothing.

use crate::{
    cx::{Cx, Item},
    tree::Kind,
    units,
};
use std::collections::BTreeMap;

const TYPE: &str = "compose.type";

impl Cx {
    fn wrong_type(&self, item: &Item<'_>, wanted: &str, cure: &str) {
        let secret = item.key == "environment" && item.raw().is_some();
        let what = if secret {
            "one text".to_owned()
        } else {
            item.what()
        };
        let message = format!("{} must be {wanted}, and is {what}", named(item));
        self.error(item, TYPE, message, cure);
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, item: &Item<'_>) -> Option<String> {
        match item.raw() {
            Some("") => {
                self.error(
                    item,
                    "compose.empty",
                    format!("{} is empty", named(item)),
                    "write a value, or remove the key",
                );
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong_type(
                    item,
                    "a text",
                    "write one value, in quotes if YAML could misread it",
                );
                None
            }
        }
    }

    /// A text that may be empty; a number or truth value counts as its text, nothing as empty.
    pub(crate) fn loose_text(&self, item: &Item<'_>) -> Option<String> {
        if item.is_null() {
            return Some(String::new());
        }
        if item.raw().is_none() {
            self.wrong_type(
                item,
                "a text",
                "write one value, in quotes if YAML could misread it",
            );
        }
        item.raw().map(str::to_owned)
    }

    pub(crate) fn truth(&self, item: &Item<'_>) -> Option<bool> {
        match item.raw() {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            _ => {
                self.wrong_type(
                    item,
                    "true or false",
                    "write true or false, in small letters and without quotes",
                );
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(&self, item: &Item<'_>, least: i64, most: i64) -> Option<i64> {
        let cure = format!("write a whole number from {least} to {most}");
        let number = match item.raw().map(str::trim).map(str::parse::<i64>) {
            Some(Ok(number)) => number,
            Some(Err(_)) | None => {
                self.wrong_type(item, "a whole number", &cure);
                return None;
            }
        };
        if (least..=most).contains(&number) {
            return Some(number);
        }
        self.error(
            item,
            "compose.range",
            format!("{} is {number}, out of range", named(item)),
            cure,
        );
        None
    }

    pub(crate) fn count(&self, item: &Item<'_>, most: u64) -> Option<u64> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.number(item, 0, most)
            .and_then(|number| u64::try_from(number).ok())
    }

    /// A size such as `64m`, in bytes.
    pub(crate) fn bytes(&self, item: &Item<'_>) -> Option<u64> {
        self.unit(
            item,
            units::bytes,
            "compose.size",
            "write a size such as 512m, 1.5g or a number of bytes",
        )
    }

    /// A time such as `1m30s`, in milliseconds.
    pub(crate) fn duration_ms(&self, item: &Item<'_>) -> Option<u64> {
        self.unit(
            item,
            units::duration_ms,
            "compose.duration",
            "write a time with units, such as 10s, 1m30s or 500ms",
        )
    }

    /// Processors such as `0.5`, in thousandths.
    pub(crate) fn cpus_millis(&self, item: &Item<'_>) -> Option<u64> {
        self.unit(
            item,
            units::cpus_millis,
            "compose.cpus",
            "write a number of cores such as 0.5 or 2",
        )
    }

    fn unit(
        &self,
        item: &Item<'_>,
        read: fn(&str) -> Result<u64, String>,
        code: &'static str,
        cure: &str,
    ) -> Option<u64> {
        let Some(text) = item.raw() else {
            self.wrong_type(item, "one value", cure);
            return None;
        };
        match read(text.trim()) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.error(
                    item,
                    code,
                    format!("{}: `{}` {reason}", named(item), crate::cx::shorten(text)),
                    cure,
                );
                None
            }
        }
    }

    /// One of some words; the answer is the index.
    pub(crate) fn word(&self, item: &Item<'_>, words: &[&str]) -> Option<usize> {
        let text = self.text(item)?;
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let message = format!("{}: `{}` is not known", named(item), crate::cx::shorten(&text));
            let mut cure = format!("write one of {}", words.join(", "));
            if let Some(near) = self.nearest(&text, words.iter().copied()) {
                cure = format!("did you mean `{near}`? {cure}");
            }
            self.error(item, "compose.unknown_value", message, cure);
        }
        found
    }

    /// A mapping, or nothing.
    pub(crate) fn map<'n>(&self, item: &Item<'n>, example: &str) -> Vec<Item<'n>> {
        if !matches!(item.node.kind, Kind::Map(_) | Kind::Null) {
            self.wrong_type(item, "a mapping", &format!("write `{example}`"));
        }
        item.entries()
    }

    /// A list, or nothing.
    pub(crate) fn list<'n>(&self, item: &Item<'n>, example: &str) -> Vec<Item<'n>> {
        if !matches!(item.node.kind, Kind::List(_) | Kind::Null) {
            self.wrong_type(item, "a list", &format!("write `{example}`"));
        }
        item.items()
    }

    /// A list of texts, or one text that stands for a list of one.
    pub(crate) fn texts(&self, item: &Item<'_>, example: &str) -> Vec<String> {
        if item.raw().is_some() {
            return self.text(item).into_iter().collect();
        }
        self.list(item, example)
            .iter()
            .filter_map(|text| self.text(text))
            .collect()
    }

    /// A mapping of texts, or a list of `NAME=value`. A name alone has no value.
    pub(crate) fn pairs<'n>(
        &self,
        item: &Item<'n>,
        example: &str,
    ) -> Vec<(String, Option<String>, Item<'n>)> {
        match &item.node.kind {
            Kind::List(_) => item
                .items()
                .into_iter()
                .filter_map(|entry| {
                    let text = self.text(&entry)?;
                    Some(match text.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned()), entry),
                        None => (text, None, entry),
                    })
                })
                .collect(),
            Kind::Map(_) | Kind::Null => item
                .entries()
                .into_iter()
                .filter_map(|entry| {
                    let value = if entry.is_null() {
                        None
                    } else {
                        Some(self.loose_text(&entry)?)
                    };
                    Some((entry.key.to_owned(), value, entry))
                })
                .collect(),
            Kind::Scalar { .. } => {
                self.wrong_type(item, "a mapping or a list", &format!("write `{example}`"));
                Vec::new()
            }
        }
    }

    /// [`Cx::pairs`] by name, a name without a value being empty, a name twice being an error.
    pub(crate) fn table(&self, item: &Item<'_>, example: &str) -> BTreeMap<String, String> {
        let mut table = BTreeMap::new();
        for (name, value, entry) in self.pairs(item, example) {
            if name.is_empty() {
                self.error(
                    &entry,
                    "compose.empty",
                    "an entry has no name",
                    format!("write `{example}`"),
                );
            } else if table.insert(name.clone(), value.unwrap_or_default()).is_some() {
                let message = format!("`{name}` is set twice");
                self.error(&entry, "compose.duplicate_key", message, "keep one of the two");
            }
        }
        table
    }
}

/// How a message names a value.
pub(crate) fn named(item: &Item<'_>) -> String {
    if item.key.is_empty() {
        "this item".to_owned()
    } else {
        format!("`{}`", item.key)
    }
}
