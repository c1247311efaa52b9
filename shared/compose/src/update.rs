//! `deploy.update_config`, `deploy.rollback_config`, and the labels that mean the same.

use crate::{
    cx::{Cx, Item},
    keys,
    labels::Labels,
    limits::MAX_REPLICAS,
};
use berth_events::spec::{FailureAction, UpdateOrder, UpdatePolicy};

/// Thousandths in one.
const PERMILLE: f64 = 1_000.0;

/// How a service is updated, and how an update of it is taken back.
pub(crate) fn read(
    cx: &Cx,
    service: &Item<'_>,
    labels: &Labels<'_>,
) -> (Option<UpdatePolicy>, Option<UpdatePolicy>) {
    let deploy = service.child("deploy");
    let section = |name: &str| {
        let item = deploy.as_ref()?.child(name).filter(|item| !item.is_null())?;
        Some(policy(cx, &item))
    };
    let (update, rollback) = (section("update_config"), section("rollback_config"));
    (by_labels(cx, labels, update), rollback)
}

fn by_labels(cx: &Cx, labels: &Labels<'_>, update: Option<UpdatePolicy>) -> Option<UpdatePolicy> {
    let parallelism = labels.read.get("rolling_updates.parallelism");
    let rolling = labels.truth(cx, "rolling_updates");
    if let (Some((_, item)), None | Some(false)) = (parallelism, rolling) {
        let message = "rolling_updates.parallelism alone has no effect";
        cx.warn(item, "compose.label", message, "add rolling_updates: 'true'");
    }
    let (Some(rolling), Some((_, item))) = (rolling, labels.read.get("rolling_updates")) else {
        return update;
    };
    if let Some(update) = update {
        let message = "the label `rolling_updates` and `deploy.update_config` both say how to update";
        cx.error(item, "compose.conflict", message, "keep one of the two");
        return Some(update);
    }
    let wanted = parallelism.map_or(1, |(text, item)| {
        text.trim()
            .parse::<u32>()
            .ok()
            .filter(|wanted| *wanted > 0)
            .unwrap_or_else(|| {
                let message = "rolling_updates.parallelism is no number from 1; 1 is taken";
                cx.warn(item, "compose.label", message, "write a whole number from 1");
                1
            })
    });
    Some(UpdatePolicy {
        parallelism: if rolling { wanted } else { 0 },
        ..UpdatePolicy::default()
    })
}

fn policy(cx: &Cx, item: &Item<'_>) -> UpdatePolicy {
    cx.map(item, "update_config: {parallelism: 2, order: start-first}");
    cx.check_keys(item, &keys::UPDATE);
    let get = |name: &str| item.child(name).filter(|item| !item.is_null());
    let time = |name| get(name).and_then(|item| cx.duration_ms(&item)).unwrap_or(0);
    let action = get("failure_action").and_then(|item| cx.word(&item, &["pause", "continue", "rollback"]));
    let order = get("order").and_then(|item| cx.word(&item, &["stop-first", "start-first"]));
    UpdatePolicy {
        parallelism: get("parallelism")
            .and_then(|item| cx.count(&item, MAX_REPLICAS))
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        order: match order {
            Some(1) => UpdateOrder::StartFirst,
            _ => UpdateOrder::StopFirst,
        },
        delay_ms: time("delay"),
        monitor_ms: time("monitor"),
        max_failure_permille: get("max_failure_ratio")
            .and_then(|item| ratio(cx, &item))
            .unwrap_or(0),
        failure_action: match action {
            Some(1) => FailureAction::Continue,
            Some(2) => FailureAction::Rollback,
            _ => FailureAction::Pause,
        },
    }
}

fn ratio(cx: &Cx, item: &Item<'_>) -> Option<u32> {
    let ratio = item.raw().and_then(|text| text.trim().parse::<f64>().ok());
    let permille = ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .map(|ratio| (ratio * PERMILLE).round());
    let permille = permille.and_then(|permille| format!("{permille:.0}").parse().ok());
    if permille.is_none() {
        let message = format!(
            "`{}` must be a part from 0 to 1, and is {}",
            item.key,
            item.what()
        );
        cx.error(item, "compose.range", message, "write 0.25 for a quarter");
    }
    permille
}
