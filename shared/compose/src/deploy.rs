//! How many, where, with how much, and what after an end: `deploy`, `scale`, `restart`, and the limits.

use crate::{
    cx::{Cx, Item, shorten},
    keys,
    labels::Labels,
    limits::{MAX_REPLICAS, MIN_MEMORY_BYTES},
    rules::Rules,
};
use berth_events::spec::{ResourceSpec, RestartCondition, RestartPolicy, ServiceMode};

/// Thousandths of a core that one `cpu_shares` reserves (reference 1.2: 100 are a core).
const MILLIS_PER_CPU_SHARE: u64 = 10;
const MAX_CPU_SHARES: u64 = 262_144;
const MAX_PIDS: i64 = 1 << 32;

/// One wanted value from several places that may say it: two different ones are a fault.
fn agreed<T: Copy + PartialEq>(cx: &Cx, said: Vec<Option<(Item<'_>, T)>>) -> Option<T> {
    let mut first: Option<(Item<'_>, T)> = None;
    for (item, value) in said.into_iter().flatten() {
        match &first {
            None => first = Some((item, value)),
            Some((other, earlier)) if *earlier != value => {
                let message = format!(
                    "`{}` and `{}` say different things",
                    tail(&other.path),
                    tail(&item.path)
                );
                cx.error(&item, "compose.conflict", message, "keep one of the two");
            }
            Some(_) => {}
        }
    }
    first.map(|(_, value)| value)
}

/// A path without `services.NAME.`
fn tail(path: &str) -> &str {
    path.splitn(3, '.').nth(2).unwrap_or(path)
}

fn with<'n, T>(item: Option<Item<'n>>, read: impl FnOnce(&Item<'n>) -> Option<T>) -> Option<(Item<'n>, T)> {
    let item = item?;
    let value = read(&item)?;
    Some((item, value))
}

/// Reads the mode and the number of containers.
pub(crate) fn mode(cx: &Cx, service: &Item<'_>, labels: &Labels<'_>) -> ServiceMode {
    let deploy = service.child("deploy");
    let deploy = deploy.as_ref();
    let replicas = |item: &Item<'_>| cx.count(item, MAX_REPLICAS);
    let count = agreed(
        cx,
        vec![
            with(deploy.and_then(|deploy| deploy.child("replicas")), replicas),
            with(service.child("scale"), replicas),
            labels
                .read
                .get("scale")
                .and_then(|(value, item)| label_count(cx, item, value).map(|n| (item.clone(), n))),
        ],
    );
    let global = agreed(
        cx,
        vec![
            with(deploy.and_then(|deploy| deploy.child("mode")), |item| {
                mode_word(cx, item)
            }),
            labels
                .read
                .get("global")
                .and_then(|(value, item)| label_truth(cx, item, value).map(|n| (item.clone(), n))),
        ],
    );
    if global != Some(true) {
        let replicas = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        return ServiceMode::Replicated { replicas };
    }
    if count.is_some() {
        cx.error(
            service,
            "compose.conflict",
            format!("`{}` is global and has a number of containers", service.key),
            "remove the number (deploy.replicas, scale or the scale label), or the global mode",
        );
    }
    ServiceMode::Global
}

fn mode_word(cx: &Cx, item: &Item<'_>) -> Option<bool> {
    if matches!(item.raw(), Some("replicated-job" | "global-job")) {
        cx.error(
            item,
            "compose.unsupported_value",
            "jobs come with a later release",
            "write mode: replicated with restart_policy: {condition: on-failure}",
        );
        return None;
    }
    cx.word(item, &["replicated", "global"]).map(|index| index == 1)
}

fn label_count(cx: &Cx, item: &Item<'_>, value: &str) -> Option<u64> {
    let count = value
        .trim()
        .parse::<u64>()
        .ok()
        .filter(|count| *count <= MAX_REPLICAS);
    if count.is_none() {
        let message = format!("the scale label says `{}`", shorten(value));
        cx.error(
            item,
            "compose.range",
            message,
            format!("write a whole number from 0 to {MAX_REPLICAS}"),
        );
    }
    count
}

fn label_truth(cx: &Cx, item: &Item<'_>, value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" | "" => Some(false),
        other => {
            let message = format!("the global label says `{}`", shorten(other));
            cx.error(item, "compose.type", message, "write 'true' or 'false'");
            None
        }
    }
}

/// Checks the keys of `deploy` and reads `deploy.placement`.
pub(crate) fn placement(cx: &Cx, deploy: &Item<'_>, rules: &mut Rules) {
    cx.map(deploy, "deploy: {replicas: 2}");
    cx.check_keys(deploy, &keys::DEPLOY);
    let Some(item) = deploy.child("placement") else {
        return;
    };
    cx.map(&item, "placement: {constraints: [node.labels.zone==a]}");
    cx.check_keys(&item, &keys::PLACEMENT);
    if let Some(constraints) = item.child("constraints") {
        for entry in cx.list(&constraints, "constraints: [node.labels.zone==a]") {
            if let Some(rule) = cx.text(&entry) {
                rules.constraint(cx, &entry, &rule);
            }
        }
    }
    if let Some(preferences) = item.child("preferences") {
        for entry in cx.list(&preferences, "preferences: [{spread: node.labels.zone}]") {
            cx.map(&entry, "- spread: node.labels.zone");
            cx.check_keys(
                &entry,
                &keys::Keys {
                    read: &["spread"],
                    unsupported: &[],
                },
            );
            if let Some(key) = entry.child("spread").and_then(|item| cx.text(&item)) {
                rules.placement.spread.push(key);
            }
        }
    }
    let most = item
        .child("max_replicas_per_node")
        .and_then(|item| cx.count(&item, MAX_REPLICAS));
    rules.placement.max_replicas_per_node = most.and_then(|most| u32::try_from(most).ok()).unwrap_or(0);
}

/// Reads `restart` and `deploy.restart_policy`, which wins.
pub(crate) fn restart(cx: &Cx, service: &Item<'_>) -> RestartPolicy {
    let short = service.child("restart").and_then(|item| restart_word(cx, &item));
    let Some(item) = service
        .child("deploy")
        .and_then(|deploy| deploy.child("restart_policy"))
    else {
        return short.unwrap_or_default();
    };
    cx.map(&item, "restart_policy: {condition: on-failure}");
    cx.check_keys(&item, &keys::RESTART_POLICY);
    let condition = item
        .child("condition")
        .and_then(|item| cx.word(&item, &["any", "on-failure", "none"]));
    let policy = RestartPolicy {
        condition: match condition {
            Some(1) => RestartCondition::OnFailure,
            Some(2) => RestartCondition::Never,
            _ => RestartCondition::Any,
        },
        max_attempts: item
            .child("max_attempts")
            .and_then(|item| cx.count(&item, u64::from(u32::MAX)))
            .and_then(|attempts| u32::try_from(attempts).ok())
            .unwrap_or(0),
        delay_ms: item
            .child("delay")
            .and_then(|item| cx.duration_ms(&item))
            .unwrap_or(0),
    };
    if let (Some(short), Some(item)) = (short, service.child("restart"))
        && short != policy
    {
        cx.warn(
            &item,
            "compose.overridden",
            "`restart` has no effect beside `deploy.restart_policy`",
            "remove one of the two",
        );
    }
    policy
}

fn restart_word(cx: &Cx, item: &Item<'_>) -> Option<RestartPolicy> {
    const CURE: &str = "write \"no\", always, unless-stopped, on-failure or on-failure:3";
    let text = cx.text(item)?;
    let policy = |condition, max_attempts| {
        Some(RestartPolicy {
            condition,
            max_attempts,
            delay_ms: 0,
        })
    };
    match text.as_str() {
        "no" => policy(RestartCondition::Never, 0),
        "always" | "unless-stopped" => policy(RestartCondition::Any, 0),
        "on-failure" => policy(RestartCondition::OnFailure, 0),
        other => {
            let attempts = other
                .strip_prefix("on-failure:")
                .and_then(|n| n.parse::<u32>().ok());
            if let Some(attempts) = attempts {
                return policy(RestartCondition::OnFailure, attempts);
            }
            let message = format!("`restart`: `{}` is not known", shorten(other));
            cx.error(item, "compose.unknown_value", message, CURE);
            None
        }
    }
}

/// Reads limits and reservations from the short keys and from `deploy.resources`.
pub(crate) fn resources(cx: &Cx, service: &Item<'_>) -> ResourceSpec {
    let deploy = service
        .child("deploy")
        .and_then(|deploy| deploy.child("resources"));
    let part = |name: &str, keys| {
        let item = deploy.as_ref()?.child(name)?;
        cx.map(&item, "limits: {cpus: \"0.5\", memory: 64m}");
        cx.check_keys(&item, keys);
        Some(item)
    };
    if let Some(item) = &deploy {
        cx.map(item, "resources: {limits: {memory: 64m}}");
        cx.check_keys(item, &keys::RESOURCES);
    }
    let (limits, reservations) = (
        part("limits", &keys::LIMITS),
        part("reservations", &keys::RESERVATIONS),
    );
    let limit = |name| limits.as_ref().and_then(|item| item.child(name));
    let reserved = |name| reservations.as_ref().and_then(|item| item.child(name));
    let cpus = |item: &Item<'_>| cx.cpus_millis(item);
    let size = |item: &Item<'_>| cx.bytes(item);
    let shares = |item: &Item<'_>| {
        cx.count(item, MAX_CPU_SHARES)
            .map(|shares| shares * MILLIS_PER_CPU_SHARE)
    };
    let pids = |item: &Item<'_>| {
        cx.number(item, -1, MAX_PIDS)
            .map(|pids| u64::try_from(pids).unwrap_or(0))
    };
    let mem_limit = with(service.child("mem_limit"), size);
    // As in the model: what `mem_limit` allows is also reserved, unless the file says otherwise.
    let implied = mem_limit.as_ref().map_or(0, |(_, bytes)| *bytes);
    let spec = ResourceSpec {
        cpu_limit_millis: agreed(
            cx,
            vec![with(service.child("cpus"), cpus), with(limit("cpus"), cpus)],
        )
        .unwrap_or(0),
        cpu_reserved_millis: agreed(
            cx,
            vec![
                with(service.child("cpu_shares"), shares),
                with(reserved("cpus"), cpus),
            ],
        )
        .unwrap_or(0),
        memory_limit_bytes: agreed(cx, vec![mem_limit, with(limit("memory"), size)]).unwrap_or(0),
        memory_reserved_bytes: agreed(
            cx,
            vec![
                with(service.child("mem_reservation"), size),
                with(reserved("memory"), size),
            ],
        )
        .unwrap_or(implied),
        pids_limit: agreed(
            cx,
            vec![with(service.child("pids_limit"), pids), with(limit("pids"), pids)],
        )
        .unwrap_or(0),
        shm_bytes: service
            .child("shm_size")
            .and_then(|item| cx.bytes(&item))
            .unwrap_or(0),
    };
    check_resources(cx, service, &spec);
    spec
}

fn check_resources(cx: &Cx, service: &Item<'_>, spec: &ResourceSpec) {
    let place = |names: [&str; 2]| {
        let deploy = service
            .child("deploy")
            .and_then(|deploy| deploy.child("resources"));
        names
            .iter()
            .find_map(|name| service.child(name))
            .or(deploy)
            .unwrap_or_else(|| service.clone())
    };
    let limit = spec.memory_limit_bytes;
    if limit > 0 && limit < MIN_MEMORY_BYTES {
        let message = format!("a memory limit of {limit} bytes is less than the engine accepts");
        cx.error(
            &place(["mem_limit", ""]),
            "compose.memory_too_small",
            message,
            "write at least 6m",
        );
    }
    if limit > 0 && spec.memory_reserved_bytes > limit {
        let message = "more memory is reserved than the limit allows";
        cx.error(
            &place(["mem_reservation", "mem_limit"]),
            "compose.conflict",
            message,
            "raise the limit, or reserve less",
        );
    }
    if spec.cpu_limit_millis > 0 && spec.cpu_reserved_millis > spec.cpu_limit_millis {
        let message = "more processor time is reserved than the limit allows";
        cx.error(
            &place(["cpu_shares", "cpus"]),
            "compose.conflict",
            message,
            "raise the limit, or reserve less (cpu_shares: 100 reserves one core)",
        );
    }
}
