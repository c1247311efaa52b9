//! Every key of every Compose schema, versions 1 to 3.13 and the Compose Specification: it has an effect, or it is
//! answered by name. The schemas are reference data beside the repository; without them the test says so.
// A helper of tests fails like a test.
#![allow(clippy::unwrap_used)]

use crate::common::Case;
use crate::examples::reference;
use berth_compose::{Diagnostic, Severity};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// How many schemas there are, and keys in them.
const SCHEMAS: usize = 19;
const MIN_KEYS: usize = 400;
/// The deepest nesting that is looked at.
const MAX_DEPTH: usize = 14;

/// Keys that are answered by nothing because they change nothing, with the reason.
const WITHOUT_ANSWER: &[(&str, &str)] = &[
    (
        "services.*.env_file.[].required",
        "it matters for a file that is missing",
    ),
    ("version", "it is obsolete; a wrong one is an error"),
    (
        "services.*.profiles",
        "a service of no chosen profile is not there",
    ),
    ("services.*.extends", "what it names is taken in, and it is gone"),
    ("include", "what it names is taken in, and it is gone"),
];

/// A key in a file: names, `*` for any name, `[]` for an item.
type Path = Vec<String>;

struct Walk<'s> {
    schema: &'s Value,
    found: BTreeMap<Path, Value>,
}

impl Walk<'_> {
    fn resolve<'v>(&'v self, mut node: &'v Value) -> &'v Value {
        while let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            node = reference
                .strip_prefix('#')
                .and_then(|pointer| self.schema.pointer(pointer))
                .unwrap_or(&Value::Null);
        }
        node
    }

    fn below(&mut self, node: &Value, path: &Path, seen: &[String]) {
        let mut seen = seen.to_vec();
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            if seen.iter().any(|known| known == reference) {
                return;
            }
            seen.push(reference.to_owned());
        }
        let node = self.resolve(node).clone();
        if path.len() > MAX_DEPTH {
            return;
        }
        for kind in ["oneOf", "anyOf", "allOf"] {
            for form in node.get(kind).and_then(Value::as_array).into_iter().flatten() {
                self.below(form, path, &seen);
            }
        }
        let with = |name: &str| [path.as_slice(), &[name.to_owned()]].concat();
        for (name, value) in node
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let here = with(name);
            let resolved = self.resolve(value).clone();
            self.found.entry(here.clone()).or_insert(resolved);
            self.below(value, &here, &seen);
        }
        let patterns = node.get("patternProperties").and_then(Value::as_object);
        let patterns = patterns
            .into_iter()
            .flatten()
            .filter(|(name, _)| !name.starts_with("^x-"));
        let any = node.get("additionalProperties").filter(|value| value.is_object());
        for value in patterns.map(|(_, value)| value).chain(any) {
            self.below(value, &with("*"), &seen);
        }
        if let Some(items) = node.get("items").filter(|value| value.is_object()) {
            self.below(items, &with("[]"), &seen);
        }
    }
}

/// A value of a key that is not its default: by the end of its path, else by its type.
fn sample(path: &str, schema: &Value) -> Value {
    let ends: &[(&str, Value)] = &[
        ("services.*.environment", json!({"A": "b"})),
        ("services.*.env_file", json!("some.env")),
        ("services.*.label_file", json!("some.labels")),
        ("services.*.command", json!("a b")),
        ("services.*.entrypoint", json!("a b")),
        ("services.*.build", json!({"context": "."})),
        ("services.*.depends_on", json!(["db"])),
        ("services.*.dockerfile", json!("other")),
        ("services.*.log_driver", json!("json-file")),
        ("services.*.log_opt", json!({"max-size": "1m"})),
        ("services.*.links", json!(["db"])),
        ("services.*.volumes_from", json!(["db"])),
        ("services.*.extends", json!({"service": "db"})),
        ("services.*.ports", json!(["8080:80"])),
        ("services.*.expose", json!(["80"])),
        ("services.*.volumes", json!(["data:/data"])),
        ("services.*.devices", json!(["/dev/fuse"])),
        ("services.*.tmpfs", json!(["/run"])),
        ("services.*.networks", json!(["other"])),
        ("services.*.secrets", json!(["one"])),
        ("services.*.configs", json!(["one"])),
        ("services.*.cap_add", json!(["CHOWN"])),
        ("services.*.cap_drop", json!(["CHOWN"])),
        ("services.*.dns", json!(["192.0.2.1"])),
        ("services.*.extra_hosts", json!(["a:192.0.2.1"])),
        ("services.*.security_opt", json!(["no-new-privileges"])),
        ("services.*.device_cgroup_rules", json!(["c 1:3 rwm"])),
        ("services.*.network_mode", json!("none")),
        ("services.*.net", json!("none")),
        ("services.*.pid", json!("host")),
        ("services.*.ipc", json!("host")),
        ("services.*.uts", json!("host")),
        ("services.*.userns_mode", json!("host")),
        ("services.*.cgroup", json!("host")),
        ("services.*.isolation", json!("default")),
        ("services.*.restart", json!("no")),
        ("services.*.pull_policy", json!("always")),
        ("services.*.platform", json!("linux/arm64")),
        ("services.*.mac_address", json!("02:42:ac:11:00:02")),
        ("services.*.stop_signal", json!("SIGINT")),
        ("services.*.working_dir", json!("/work")),
        ("services.*.group_add", json!(["100"])),
        ("services.*.gpus", json!("all")),
        ("services.*.sysctls", json!({"net.core.somaxconn": "1024"})),
        ("services.*.ulimits", json!({"nofile": 100})),
        ("services.*.healthcheck", json!({"test": "true"})),
        ("services.*.logging", json!({"driver": "json-file"})),
        ("services.*.blkio_config", json!({"weight": 100})),
        ("services.*.deploy", json!({"replicas": 2})),
        ("services.*.deploy.placement", json!({"max_replicas_per_node": 2})),
        ("services.*.deploy.resources", json!({"limits": {"cpus": "0.5"}})),
        ("services.*.deploy.resources.limits", json!({"cpus": "0.5"})),
        ("services.*.deploy.resources.reservations", json!({"cpus": "0.5"})),
        ("services.*.deploy.restart_policy", json!({"condition": "none"})),
        ("services.*.deploy.update_config", json!({"parallelism": 3})),
        ("services.*.deploy.rollback_config", json!({"parallelism": 3})),
        ("weight_device", json!([{"path": "/dev/sdb", "weight": 200}])),
        ("device_read_bps", json!([{"path": "/dev/sdb", "rate": "2mb"}])),
        ("device_read_iops", json!([{"path": "/dev/sdb", "rate": 2}])),
        ("device_write_bps", json!([{"path": "/dev/sdb", "rate": "2mb"}])),
        ("device_write_iops", json!([{"path": "/dev/sdb", "rate": 2}])),
        ("services.*.volumes.[].bind", json!({"create_host_path": false})),
        ("services.*.volumes.[].tmpfs", json!({"size": 4096})),
        ("services.*.volumes.[].volume", json!({"nocopy": true})),
        ("services.*.deploy.mode", json!("global")),
        ("services.*.scale", json!(3)),
        ("placement.constraints", json!(["node.labels.a == b"])),
        ("placement.preferences", json!([{"spread": "node.labels.zone"}])),
        ("preferences.[].spread", json!("node.labels.zone")),
        ("endpoint_mode", json!("vip")),
        ("update_config.failure_action", json!("rollback")),
        ("rollback_config.failure_action", json!("continue")),
        ("restart_policy.condition", json!("on-failure")),
        ("update_config.order", json!("start-first")),
        ("rollback_config.order", json!("start-first")),
        ("depends_on.*.condition", json!("service_healthy")),
        ("depends_on.*.required", json!(false)),
        ("devices.[].capabilities", json!(["tpu"])),
        ("gpus.[].capabilities", json!(["tpu"])),
        ("devices.[].count", json!(2)),
        ("devices.[].device_ids", json!(["0"])),
        ("gpus.[].count", json!(2)),
        ("gpus.[].device_ids", json!(["0"])),
        ("devices.[].source", json!("/dev/kvm")),
        ("devices.[].target", json!("/dev/other")),
        ("devices.[].permissions", json!("r")),
        (
            "generic_resources.[].discrete_resource_spec",
            json!({"kind": "fpga", "value": 3}),
        ),
        ("discrete_resource_spec.kind", json!("fpga")),
        ("networks.*.aliases", json!(["alias"])),
        ("ports.[].target", json!(81)),
        ("ports.[].published", json!("8081")),
        ("ports.[].protocol", json!("udp")),
        ("ports.[].host_ip", json!("127.0.0.1")),
        ("ports.[].mode", json!("ingress")),
        ("volumes.[].type", json!("npipe")),
        ("volumes.[].source", json!("other")),
        ("volumes.[].target", json!("/other")),
        ("bind.create_host_path", json!(false)),
        ("bind.propagation", json!("rshared")),
        ("bind.recursive", json!("enabled")),
        ("bind.selinux", json!("z")),
        ("env_file.[].path", json!("other.env")),
        ("env_file.[].required", json!(false)),
        ("env_file.[].format", json!("raw")),
        ("secrets.[].source", json!("two")),
        ("configs.[].source", json!("two")),
        ("[].uid", json!("1")),
        ("[].gid", json!("1")),
        ("[].mode", json!("0400")),
        ("volumes.*.external", json!(true)),
        ("networks.*.external", json!(true)),
        ("secrets.*.external", json!(true)),
        ("configs.*.external", json!(true)),
        ("secrets.*.environment", json!("SECRET_VALUE")),
        ("configs.*.environment", json!("SECRET_VALUE")),
        ("secrets.*.file", json!("other.env")),
        ("configs.*.file", json!("other.env")),
        ("configs.*.content", json!("text")),
        ("networks.*.driver", json!("overlay")),
        ("build.platforms", json!(["linux/arm64"])),
        ("build.extra_hosts", json!(["a:192.0.2.1"])),
        ("build.context", json!("app")),
        ("include", json!(["other.yaml"])),
    ];
    let end = ends
        .iter()
        .filter(|(end, _)| path == *end || path.ends_with(&format!(".{end}")));
    if let Some((_, value)) = end.max_by_key(|(end, _)| end.len()) {
        return value.clone();
    }
    of_type(path, schema)
}

fn of_type(path: &str, schema: &Value) -> Value {
    let forms = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    if let Some(form) = forms.and_then(Value::as_array).and_then(|forms| forms.first()) {
        return of_type(path, form);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    let time = [
        "interval",
        "timeout",
        "start_period",
        "delay",
        "monitor",
        "window",
        "stop_grace_period",
    ];
    let size = ["mem", "size", "limit", "reservation"];
    let last = path.rsplit('.').next().unwrap_or_default();
    match kind {
        Some("boolean") => json!(true),
        Some("array") => json!(["a"]),
        Some("object") => json!({"a": "1"}),
        Some("number" | "integer") => json!(7),
        _ if time.iter().any(|word| last.contains(word)) => json!("7s"),
        _ if last == "cpus" => json!("0.5"),
        _ if size.iter().any(|word| last.contains(word)) => json!("64m"),
        Some("string") | None => json!("a"),
        Some(_) => json!("7"),
    }
}

/// What stands around a key so that it can stand there: by the path of what holds it.
fn around(path: &str) -> Value {
    match path {
        "services.*" => json!({"image": "nginx"}),
        "services.*.build" => json!({"context": "."}),
        "services.*.healthcheck" => json!({"test": "true"}),
        "services.*.ports.[]" => json!({"target": 80, "published": "8080"}),
        "services.*.volumes.[]" => json!({"type": "volume", "source": "data", "target": "/data"}),
        "services.*.volumes.[].bind" | "services.*.volumes.[].tmpfs" | "services.*.volumes.[].image" => {
            json!({})
        }
        "services.*.devices.[]" => json!({"source": "/dev/fuse", "target": "/dev/fuse"}),
        "services.*.secrets.[]" | "services.*.configs.[]" => json!({"source": "one"}),
        "services.*.env_file.[]" => json!({"path": "some.env"}),
        "services.*.blkio_config.weight_device.[]" => json!({"path": "/dev/sda", "weight": 100}),
        path if path.starts_with("services.*.blkio_config.device") && path.ends_with("[]") => {
            json!({"path": "/dev/sda", "rate": "1mb"})
        }
        "services.*.ulimits.*" => json!({"soft": 5, "hard": 9}),
        "services.*.deploy.resources.reservations.devices.[]" | "services.*.gpus.[]" => {
            json!({"capabilities": ["gpu"]})
        }
        "services.*.deploy.resources.reservations.generic_resources.[].discrete_resource_spec" => {
            json!({"kind": "gpu", "value": 1})
        }
        "secrets.*" | "configs.*" => json!({"file": "some.env"}),
        "services.*.develop.watch.[]" => json!({"path": ".", "action": "sync", "target": "/a"}),
        "services.*.extends" => json!({"service": "db"}),
        "services.*.post_start.[]" | "services.*.pre_stop.[]" => json!({"command": "true"}),
        _ => json!({}),
    }
}

/// Names that stand for `*`.
fn name(parent: &str) -> &'static str {
    match parent {
        "services" | "" => "web",
        "services.*.depends_on" => "db",
        "*.ulimits" | "services.*.ulimits" | "services.*.build.ulimits" => "nofile",
        "services.*.networks" => "default",
        "services.*.models" | "models" => "llm",
        _ => "one",
    }
}

/// A file with a key, and the same without it.
fn files(path: &Path, value: Value) -> (Value, Value) {
    let mut without = json!({
        "services": {"web": {"image": "nginx"}, "db": {"image": "db"}},
        "volumes": {"data": {}, "other": {}},
        "networks": {"other": {}},
        "secrets": {"one": {"file": "some.env"}, "two": {"file": "some.env"}},
        "configs": {"one": {"file": "some.env"}, "two": {"file": "some.env"}},
    });
    // Version 1 has its services at the top.
    if path.first().is_some_and(|first| first == "*") {
        without = json!({"web": {"image": "nginx", "build": "."}, "db": {"image": "db"}});
    }
    let used = path
        .first()
        .filter(|first| ["volumes", "secrets", "configs", "networks"].contains(&first.as_str()));
    if let Some(section) = used.filter(|_| path.len() > 2) {
        let short = if section == "volumes" {
            json!(["one:/one"])
        } else {
            json!(["one"])
        };
        without["services"]["web"][section.as_str()] = short;
    }
    let mut with = without.clone();
    put(&mut without, path, 0, None);
    put(&mut with, path, 0, Some(value));
    (with, without)
}

fn put(node: &mut Value, path: &Path, at: usize, value: Option<Value>) {
    let here = path[..at].join(".");
    let key = path[at].as_str();
    let key = if key == "*" { name(&here) } else { key };
    if key == "[]" {
        if !node
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_object) && !items.is_empty())
        {
            let mut item = around(&path[..=at].join("."));
            // Options of a kind of mount have no effect on another.
            let kind = path.get(at + 1).filter(|_| here == "services.*.volumes");
            if let Some(kind) = kind.filter(|kind| ["bind", "tmpfs", "image"].contains(&kind.as_str())) {
                item["type"] = json!(kind);
                item["source"] = json!("/srv");
                if kind == "tmpfs" {
                    item.as_object_mut().unwrap().remove("source");
                }
            }
            *node = json!([item]);
        }
        return put(&mut node[0], path, at + 1, value);
    }
    if !node.is_object() {
        *node = around(&here);
    }
    let entries = node.as_object_mut().unwrap();
    if at + 1 == path.len() {
        match value {
            Some(value) => {
                exclude(entries, &here, key);
                entries.insert(key.to_owned(), value);
            }
            None if entries.contains_key(key) && around(&here).get(key).is_none() => {
                drop(entries.remove(key))
            }
            None => {}
        }
        return;
    }
    let below = path[..=at].join(".");
    let next = entries.entry(key.to_owned()).or_insert_with(|| around(&below));
    // Any item or name makes the long form.
    if !next.is_object() && path[at + 1] != "[]" {
        *next = around(&below);
    }
    put(next, path, at + 1, value);
}

/// Keys that cannot stand beside this one.
fn exclude(entries: &mut Map<String, Value>, here: &str, key: &str) {
    let sources = ["file", "environment", "content", "external"];
    if ["secrets.*", "configs.*"].contains(&here) && (sources.contains(&key) || key == "driver") {
        for other in sources {
            entries.remove(other);
        }
    }
}

/// Whether a diagnostic speaks of a key, of something in it, or of what holds it.
fn speaks_of(fault: &Diagnostic, path: &Path) -> bool {
    let is_name = |part: &&String| !["[]", "*"].contains(&part.as_str());
    let last = path.iter().rev().find(is_name).unwrap();
    let named = fault.path.split(['.', '[']).any(|part| part == last);
    named || fault.message.contains(&format!("`{last}`")) || answers_around(fault, path)
}

/// What holds a key has no effect itself, and that is said of it by name.
fn answers_around(fault: &Diagnostic, path: &Path) -> bool {
    let parts = fault.path.split(['.', '[']).filter(|part| !part.ends_with(']'));
    let parts: Vec<&str> = parts.collect();
    let keys: Vec<&String> = path.iter().filter(|part| *part != "[]").collect();
    let fits = |(part, key): (&&str, &&String)| *key == "*" || part == key;
    let around = parts.len() < keys.len() && parts.iter().zip(&keys).all(fits);
    let refused = fault.severity == Severity::Error && parts.len() > 2;
    around && (fault.code == "compose.unsupported_key" || refused)
}

fn yaml(file: &Value) -> String {
    // JSON is YAML.
    serde_json::to_string_pretty(file).unwrap()
}

fn case() -> Case {
    Case {
        files: BTreeMap::from([
            ("some.env".to_owned(), "A='1'\n".to_owned()),
            ("other.env".to_owned(), "B=1\n".to_owned()),
            ("some.labels".to_owned(), "a=1\n".to_owned()),
            (
                "other.yaml".to_owned(),
                "services: {more: {image: a}}\n".to_owned(),
            ),
        ]),
        environment: BTreeMap::from([("SECRET_VALUE".to_owned(), "x".to_owned())]),
        project_directory: Some("/srv".to_owned()),
        ..Case::default()
    }
}

/// Why a key is silent, if it is.
fn silent(path: &Path, schema: &Value) -> Option<String> {
    let text = path.join(".");
    let text = if text.starts_with("*.") {
        format!("services.{text}")
    } else {
        text
    };
    let (with, without) = files(path, sample(&text, schema));
    let reading = case().parse(&yaml(&with));
    let faults = match &reading {
        Ok(parsed) => &parsed.warnings,
        Err(faults) => faults,
    };
    if let Some(fault) = faults
        .iter()
        .find(|fault| fault.code == "compose.unknown_key" && speaks_of(fault, path))
    {
        return Some(format!("{text}: not known: {}", fault.message));
    }
    if faults.iter().any(|fault| speaks_of(fault, path)) {
        return None;
    }
    let before = case().parse(&yaml(&without));
    match (&reading, &before) {
        (Ok(with), Ok(without)) => {
            let same = with.spec == without.spec
                && with.name == without.name
                && with.public == without.public
                && with.builds == without.builds
                && with.contents == without.contents;
            same.then(|| format!("{text}: no effect, and no word of it"))
        }
        // Without it the file is wrong.
        (Ok(_), Err(_)) => None,
        (Err(faults), _) => Some(format!(
            "{text}: {}",
            faults.first().map_or(String::new(), ToString::to_string)
        )),
    }
}

#[test]
fn every_key_of_every_schema_has_an_effect_or_is_answered_by_name() {
    let Some(root) = reference() else {
        eprintln!("skipped: the Compose schemas are not there; set BERTH_COMPOSE_REFERENCE");
        return;
    };
    let mut found = BTreeMap::new();
    let mut schemas = 0;
    for folder in ["compose-spec", "compose-legacy"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            schemas += 1;
            let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let mut walk = Walk {
                schema: &schema,
                found: std::mem::take(&mut found),
            };
            walk.below(&schema, &vec![], &[]);
            found = walk.found;
        }
    }
    assert_eq!(schemas, SCHEMAS);
    assert!(found.len() > MIN_KEYS, "{} keys", found.len());
    let excused: BTreeSet<&str> = WITHOUT_ANSWER.iter().map(|(key, _)| *key).collect();
    let is_excused = |path: &Path| {
        let text = path.join(".");
        let text = if text.starts_with("*.") {
            format!("services.{text}")
        } else {
            text
        };
        excused
            .iter()
            .any(|key| text == *key || text.starts_with(&format!("{key}.")))
    };
    // Of a section, what is in it is looked at.
    let all = found
        .iter()
        .filter(|(path, _)| !is_excused(path) && (path.len() > 1 || path[0] == "models"));
    let silent: Vec<String> = all.filter_map(|(path, schema)| silent(path, schema)).collect();
    assert!(
        silent.is_empty(),
        "{} of {}:\n{}",
        silent.len(),
        found.len(),
        silent.join("\n")
    );
}
