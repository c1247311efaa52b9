//! `auto_scaling.*`, and the labels of batch jobs.

use super::{Labels, value::fault};
use crate::{
    cx::{Cx, Item, shorten},
    limits::MAX_REPLICAS,
};
use berth_events::spec::{AutoScalingSpec, Band, RemoveContainers, TaskSpec};

const PERCENT: u64 = 100;
/// Most containers added or taken away at a time.
const MAX_STEP: u64 = 100;
/// Longest period, in minutes.
const MAX_PERIOD: u64 = 60;
const MAX_RETRIES: u64 = 1_000;
const NAMES: [&str; 12] = [
    "max_cpu",
    "min_cpu",
    "max_memory",
    "min_memory",
    "max_internetInRate",
    "min_internetInRate",
    "max_internetOutRate",
    "min_internetOutRate",
    "step",
    "max_instances",
    "min_instances",
    "period",
];

/// Reads all `auto_scaling.*`.
pub(super) fn read(cx: &Cx, labels: &Labels<'_>) -> Option<AutoScalingSpec> {
    labels.below("auto_scaling.").next()?;
    for (name, _, item) in labels.below("auto_scaling.") {
        if !NAMES.contains(&name) {
            let near = cx.nearest(name, NAMES.into_iter());
            let cure = near.map_or_else(
                || format!("there are {}", NAMES.join(", ")),
                |near| format!("did you mean `auto_scaling.{near}`?"),
            );
            fault(
                cx,
                item,
                format!("there is no auto_scaling.{}", shorten(name)),
                &cure,
            );
        }
    }
    let number = |name: &str, least, most| labels.number(cx, &format!("auto_scaling.{name}"), least, most);
    let small = |name, least, most| number(name, least, most).and_then(|n| u32::try_from(n).ok());
    let spec = AutoScalingSpec {
        cpu: band(cx, labels, "cpu", PERCENT),
        memory: band(cx, labels, "memory", PERCENT),
        internet_in_rate: band(cx, labels, "internetInRate", u64::MAX),
        internet_out_rate: band(cx, labels, "internetOutRate", u64::MAX),
        step: small("step", 1, MAX_STEP),
        min_instances: small("min_instances", 0, MAX_REPLICAS),
        max_instances: small("max_instances", 1, MAX_REPLICAS),
        period: small("period", 1, MAX_PERIOD),
    };
    if let (Some(min), Some(max)) = (spec.min_instances, spec.max_instances)
        && min > max
        && let Some((_, item)) = labels.get("auto_scaling.min_instances")
    {
        let message = format!("min_instances {min} is more than max_instances {max}");
        fault(cx, item, message, "write a smaller min_instances");
    }
    Some(spec)
}

fn band(cx: &Cx, labels: &Labels<'_>, what: &str, most: u64) -> Band {
    let number = |bound: &str| labels.number(cx, &format!("auto_scaling.{bound}_{what}"), 0, most);
    let band = Band {
        min: number("min"),
        max: number("max"),
    };
    if let (Some(min), Some(max)) = (band.min, band.max)
        && min >= max
        && let Some((_, item)) = labels.get(&format!("auto_scaling.min_{what}"))
    {
        let message = format!("min_{what} {min} is not less than max_{what} {max}");
        fault(
            cx,
            item,
            message,
            "leave a gap: else containers come and go for ever",
        );
    }
    band
}

/// Reads `retry_count` and `remove_containers`.
pub(super) fn task(cx: &Cx, labels: &Labels<'_>) -> TaskSpec {
    let retry_count = labels.number(cx, "retry_count", 0, MAX_RETRIES);
    let words = [
        ("remove-finished", RemoveContainers::RemoveFinished),
        ("remove-failed", RemoveContainers::RemoveFailed),
        ("remove-all", RemoveContainers::RemoveAll),
        ("remove-none", RemoveContainers::RemoveNone),
    ];
    let remove_containers = labels.get("remove_containers").and_then(|(text, item)| {
        let found = words.iter().find(|(word, _)| *word == text.trim());
        if found.is_none() {
            let message = format!("remove_containers: `{}` is not known", shorten(text));
            let cure = "write remove-finished, remove-failed, remove-all or remove-none";
            fault(cx, item, message, cure);
        }
        found.map(|(_, word)| *word)
    });
    TaskSpec {
        retry_count: retry_count.and_then(|count| u32::try_from(count).ok()),
        remove_containers,
    }
}

/// Six fields: second, minute, hour, day, month, weekday.
pub(super) fn schedule(cx: &Cx, item: &Item<'_>, text: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "*/,-?LW#".contains(c);
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() == 6 && fields.iter().all(|field| field.chars().all(good)) {
        return Some(fields.join(" "));
    }
    let message = format!("`{}` is no time in six fields", shorten(text));
    let cure = "write second minute hour day month weekday, such as `0 30 2 * * *`";
    fault(cx, item, message, cure);
    None
}
