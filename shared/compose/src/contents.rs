//! `secrets` and `configs`: what they hold, and where a service's containers find it as files.

mod mounted;
pub(crate) use mounted::of_service;

use crate::{
    cx::{Cx, Item, shorten},
    environment::Sources,
    keys,
    limits::{MAX_CONTENT_BYTES, MAX_CONTENTS_BYTES, MAX_PUBLIC_CONTENT_BYTES},
    mounts::within,
    tree::Kind,
};
use berth_events::spec::SecretRef;
use berth_ids::SecretId;
use std::collections::{BTreeMap, BTreeSet};

/// Where the secrets of a container are.
pub(crate) const SECRETS_FOLDER: &str = "/run/secrets/";
/// What the name of a stored content ends with if its value is base64.
pub const BASE64: &str = ";base64";
/// Keys that say what one holds; the last two are of printed templates that show secrets.
const SOURCES: [&str; 5] = [
    "file",
    "environment",
    "content",
    "x-berth-content",
    "x-berth-base64",
];

/// The two sections, by their key in the file.
pub(crate) const SECTIONS: [&str; 2] = ["secrets", "configs"];

/// What a secret or config holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Bytes that are no text, in base64.
    Base64(String),
    /// What the release that runs has there (`x-berth-kept`).
    Kept,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Base64(_) => "Base64(…)",
            Self::Kept => "Kept",
        })
    }
}

/// The secrets and configs that a file declares, by `secrets/NAME` and `configs/NAME`; nothing stands for one
/// whose fault is reported.
pub(crate) type Declared = BTreeMap<String, Option<Known>>;

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub content: Content,
    pub public: bool,
}

/// A content that the vault does not have yet.
pub(crate) fn unstored(key: &str) -> SecretRef {
    SecretRef {
        secret_id: SecretId::from_u128(0),
        version: 0,
        key: key.to_owned(),
    }
}

/// Reads both sections.
pub(crate) fn declared(cx: &Cx, root: &Item<'_>, sources: &Sources<'_>) -> Declared {
    let mut out = Declared::new();
    let used = used(root);
    let mut budget = MAX_CONTENTS_BYTES;
    for section in SECTIONS {
        let Some(item) = root.child(section).filter(|item| !item.is_null()) else {
            continue;
        };
        let mut folded = BTreeSet::new();
        for entry in cx.map(&item, "db_password: {file: ./password.txt}") {
            crate::application::check_name(cx, &entry, section.trim_end_matches('s'));
            if !folded.insert(entry.key.to_lowercase()) {
                let message = format!("two {section} are called `{}`", shorten(entry.key));
                let cure = "choose names that differ in more than small and capital letters";
                cx.error(&entry, "compose.duplicate_key", message, cure);
            }
            let key = format!("{section}/{}", entry.key);
            if !used.contains(&key) {
                // As with Compose, what no service names does not matter.
                continue;
            }
            let known = one(cx, section, &entry, sources);
            let bytes = known.as_ref().map_or(0, |known| size(&known.content));
            if bytes > budget {
                let message =
                    format!("the secrets and configs have more than {MAX_CONTENTS_BYTES} bytes in all");
                cx.error(&entry, "compose.content_size", message, TOO_LARGE);
                return out;
            }
            budget -= bytes;
            out.insert(key, known);
        }
    }
    out
}

/// The keys of those that services name.
fn used(root: &Item<'_>) -> BTreeSet<String> {
    let services = root
        .child("services")
        .map(|item| item.entries())
        .unwrap_or_default();
    let lists = services.iter().flat_map(|service| {
        let lists = SECTIONS
            .iter()
            .filter_map(|section| Some((*section, service.child(section)?)));
        lists.collect::<Vec<_>>()
    });
    let keys = lists.flat_map(|(section, list)| {
        let names = list
            .items()
            .into_iter()
            .filter_map(|item| match item.child("source") {
                Some(source) => source.raw(),
                None => item.raw(),
            });
        names.map(|name| format!("{section}/{name}")).collect::<Vec<_>>()
    });
    keys.collect()
}

const TOO_LARGE: &str = "put it into the image or into a volume";

fn size(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len(),
        Content::Base64(text) => text.len() / 4 * 3,
        Content::Kept => 0,
    }
}

fn one(cx: &Cx, section: &str, entry: &Item<'_>, sources: &Sources<'_>) -> Option<Known> {
    let config = section == "configs";
    cx.map(entry, &format!("{}: {{file: ./FILE}}", shorten(entry.key)));
    cx.check_keys(entry, if config { &keys::CONFIG } else { &keys::SECRET });
    if external(cx, entry)? {
        return None;
    }
    let truth = |key: &str| entry.child(key).and_then(|item| cx.truth(&item)) == Some(true);
    let (kept, public) = (truth("x-berth-kept"), truth("x-berth-public"));
    let said: Vec<Item<'_>> = SOURCES
        .iter()
        .filter(|key| config || **key != "content")
        .filter_map(|key| entry.child(key))
        .collect();
    let content = match said.as_slice() {
        [] if kept => Some(Content::Kept),
        [] => {
            let message = format!("`{}` says not where its content is", shorten(entry.key));
            let cure = if config {
                "add `file:`, `environment:` or `content:`"
            } else {
                "add `file:` or `environment:`"
            };
            cx.error(entry, "compose.content", message, cure);
            return None;
        }
        [item] => found(cx, item, sources, kept),
        [_, second, ..] => {
            let message = format!("`{}` has two contents", shorten(entry.key));
            cx.error(second, "compose.content", message, "keep one of them");
            return None;
        }
    }?;
    check(cx, entry, &content, public)?;
    Some(Known { content, public })
}

/// Whether it is external, which is an error; nothing if it says neither yes nor no.
fn external(cx: &Cx, entry: &Item<'_>) -> Option<bool> {
    let Some(item) = entry.child("external") else {
        return Some(false);
    };
    let external = match &item.node.kind {
        Kind::Map(_) => true,
        _ => cx.truth(&item)?,
    };
    if external {
        let message = format!(
            "`{}` is external, and there are no secrets or configs outside of applications",
            shorten(entry.key)
        );
        let cure = "give its content here: `environment: NAME` takes it from a variable of the one who deploys, `file: ./FILE` from a file; the vault keeps it";
        cx.error(&item, "compose.external_content", message, cure);
    }
    Some(external)
}

fn found(cx: &Cx, item: &Item<'_>, sources: &Sources<'_>, kept: bool) -> Option<Content> {
    match item.key {
        "content" | "x-berth-content" => cx.loose_text(item).map(Content::Text),
        "x-berth-base64" => cx.text(item).map(Content::Base64),
        "environment" => {
            let name = cx.text(item)?;
            match sources.variables.get(&name) {
                Some(value) => Some(Content::Text(value.to_owned())),
                None if kept => Some(Content::Kept),
                None => {
                    let message = format!("the variable `{}` is not set", shorten(&name));
                    let cure = format!("give it: -e {}=VALUE, or in `.env`", shorten(&name));
                    cx.error(item, "compose.content", message, cure);
                    None
                }
            }
        }
        _ => file(cx, item, sources, kept),
    }
}

fn file(cx: &Cx, item: &Item<'_>, sources: &Sources<'_>, kept: bool) -> Option<Content> {
    let text = cx.text(item)?;
    let Some(path) = within(&text).filter(|path| !path.is_empty()) else {
        let message = format!("the file `{}` is not inside the project folder", shorten(&text));
        let cure = "copy the file beside the Compose file and name it by a relative path without ..";
        cx.error(item, "compose.content_path", message, cure);
        return None;
    };
    if let Some(text) = sources.files.get(&path) {
        return Some(Content::Text(text.clone()));
    }
    if let Some(encoded) = sources.binaries.get(&path) {
        return Some(Content::Base64(encoded.clone()));
    }
    if kept {
        return Some(Content::Kept);
    }
    let message = format!("the file `{}` was not found", shorten(&path));
    cx.error(
        item,
        "compose.content",
        message,
        "make the file, or correct its path",
    );
    None
}

fn check(cx: &Cx, entry: &Item<'_>, content: &Content, public: bool) -> Option<()> {
    let limit = if public {
        MAX_PUBLIC_CONTENT_BYTES
    } else {
        MAX_CONTENT_BYTES
    };
    if size(content) > limit {
        let word = if public { "public " } else { "" };
        let message = format!(
            "`{}` has {} bytes, more than the limit of {limit} of a {word}content",
            shorten(entry.key),
            size(content)
        );
        cx.error(entry, "compose.content_size", message, TOO_LARGE);
        return None;
    }
    if public && !matches!(content, Content::Text(_)) {
        let message = format!("`{}` is public and no text", shorten(entry.key));
        cx.error(entry, "compose.content", message, "remove `x-berth-public`");
        return None;
    }
    Some(())
}

/// The files that both sections name, by path below the project folder.
pub(crate) fn paths(root: &Item<'_>) -> BTreeSet<String> {
    said(root, "file").filter_map(|text| within(&text)).collect()
}

/// The variables that both sections name.
pub(crate) fn variables(root: &Item<'_>) -> BTreeSet<String> {
    said(root, "environment").collect()
}

fn said(root: &Item<'_>, key: &str) -> impl Iterator<Item = String> {
    let entries = SECTIONS
        .iter()
        .filter_map(|section| root.child(section))
        .flat_map(|section| section.entries());
    entries.filter_map(move |entry| Some(entry.child(key)?.raw()?.to_owned()))
}
