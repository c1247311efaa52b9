//! One service of the file.

use crate::{
    Builds, PublicKeys, build, contents,
    cx::{Cx, Item, shorten},
    deploy, environment, keys, labels, mounts, networks, ports,
    rules::Rules,
    runtime,
    tree::Kind,
};
use berth_events::spec::{
    ContainerSpec, DependencyCondition, DeviceRequest, EnvironmentValue, NetworkSpec, PullPolicy,
    ReschedulePolicy, ServiceSpec, Strategy,
};
use std::collections::BTreeMap;

/// Most GPUs of one container.
const MAX_GPUS: u64 = 1_024;
const MAX_STOP_GRACE_MS: u64 = 24 * 60 * 60 * 1000;

/// What a service may refer to.
pub(crate) struct Scope<'a> {
    pub services: Vec<&'a str>,
    pub volumes: mounts::Volumes<'a>,
    pub networks: &'a BTreeMap<String, NetworkSpec>,
    pub environment: environment::Sources<'a>,
    pub contents: &'a contents::Declared,
    pub builds: Builds<'a>,
}

/// Reads a service. Faults are reported and leave defaults behind.
pub(crate) fn read(cx: &Cx, item: &Item<'_>, scope: &Scope<'_>) -> (ServiceSpec, PublicKeys) {
    if !matches!(item.node.kind, Kind::Map(_)) {
        let message = format!(
            "the service `{}` must be a mapping, and is {}",
            shorten(item.key),
            item.what()
        );
        cx.error(
            item,
            "compose.type",
            message,
            "write at least `image: NAME` below it",
        );
        return Default::default();
    }
    cx.check_keys(item, &keys::SERVICE);
    let mut rules = Rules::default();
    let deploy = item.child("deploy");
    if let Some(deploy) = &deploy {
        deploy::placement(cx, deploy, &mut rules);
    }
    let deploy_labels = deploy.as_ref().and_then(|deploy| deploy.child("labels"));
    let labels = labels::read(
        cx,
        item.child("labels").as_ref(),
        deploy_labels.as_ref(),
        &mut rules,
    );
    let values = environment::read(cx, item, &scope.environment, &mut rules);
    let public = item
        .child("x-berth-public")
        .map(|item| environment::public(cx, &item, &values));
    own_extensions(cx, item, &mut rules);
    let mut container = container(cx, item, scope);
    if container.network_mode.is_some()
        && let Some(ports) = item.child("ports").filter(|_| !container.ports.is_empty())
    {
        let message = "`ports` has no effect beside this `network_mode`: no port is published";
        cx.warn(
            &ports,
            "compose.ports_without_network",
            message,
            "remove `ports`, or `network_mode`",
        );
    }
    container.files = contents::of_service(cx, item, scope.contents, &container.mounts);
    container.labels = labels.container.clone();
    container.environment = values
        .into_iter()
        .map(|(name, value)| (name, EnvironmentValue::Plain(value)))
        .collect();
    let typed = labels::typed(cx, &labels);
    container.probe = typed.probe;
    if typed.labels.latest_image {
        container.pull_policy = PullPolicy::Always;
    }
    container.engine.device_requests.extend(gpus(cx, &labels));
    let (update, rollback) = crate::update::read(cx, item, &labels);
    let spec = ServiceSpec {
        mode: deploy::mode(cx, item, &labels),
        container,
        update,
        rollback,
        labels: typed.labels,
        external_links: BTreeMap::new(),
        restart: deploy::restart(cx, item),
        reschedule: rules.reschedule.unwrap_or_default(),
        placement: rules.placement,
        depends_on: depends_on(cx, item, &labels, scope),
        service_labels: labels.service,
    };
    (spec, public.unwrap_or_default())
}

/// The label `gpu`: so many of the node's GPUs.
fn gpus(cx: &Cx, labels: &labels::Labels<'_>) -> Option<DeviceRequest> {
    let count = labels.number(cx, "gpu", 0, MAX_GPUS).filter(|count| *count > 0)?;
    Some(DeviceRequest {
        count: i64::try_from(count).ok(),
        capabilities: vec!["gpu".to_owned()],
        ..DeviceRequest::default()
    })
}

fn own_extensions(cx: &Cx, item: &Item<'_>, rules: &mut Rules) {
    if let Some(entry) = item.child("x-berth-abandon-volume")
        && cx.truth(&entry) == Some(true)
    {
        rules.set_reschedule(cx, &entry, ReschedulePolicy::OnNodeFailure);
    }
    if let Some(entry) = item.child("x-berth-strategy") {
        rules.placement.strategy = cx.word(&entry, &["spread", "binpack"]).map(|index| match index {
            0 => Strategy::Spread,
            _ => Strategy::Binpack,
        });
    }
}

fn image(cx: &Cx, item: &Item<'_>, builds: Builds<'_>) -> String {
    let named = item.child("image").map(|image| named_image(cx, &image));
    if let Some(build) = item.child("build") {
        return build::image(cx, &build, (item.key, named), builds);
    }
    if named.is_none() {
        let message = format!("the service `{}` has no `image`", shorten(item.key));
        cx.error(item, "compose.image", message, "write image: NAME[:TAG]");
    }
    named.unwrap_or_default()
}

fn named_image(cx: &Cx, image: &Item<'_>) -> String {
    let Some(text) = cx.text(image) else {
        return String::new();
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || text.starts_with(['-', ':', '/']) {
        let message = format!("`{}` is no name of an image", shorten(&text));
        cx.error(
            image,
            "compose.image",
            message,
            "write NAME[:TAG] or REGISTRY/NAME[:TAG], without spaces",
        );
    }
    text
}

fn container(cx: &Cx, item: &Item<'_>, scope: &Scope<'_>) -> ContainerSpec {
    let get = |name: &str| item.child(name).filter(|item| !item.is_null());
    let truth = |name| get(name).and_then(|item| cx.truth(&item));
    ContainerSpec {
        image: image(cx, item, scope.builds),
        entrypoint: get("entrypoint").and_then(|item| runtime::words(cx, &item)),
        command: get("command").and_then(|item| runtime::words(cx, &item)),
        ports: get("ports")
            .map(|item| ports::published(cx, &item))
            .unwrap_or_default(),
        expose: get("expose")
            .map(|item| ports::exposed(cx, &item))
            .unwrap_or_default(),
        mounts: mounts::read(cx, get("volumes").as_ref(), get("tmpfs").as_ref(), &scope.volumes),
        networks: networks::joined(cx, item, scope.networks),
        network_mode: get("network_mode").and_then(|item| networks::mode(cx, &item)),
        resources: deploy::resources(cx, item),
        generic_resources: crate::countable::read(cx, item),
        user: get("user").and_then(|item| cx.text(&item)),
        working_dir: get("working_dir").and_then(|item| crate::words::absolute(cx, &item)),
        hostname: get("hostname").and_then(|item| crate::words::hostname(cx, &item)),
        healthcheck: get("healthcheck").and_then(|item| runtime::healthcheck(cx, &item)),
        stop_signal: get("stop_signal").and_then(|item| crate::words::stop_signal(cx, &item)),
        stop_grace_period_ms: get("stop_grace_period").and_then(|item| stop_grace(cx, &item)),
        cap_add: get("cap_add")
            .map(|item| runtime::capabilities(cx, &item))
            .unwrap_or_default(),
        cap_drop: get("cap_drop")
            .map(|item| runtime::capabilities(cx, &item))
            .unwrap_or_default(),
        read_only: truth("read_only").unwrap_or(false),
        ulimits: get("ulimits")
            .map(|item| runtime::ulimits(cx, &item))
            .unwrap_or_default(),
        sysctls: get("sysctls")
            .map(|item| cx.table(&item, "sysctls: {name: value}"))
            .unwrap_or_default(),
        extra_hosts: get("extra_hosts")
            .map(|item| runtime::extra_hosts(cx, &item))
            .unwrap_or_default(),
        logging: get("logging").map(|item| runtime::logging(cx, &item)),
        privileged: truth("privileged").unwrap_or(false),
        pid_mode: get("pid").and_then(|item| namespace(cx, &item, &["host"])),
        ipc_mode: get("ipc").and_then(|item| namespace(cx, &item, &["host", "shareable", "private", "none"])),
        init: truth("init"),
        tty: truth("tty").unwrap_or(false),
        stdin_open: truth("stdin_open").unwrap_or(false),
        platform: get("platform").and_then(|item| crate::words::platform(cx, &item)),
        engine: crate::engine::read(cx, item),
        pull_policy: get("pull_policy")
            .map(|item| crate::words::pull_policy(cx, &item))
            .unwrap_or_default(),
        ..ContainerSpec::default()
    }
}

fn namespace(cx: &Cx, item: &Item<'_>, words: &[&str]) -> Option<String> {
    match item.raw() {
        Some(text) if text.strip_prefix("service:").is_some_and(|name| !name.is_empty()) => {
            return Some(text.to_owned());
        }
        Some(text) if text.starts_with("container:") => {
            crate::shares::foreign(cx, item);
            return None;
        }
        Some(_) | None => {}
    }
    cx.word(item, words)
        .and_then(|index| words.get(index))
        .map(|word| (*word).to_owned())
}

fn stop_grace(cx: &Cx, item: &Item<'_>) -> Option<u64> {
    let grace_ms = cx.duration_ms(item)?;
    if grace_ms > MAX_STOP_GRACE_MS {
        cx.error(
            item,
            "compose.duration",
            "`stop_grace_period` is longer than a day",
            "write at most 24h",
        );
        return None;
    }
    Some(grace_ms)
}

fn depends_on(
    cx: &Cx,
    service: &Item<'_>,
    labels: &labels::Labels<'_>,
    scope: &Scope<'_>,
) -> BTreeMap<String, DependencyCondition> {
    let mut out = BTreeMap::new();
    if let Some(item) = service.child("depends_on") {
        if let Kind::Map(_) = item.node.kind {
            for entry in item.entries() {
                cx.map(
                    &entry,
                    &format!("{}: {{condition: service_started}}", shorten(entry.key)),
                );
                cx.check_keys(&entry, &keys::DEPENDENCY);
                if known_service(cx, &entry, entry.key, scope) {
                    out.insert(entry.key.to_owned(), condition(cx, &entry));
                }
            }
        } else {
            for entry in cx.list(&item, "depends_on: [database]") {
                if let Some(name) = cx
                    .text(&entry)
                    .filter(|name| known_service(cx, &entry, name, scope))
                {
                    out.insert(name, DependencyCondition::default());
                }
            }
        }
    }
    if let Some((names, entry)) = labels.read.get("depends") {
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if known_service(cx, entry, name, scope) {
                out.entry(name.to_owned()).or_default();
            }
        }
    }
    out
}

fn condition(cx: &Cx, entry: &Item<'_>) -> DependencyCondition {
    let words = [
        "service_started",
        "service_healthy",
        "service_completed_successfully",
    ];
    match entry.child("condition").and_then(|item| cx.word(&item, &words)) {
        Some(1) => DependencyCondition::ServiceHealthy,
        Some(2) => DependencyCondition::ServiceCompletedSuccessfully,
        _ => DependencyCondition::ServiceStarted,
    }
}

fn known_service(cx: &Cx, entry: &Item<'_>, name: &str, scope: &Scope<'_>) -> bool {
    if scope.services.contains(&name) {
        return true;
    }
    let cure = match cx.nearest(name, scope.services.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name a service of this file".to_owned(),
    };
    cx.error(
        entry,
        "compose.undefined_service",
        format!("there is no service `{}`", shorten(name)),
        cure,
    );
    false
}
