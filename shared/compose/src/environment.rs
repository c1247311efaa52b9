//! `environment`, `env_file` and `x-berth-public`.

use crate::{
    PublicKeys,
    cx::{Cx, Item, shorten},
    keys,
    limits::MAX_ENV_FILES_BYTES,
    mounts::within,
    rules::Rules,
    tree::Kind,
    variables::{Variables, env_file},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// What an environment is made of.
pub(crate) struct Sources<'a> {
    pub variables: &'a Variables<'a>,
    /// Files by path below the project folder.
    pub files: &'a BTreeMap<String, String>,
    /// Those that are no text, in base64.
    pub binaries: &'a BTreeMap<String, String>,
    /// How much of them was loaded so far.
    pub loaded_bytes: Cell<usize>,
}

/// An `env_file` that a service names: path below the project folder, and whether it must be there.
pub(crate) struct Wanted<'n> {
    pub path: String,
    pub required: bool,
    raw: bool,
    item: Item<'n>,
}

/// Reads `env_file` and `environment`, which wins. Entries that are rules go to `rules`.
pub(crate) fn read(
    cx: &Cx,
    service: &Item<'_>,
    sources: &Sources<'_>,
    rules: &mut Rules,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Some(item) = service.child("env_file") {
        for wanted in wanted(cx, &item) {
            values.extend(load(cx, &wanted, sources));
        }
    }
    let Some(item) = service.child("environment") else {
        return values;
    };
    let mut own = BTreeSet::new();
    for (name, value, entry) in cx.pairs(&item, "environment: {NAME: value}") {
        let whole = value
            .as_ref()
            .map_or_else(|| name.clone(), |value| format!("{name}={value}"));
        if rules.take(cx, &entry, &whole) || cx.bad_variable_name(&entry, &name) {
            continue;
        }
        if !own.insert(name.clone()) {
            let message = format!("`{}` is set twice", shorten(&name));
            cx.error(&entry, "compose.duplicate_key", message, "keep one of the two");
            continue;
        }
        match value.or_else(|| inherited(cx, &entry, &name, sources)) {
            Some(value) => values.insert(name, value),
            None => values.remove(&name),
        };
    }
    values
}

/// A name without a value takes it from the caller's variables; in a mapping, `NAME:` alone does too.
fn inherited(cx: &Cx, entry: &Item<'_>, name: &str, sources: &Sources<'_>) -> Option<String> {
    let value = sources.variables.get(name).map(str::to_owned);
    if value.is_none() {
        let message = format!(
            "`{}` has no value here nor outside; the container does not get it",
            shorten(name)
        );
        cx.warn(
            entry,
            "compose.unset_variable",
            message,
            format!("set {name}, or write {name}: \"\" for an empty value"),
        );
    }
    value
}

fn load(cx: &Cx, wanted: &Wanted<'_>, sources: &Sources<'_>) -> BTreeMap<String, String> {
    let direct = sources.files.get(&wanted.path);
    let Some(text) = direct.or_else(|| sources.files.get(&format!("./{}", wanted.path))) else {
        if sources.binaries.contains_key(&wanted.path) {
            let message = format!("the env_file `{}` is no text", shorten(&wanted.path));
            let cure = "write lines NAME=VALUE in UTF-8, or give the file as one of `secrets`";
            cx.error(&wanted.item, "compose.env_file_syntax", message, cure);
            return BTreeMap::new();
        }
        if wanted.required {
            let message = format!("the env_file `{}` was not found", shorten(&wanted.path));
            let cure = "make the file, or write it as {path: …, required: false}";
            cx.error(&wanted.item, "compose.env_file_missing", message, cure);
        }
        return BTreeMap::new();
    };
    let loaded = sources.loaded_bytes.get().saturating_add(text.len());
    if loaded > MAX_ENV_FILES_BYTES {
        let message = format!("the services name env files of more than {MAX_ENV_FILES_BYTES} bytes in all");
        cx.error(
            &wanted.item,
            "compose.env_file_budget",
            message,
            "name smaller files, or in fewer services",
        );
        return BTreeMap::new();
    }
    sources.loaded_bytes.set(loaded);
    if wanted.raw {
        return raw(cx, wanted, text);
    }
    let outer = |name: &str| sources.variables.get(name).map(str::to_owned);
    env_file(cx, &wanted.path, &wanted.item.path, text, &outer)
}

/// `format: raw`: each line as it is.
fn raw(cx: &Cx, wanted: &Wanted<'_>, text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim(), value));
    pairs
        .filter(|(name, _)| !cx.bad_variable_name(&wanted.item, name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The files that an `env_file` key names.
pub(crate) fn wanted<'n>(cx: &Cx, item: &Item<'n>) -> Vec<Wanted<'n>> {
    let entries = match &item.node.kind {
        Kind::Scalar { .. } | Kind::Map(_) => vec![item.clone()],
        Kind::List(_) => item.items(),
        Kind::Null => Vec::new(),
    };
    entries.into_iter().filter_map(|entry| one(cx, entry)).collect()
}

fn one<'n>(cx: &Cx, entry: Item<'n>) -> Option<Wanted<'n>> {
    const CURE: &str = "write env_file: name.env, or a list of {path: name.env, required: false}";
    let (text, required, raw) = match &entry.node.kind {
        Kind::Map(_) => {
            cx.check_keys(&entry, &keys::ENV_FILE);
            let Some(path) = entry.child("path") else {
                cx.error(&entry, "compose.env_file_path", "an env_file has no `path`", CURE);
                return None;
            };
            let required = entry.child("required").map(|item| cx.truth(&item));
            let raw = entry.child("format").and_then(|item| cx.word(&item, &["raw"]));
            (cx.text(&path)?, required.flatten().unwrap_or(true), raw.is_some())
        }
        Kind::Scalar { .. } => (cx.text(&entry)?, true, false),
        Kind::Null | Kind::List(_) => {
            cx.error(
                &entry,
                "compose.type",
                format!("an env_file must be a path, and is {}", entry.what()),
                CURE,
            );
            return None;
        }
    };
    match within(&text) {
        Some(path) if !path.is_empty() => Some(Wanted {
            path,
            required,
            raw,
            item: entry,
        }),
        _ => {
            let message = format!(
                "the env_file `{}` is not inside the project folder",
                shorten(&text)
            );
            let cure = "copy the file beside the Compose file and name it by a relative path without ..";
            cx.error(&entry, "compose.env_file_path", message, cure);
            None
        }
    }
}

/// Reads `x-berth-public`: `true`, or a list of variables.
pub(crate) fn public(cx: &Cx, item: &Item<'_>, values: &BTreeMap<String, String>) -> PublicKeys {
    if item.raw().is_some() {
        return match cx.truth(item) {
            Some(true) => PublicKeys::All,
            _ => PublicKeys::default(),
        };
    }
    let mut names = BTreeSet::new();
    for entry in cx.list(item, "x-berth-public: [NAME]") {
        let Some(name) = cx.text(&entry) else { continue };
        if !values.contains_key(&name) {
            let message = format!("`{}` is no variable of this service", shorten(&name));
            let near = cx.nearest(&name, values.keys().map(String::as_str));
            let cure = near.map_or_else(
                || "name a variable of its environment".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            cx.warn(&entry, "compose.unknown_public", message, cure);
        }
        names.insert(name);
    }
    PublicKeys::Only(names)
}
