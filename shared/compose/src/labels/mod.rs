//! Labels that Berth itself understands. Each has two names, `aliyun.X` and `berth.X`.
//! What each means is in `docs/labels.md`; the typed result is [`ServiceLabels`] and a [`ProbeSpec`].

mod known;
mod logs;
mod probe;
mod routing;
mod scaling;
mod value;

use crate::{
    cx::{Cx, Item, shorten},
    rules::Rules,
};
use berth_events::spec::{BatchSpec, ProbeSpec, ServiceLabels};
use known::{Effect, KNOWN};
use std::collections::BTreeMap;

const FAMILIES: [&str; 2] = ["aliyun.", "berth."];
/// The most important that a service can be.
const MAX_PRIORITY: u64 = 1_000;
/// Begins the labels by which Berth knows its containers, volumes and networks.
const ENGINE_PREFIX: &str = "io.berth.";

/// What the labels of a service say.
#[derive(Default)]
pub(crate) struct Labels<'n> {
    /// What is set on containers.
    pub container: BTreeMap<String, String>,
    /// What is only shown.
    pub service: BTreeMap<String, String>,
    /// Labels of the two families without their prefix, with where they stand.
    pub read: BTreeMap<String, (String, Item<'n>)>,
}

/// What the labels ask of the platform.
pub(crate) struct Typed {
    pub labels: ServiceLabels,
    pub probe: Option<ProbeSpec>,
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
            let mut of_container = of_container;
            if let Some(suffix) = FAMILIES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
                agree(cx, &entry, &mut family, suffix, &name, &value);
                match effect(cx, &entry, &name, suffix) {
                    Some(Effect::Key) => {
                        out.read.insert(suffix.to_owned(), (value, entry));
                        continue;
                    }
                    Some(Effect::Service | Effect::Stored) => of_container = false,
                    Some(Effect::Container) | None => {}
                }
                out.read.insert(suffix.to_owned(), (value.clone(), entry));
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

impl<'n> Labels<'n> {
    /// The labels whose name begins so, by what follows.
    fn below(&self, prefix: &str) -> impl Iterator<Item = (&str, &str, &Item<'n>)> {
        self.read.iter().filter_map(move |(name, (value, item))| {
            name.strip_prefix(prefix).map(|rest| (rest, value.as_str(), item))
        })
    }

    fn get(&self, name: &str) -> Option<(&str, &Item<'n>)> {
        self.read.get(name).map(|(value, item)| (value.as_str(), item))
    }

    /// A truth value.
    pub(crate) fn truth(&self, cx: &Cx, name: &str) -> Option<bool> {
        self.get(name)
            .and_then(|(text, item)| value::truth(cx, item, text))
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, cx: &Cx, name: &str, least: u64, most: u64) -> Option<u64> {
        self.get(name)
            .and_then(|(text, item)| value::number(cx, item, text, least, most))
    }
}

/// Reads what the labels ask of the platform.
pub(crate) fn typed(cx: &Cx, labels: &Labels<'_>) -> Typed {
    probe::replace(cx, labels);
    let (routes, session_sticky, routing) = routing::routes(cx, labels);
    let priority = labels.number(cx, "priority", 0, MAX_PRIORITY).unwrap_or(0);
    Typed {
        labels: ServiceLabels {
            priority: u32::try_from(priority).unwrap_or(0),
            latest_image: labels.truth(cx, "latest_image").unwrap_or(false),
            routes,
            session_sticky,
            routing,
            listeners: routing::listeners(cx, labels),
            auto_scaling: scaling::read(cx, labels),
            logs: logs::read(cx, labels),
            monitoring: labels
                .below("monitoring.")
                .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
                .collect(),
            task: scaling::task(cx, labels),
        },
        probe: probe::read(cx, labels),
    }
}

/// Reads the labels of the whole file, which say whether it is a batch job.
pub(crate) fn batch(cx: &Cx, item: &Item<'_>) -> Option<BatchSpec> {
    let labels = read(cx, Some(item), None, &mut Rules::default());
    let job = match labels.get("project_type") {
        None => false,
        Some((text, item)) => {
            if text != "batch" {
                let message = format!(
                    "`{}` is no batch job: the application runs until it is stopped",
                    shorten(text)
                );
                cx.warn(
                    item,
                    "compose.label",
                    message,
                    "write `batch`, or remove the label",
                );
            }
            text == "batch"
        }
    };
    let schedule = labels
        .get("schedule")
        .and_then(|(text, item)| scaling::schedule(cx, item, text));
    (job || schedule.is_some()).then_some(BatchSpec { schedule })
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

/// What a label does; nothing is known of it after a fault.
fn effect(cx: &Cx, entry: &Item<'_>, name: &str, suffix: &str) -> Option<Effect> {
    let known = KNOWN.iter().find(|known| known.names(suffix));
    if let Some(known) = known {
        if known.effect == Effect::Stored {
            let message = format!(
                "the label `{}` is checked and kept, and nothing acts on it yet",
                shorten(name)
            );
            cx.warn(entry, "compose.unsupported_label", message, known.cure);
        }
        return Some(known.effect);
    }
    let near = cx
        .nearest(suffix, KNOWN.iter().map(|known| known.name))
        .map(|near| format!("did you mean `berth.{near}`? "));
    let near = near.unwrap_or_default();
    if name.starts_with("berth.") {
        let message = format!(
            "`{}` is no label that Berth knows, and `berth.` is kept for those",
            shorten(name)
        );
        let cure = format!("{near}choose another prefix for labels of your own");
        cx.error(entry, "compose.reserved_label", message, cure);
    } else {
        let message = format!("the label `{}` is not known and has no effect", shorten(name));
        let cure = format!("{near}it is set on the containers as it is");
        cx.warn(entry, "compose.unknown_label", message, cure);
    }
    None
}
