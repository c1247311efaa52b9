//! Labels that Berth itself understands. Each has two names, `aliyun.X` and `berth.X`.

use crate::{
    cx::{Cx, Item, shorten},
    rules::Rules,
};
use std::collections::BTreeMap;

const FAMILIES: [&str; 2] = ["aliyun.", "berth."];
/// Begins the labels by which Berth knows its containers, volumes and networks.
const ENGINE_PREFIX: &str = "io.berth.";
/// Labels that are read here and not set on containers, so that a change of them re-creates none.
const READ: [&str; 3] = ["scale", "global", "depends"];
/// Labels of later releases; a final `.` or `_` stands for every continuation.
const LATER: [&str; 21] = [
    "routing.",
    "lb.",
    "vip.",
    "probe.",
    "rolling_updates",
    "rolling_updates.",
    "latest_image",
    "logs",
    "log_store_",
    "log_ttl_",
    "log.",
    "log_project",
    "auto_scaling.",
    "monitoring.",
    "gpu",
    "project_type",
    "schedule",
    "retry_count",
    "remove_containers",
    "addon",
    "proxy.",
];

/// What the labels of a service say.
#[derive(Default)]
pub(crate) struct Labels<'n> {
    /// What is set on containers.
    pub container: BTreeMap<String, String>,
    /// What is only shown.
    pub service: BTreeMap<String, String>,
    /// `scale`, `global` and `depends`, with where they stand.
    pub read: BTreeMap<&'static str, (String, Item<'n>)>,
}

/// Reads `labels` and `deploy.labels`.
pub(crate) fn read<'n>(
    cx: &Cx,
    labels: Option<&Item<'n>>,
    deploy_labels: Option<&Item<'n>>,
    rules: &mut Rules,
) -> Labels<'n> {
    let mut out = Labels::default();
    let mut family: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (item, of_container) in [(labels, true), (deploy_labels, false)] {
        let Some(item) = item else { continue };
        cx.table(item, "labels: {name: value}");
        for (name, value, entry) in cx.pairs(item, "labels: {name: value}") {
            let value = value.unwrap_or_default();
            if check_engine_label(cx, &entry, &name) {
                continue;
            }
            if of_container && rules.take_label(cx, &entry, &name, &value) {
                continue;
            }
            if let Some(suffix) = FAMILIES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
                agree(cx, &entry, &mut family, suffix, &name, &value);
                if let Some(read) = READ.into_iter().find(|known| *known == suffix) {
                    out.read.insert(read, (value, entry));
                    continue;
                }
                check_known(cx, &entry, &name, suffix);
            }
            let table = if of_container {
                &mut out.container
            } else {
                &mut out.service
            };
            table.insert(name, value);
        }
    }
    out
}

/// A table of labels of a volume or network.
pub(crate) fn table(cx: &Cx, item: &Item<'_>) -> BTreeMap<String, String> {
    for (name, _, entry) in cx.pairs(item, "labels: {name: value}") {
        check_engine_label(cx, &entry, &name);
    }
    cx.table(item, "labels: {name: value}")
}

/// Labels by which Berth knows on the engine what is its own. True if the name may not be used.
fn check_engine_label(cx: &Cx, entry: &Item<'_>, name: &str) -> bool {
    let reserved = name.starts_with(ENGINE_PREFIX);
    if reserved {
        let message = format!("`{}` is a label that Berth sets itself", shorten(name));
        cx.error(
            entry,
            "compose.reserved_label",
            message,
            "choose another prefix for labels of your own",
        );
    }
    reserved
}

fn agree(
    cx: &Cx,
    entry: &Item<'_>,
    family: &mut BTreeMap<String, (String, String)>,
    suffix: &str,
    name: &str,
    value: &str,
) {
    if let Some((other, earlier)) = family.get(suffix)
        && other != name
        && earlier != value
    {
        let message = format!("`{other}` and `{name}` mean the same and have different values");
        cx.error(
            entry,
            "compose.conflict",
            message,
            format!("keep one of the two, best `berth.{suffix}`"),
        );
    }
    family.insert(suffix.to_owned(), (name.to_owned(), value.to_owned()));
}

fn check_known(cx: &Cx, entry: &Item<'_>, name: &str, suffix: &str) {
    let later = LATER.iter().any(|known| {
        if known.ends_with(['.', '_']) {
            suffix.starts_with(known)
        } else {
            suffix == *known
        }
    });
    if later || suffix == "custom_addon" {
        let message = format!("the label `{}` has no effect in this release", shorten(name));
        cx.warn(
            entry,
            "compose.unsupported_label",
            message,
            "it comes with a later release; it is set on the containers as it is",
        );
        return;
    }
    let words = READ.into_iter().chain(LATER);
    let near = cx
        .nearest(suffix, words)
        .map(|near| format!("did you mean `berth.{near}`? "));
    let near = near.unwrap_or_default();
    if name.starts_with("berth.") {
        let message = format!(
            "`{}` is no label that Berth knows, and `berth.` is kept for those",
            shorten(name)
        );
        cx.error(
            entry,
            "compose.reserved_label",
            message,
            format!("{near}choose another prefix for labels of your own"),
        );
    } else {
        let message = format!("the label `{}` is not known and has no effect", shorten(name));
        cx.warn(
            entry,
            "compose.unknown_label",
            message,
            format!("{near}it is set on the containers as it is"),
        );
    }
}
