//! The whole file: versions, names, services, volumes, networks, and what only the whole shows.

use crate::{
    Build, Builds, Content, PublicKeys, build, contents,
    cx::{Cx, Item, shorten},
    environment, keys, labels,
    limits::MAX_SERVICES,
    mounts, networks,
    service::{self, Scope},
    tree::Kind,
    variables::Variables,
};
use berth_events::spec::{ApplicationSpec, EnvironmentValue, NetworkSpec, VolumeSpec};
use berth_ids::Name;
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of a service, volume or network.
const MAX_NAME_BYTES: usize = 63;

/// What the whole file says.
#[derive(Default)]
pub(crate) struct Application {
    pub name: Option<String>,
    pub spec: ApplicationSpec,
    pub public: BTreeMap<String, PublicKeys>,
    pub contents: BTreeMap<String, Content>,
    pub builds: BTreeMap<String, Build>,
}

/// Reads the file.
pub(crate) fn read(
    cx: &Cx,
    root: &Item<'_>,
    sources: environment::Sources<'_>,
    (project_directory, builds): (Option<&str>, Builds<'_>),
) -> Application {
    let mut out = Application::default();
    if !is_compose(cx, root) {
        return out;
    }
    cx.check_keys(root, &keys::TOP);
    out.spec.batch = root.child("labels").and_then(|item| labels::batch(cx, &item));
    out.name = root.child("name").and_then(|item| name(cx, &item));
    out.spec.volumes = root
        .child("volumes")
        .map(|item| volumes(cx, &item))
        .unwrap_or_default();
    out.spec.networks = root
        .child("networks")
        .map(|item| networks::declared(cx, &item))
        .unwrap_or_default();
    let Some(services) = root.child("services") else {
        return out;
    };
    let entries = cx.map(&services, "services: {web: {image: nginx}}");
    if entries.is_empty() {
        cx.error(
            &services,
            "compose.no_services",
            "the file has no services",
            "write at least one service below `services:`",
        );
    }
    if entries.len() > MAX_SERVICES {
        let message = format!(
            "the file has {} services, more than {MAX_SERVICES}",
            entries.len()
        );
        cx.error(
            &services,
            "compose.service_count",
            message,
            "split the application",
        );
        return out;
    }
    let declared = contents::declared(cx, root, &sources);
    let (variables, around) = (sources.variables, (project_directory, &declared, builds));
    read_services(cx, &entries, sources, around, &mut out);
    out.builds = read_builds(cx, &entries, variables);
    out.contents = used(declared, &out.spec);
    crate::shares::apply(cx, &entries, &mut out.spec);
    let uses_default = out
        .spec
        .services
        .values()
        .any(|s| s.container.networks.contains_key(networks::DEFAULT));
    if uses_default {
        out.spec
            .networks
            .entry(networks::DEFAULT.to_owned())
            .or_insert_with(NetworkSpec::default);
    }
    check_cycles(cx, &services, &out.spec);
    warn_across_nodes(cx, &services, &out.spec);
    out
}

fn read_services(
    cx: &Cx,
    entries: &[Item<'_>],
    sources: environment::Sources<'_>,
    (project_directory, contents, builds): (Option<&str>, &contents::Declared, Builds<'_>),
    out: &mut Application,
) {
    let scope = Scope {
        services: entries.iter().map(|entry| entry.key).collect(),
        volumes: mounts::Volumes {
            declared: &out.spec.volumes,
            project_directory,
        },
        networks: &out.spec.networks,
        environment: sources,
        contents,
        builds,
    };
    for entry in entries {
        check_name(cx, entry, "service");
        let (spec, public) = service::read(cx, entry, &scope);
        out.spec.services.insert(entry.key.to_owned(), spec);
        out.public.insert(entry.key.to_owned(), public);
    }
}

/// How images are built, by service.
fn read_builds(cx: &Cx, entries: &[Item<'_>], variables: &Variables<'_>) -> BTreeMap<String, Build> {
    let found = entries.iter().filter_map(|entry| {
        let item = entry.child("build").filter(|item| !item.is_null())?;
        let image = entry.child("image").and_then(|image| image.raw())?;
        Some((entry.key.to_owned(), build::read(cx, &item, image, variables)))
    });
    found.collect()
}

/// The contents that a service names, those that the release itself holds left out.
fn used(declared: contents::Declared, spec: &ApplicationSpec) -> BTreeMap<String, Content> {
    let files = spec
        .services
        .values()
        .flat_map(|service| &service.container.files);
    let named: BTreeSet<&str> = files
        .filter_map(|file| match &file.content {
            EnvironmentValue::Secret(reference) => Some(reference.key.as_str()),
            EnvironmentValue::Plain(_) => None,
        })
        .collect();
    let declared = declared
        .into_iter()
        .filter(|(key, _)| named.contains(key.as_str()));
    declared
        .filter_map(|(key, known)| Some((key, known?.content)))
        .collect()
}

/// Versions 2 and 3 and files without a version are read; version 1 was made one of these before.
fn is_compose(cx: &Cx, root: &Item<'_>) -> bool {
    const CURE: &str = "write `services:` as the first line, and indent the services below it";
    if !matches!(root.node.kind, Kind::Map(_)) {
        let message = format!("a Compose file must be a mapping, and this is {}", root.what());
        cx.error(
            root,
            "compose.type",
            message,
            "write `services:` and the services below it",
        );
        return false;
    }
    let version = root.child("version");
    let first = version
        .as_ref()
        .and_then(Item::raw)
        .map(|text| text.trim().split('.').next().unwrap_or("").to_owned());
    match (&version, first.as_deref()) {
        (None, _) | (Some(_), Some("2" | "3")) => {}
        (Some(_), Some("1")) => {}
        (Some(item), _) => cx.error(
            item,
            "compose.version",
            format!("there is no version {}", item.what()),
            "remove the line: it is not needed",
        ),
    }
    if root.child("services").is_some() {
        return true;
    }
    let near = cx.nearest("services", root.entries().iter().map(|entry| entry.key));
    let cure = near.map_or_else(
        || CURE.to_owned(),
        |near| format!("did you mean `services` by `{near}`?"),
    );
    cx.error(root, "compose.no_services", "the file has no `services`", cure);
    false
}

fn name(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    match Name::parse(&text) {
        Ok(name) => Some(name.as_str().to_owned()),
        Err(error) => {
            cx.error(
                item,
                "compose.name",
                error.to_string(),
                "choose another name, or remove the line and give --name",
            );
            None
        }
    }
}

pub(crate) fn check_name(cx: &Cx, entry: &Item<'_>, kind: &str) {
    let key = entry.key;
    let good = key.len() <= MAX_NAME_BYTES
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !good {
        let message = format!("`{}` is no name of a {kind}", shorten(key));
        cx.error(
            entry,
            "compose.name",
            message,
            "use up to 63 letters, digits, `-`, `_` and `.`, the first a letter or digit",
        );
    }
}

fn volumes(cx: &Cx, item: &Item<'_>) -> BTreeMap<String, VolumeSpec> {
    let mut out = BTreeMap::new();
    for entry in cx.map(item, "volumes: {data: {}}") {
        check_name(cx, &entry, "volume");
        cx.map(&entry, &format!("{}: {{}}", shorten(entry.key)));
        cx.check_keys(&entry, &keys::VOLUME);
        let (external, external_name) = networks::external(cx, &entry);
        let table = |name: &str| {
            entry
                .child(name)
                .map(|item| cx.table(&item, &format!("{name}: {{name: value}}")))
                .unwrap_or_default()
        };
        out.insert(
            entry.key.to_owned(),
            VolumeSpec {
                name: entry
                    .child("name")
                    .and_then(|item| cx.text(&item))
                    .or(external_name),
                external,
                driver: entry.child("driver").and_then(|item| cx.text(&item)),
                driver_opts: table("driver_opts"),
                labels: entry
                    .child("labels")
                    .map(|item| labels::table(cx, &item))
                    .unwrap_or_default(),
            },
        );
    }
    out
}

/// Names the first cycle of `depends_on` that is found, in the order of the names.
fn check_cycles(cx: &Cx, services: &Item<'_>, spec: &ApplicationSpec) {
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for start in spec.services.keys() {
        let mut trail: Vec<(&str, Vec<&str>)> = Vec::new();
        let needs = |name: &str| -> Vec<&str> {
            spec.services
                .get(name)
                .map(|s| s.depends_on.keys().map(String::as_str).collect())
                .unwrap_or_default()
        };
        if done.contains_key(start.as_str()) {
            continue;
        }
        done.insert(start, false);
        trail.push((start, needs(start)));
        while let Some((name, rest)) = trail.last_mut() {
            let name: &str = name;
            let Some(next) = rest.pop() else {
                done.insert(name, true);
                trail.pop();
                continue;
            };
            match done.get(next) {
                Some(true) => {}
                Some(false) => {
                    let from = trail.iter().position(|(name, _)| *name == next).unwrap_or(0);
                    let mut cycle: Vec<&str> = trail.iter().skip(from).map(|(name, _)| *name).collect();
                    cycle.push(next);
                    report_cycle(cx, services, &cycle);
                    return;
                }
                None => {
                    done.insert(next, false);
                    trail.push((next, needs(next)));
                }
            }
        }
    }
}

fn report_cycle(cx: &Cx, services: &Item<'_>, cycle: &[&str]) {
    let first = cycle
        .first()
        .and_then(|name| services.child(name))
        .unwrap_or_else(|| services.clone());
    let item = first.child("depends_on").unwrap_or(first);
    let message = format!("the services wait for each other: {}", cycle.join(" → "));
    cx.error(
        &item,
        "compose.dependency_cycle",
        message,
        "remove one of these dependencies",
    );
}

/// A network of several services may have to reach over nodes, which a bridge cannot.
fn warn_across_nodes(cx: &Cx, services: &Item<'_>, spec: &ApplicationSpec) {
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, service) in &spec.services {
        for network in service.container.networks.keys() {
            members.entry(network).or_default().push(name);
        }
    }
    for (network, names) in members {
        if names.len() > 1 {
            let message = format!(
                "the services of the network `{}` ({}) reach each other only when they run on the same node",
                shorten(network),
                shorten(&names.join(", "))
            );
            let cure = "on a cluster of several nodes, keep them together with affinity:service==NAME in `environment`; networks across nodes come with a later release";
            cx.warn(services, "compose.network_across_nodes", message, cure);
        }
    }
}
