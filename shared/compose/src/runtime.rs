//! The keys that say how one container runs: command, health, limits of the shell kind, hosts, logging.

use crate::{
    command,
    cx::{Cx, Item, shorten},
    keys,
    tree::Kind,
    words::is_host_name,
};
use berth_events::spec::{HealthcheckSpec, LoggingSpec, Ulimit};
use std::{collections::BTreeMap, net::IpAddr};

const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
const ULIMITS: [&str; 16] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
    "as",
];
const MAX_RETRIES: i64 = 1_000_000;

/// `command` and `entrypoint`: a list as it is, a text split into words. Nothing keeps the image's own.
pub(crate) fn words(cx: &Cx, item: &Item<'_>) -> Option<Vec<String>> {
    match &item.node.kind {
        Kind::Null => None,
        Kind::Scalar { text, .. } => match command::split(text) {
            Ok(words) => Some(words),
            Err(reason) => {
                let message = format!("`{}` is no command: {reason}", item.key);
                cx.error(
                    item,
                    "compose.command",
                    message,
                    "close the quote, or write the words as a list",
                );
                None
            }
        },
        Kind::List(_) | Kind::Map(_) => {
            let entries = cx.list(item, "command: [\"program\", \"argument\"]");
            Some(entries.iter().filter_map(|entry| word(cx, entry)).collect())
        }
    }
}

/// One word of a command; it may be empty.
fn word(cx: &Cx, entry: &Item<'_>) -> Option<String> {
    if entry.is_null() {
        cx.error(
            entry,
            "compose.type",
            "this item must be a text, and is nothing",
            "write \"\" for an empty word",
        );
        return None;
    }
    cx.loose_text(entry)
}

pub(crate) fn healthcheck(cx: &Cx, item: &Item<'_>) -> Option<HealthcheckSpec> {
    cx.map(item, "healthcheck: {test: [CMD, program]}");
    cx.check_keys(item, &keys::HEALTHCHECK);
    let disabled = item
        .child("disable")
        .and_then(|item| cx.truth(&item))
        .unwrap_or(false);
    let test = if disabled {
        vec!["NONE".to_owned()]
    } else {
        item.child("test")
            .map(|item| health_test(cx, &item))
            .unwrap_or_default()
    };
    let time = |name| item.child(name).and_then(|item| cx.duration_ms(&item));
    let spec = HealthcheckSpec {
        test,
        interval_ms: time("interval"),
        timeout_ms: time("timeout"),
        retries: item
            .child("retries")
            .and_then(|item| cx.number(&item, 0, MAX_RETRIES))
            .and_then(|retries| u32::try_from(retries).ok()),
        start_period_ms: time("start_period"),
        start_interval_ms: time("start_interval"),
    };
    (spec != HealthcheckSpec::default()).then_some(spec)
}

fn health_test(cx: &Cx, item: &Item<'_>) -> Vec<String> {
    if item.raw().is_some() {
        return cx
            .text(item)
            .map(|line| vec!["CMD-SHELL".to_owned(), line])
            .unwrap_or_default();
    }
    let entries = cx.list(item, "test: [CMD, program, argument]");
    let words: Vec<String> = entries.iter().filter_map(|entry| word(cx, entry)).collect();
    let good = match words.first().map(String::as_str) {
        Some("NONE") => words.len() == 1,
        Some("CMD") => words.len() > 1,
        Some("CMD-SHELL") => words.len() == 2,
        _ => false,
    };
    if !good {
        cx.error(
            item,
            "compose.healthcheck",
            "the test does not begin with NONE, CMD or CMD-SHELL, or has the wrong number of words",
            "write [CMD, program, argument], [CMD-SHELL, \"a line for the shell\"], [NONE], or one text",
        );
    }
    words
}

pub(crate) fn logging(cx: &Cx, item: &Item<'_>) -> LoggingSpec {
    const DEFAULT_DRIVER: &str = "json-file";
    cx.map(item, "logging: {driver: json-file, options: {max-size: 10m}}");
    cx.check_keys(item, &keys::LOGGING);
    LoggingSpec {
        driver: item
            .child("driver")
            .and_then(|item| cx.text(&item))
            .unwrap_or_else(|| DEFAULT_DRIVER.to_owned()),
        options: item
            .child("options")
            .map(|item| cx.table(&item, "options: {max-size: 10m}"))
            .unwrap_or_default(),
    }
}

pub(crate) fn ulimits(cx: &Cx, item: &Item<'_>) -> BTreeMap<String, Ulimit> {
    let mut out = BTreeMap::new();
    for entry in cx.map(item, "ulimits: {nofile: 65535}") {
        if !ULIMITS.contains(&entry.key) {
            let cure = match cx.nearest(entry.key, ULIMITS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", ULIMITS.join(", ")),
            };
            cx.error(
                &entry,
                "compose.unknown_value",
                format!("there is no limit `{}`", shorten(entry.key)),
                cure,
            );
            continue;
        }
        let limits = match &entry.node.kind {
            Kind::Map(_) => {
                cx.check_keys(&entry, &keys::ULIMIT);
                let limit = |name| entry.child(name).and_then(|item| cx.number(&item, -1, i64::MAX));
                match (limit("soft"), limit("hard")) {
                    (Some(soft), Some(hard)) => Some((soft, hard)),
                    _ => {
                        cx.error(
                            &entry,
                            "compose.ulimit",
                            "a limit needs `soft` and `hard`",
                            "write {soft: 1024, hard: 2048}, or one number for both",
                        );
                        None
                    }
                }
            }
            _ => cx.number(&entry, -1, i64::MAX).map(|both| (both, both)),
        };
        let Some((soft, hard)) = limits else { continue };
        if hard >= 0 && (soft < 0 || soft > hard) {
            cx.error(
                &entry,
                "compose.ulimit",
                format!("the soft limit {soft} is above the hard limit {hard}"),
                "raise `hard`, or lower `soft`",
            );
        }
        out.insert(entry.key.to_owned(), Ulimit { soft, hard });
    }
    out
}

pub(crate) fn capabilities(cx: &Cx, item: &Item<'_>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for entry in cx.list(item, "cap_add: [NET_ADMIN]") {
        let Some(text) = cx.text(&entry) else { continue };
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !CAPABILITIES.contains(&name) {
            let cure = match cx.nearest(name, CAPABILITIES.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "see capabilities(7) for the names".to_owned(),
            };
            cx.error(
                &entry,
                "compose.capability",
                format!("there is no capability `{}`", shorten(&text)),
                cure,
            );
        } else if !out.iter().any(|other| other == name) {
            out.push(name.to_owned());
        }
    }
    out
}

/// `extra_hosts` as `name:address`.
pub(crate) fn extra_hosts(cx: &Cx, item: &Item<'_>) -> Vec<String> {
    let mut out = Vec::new();
    match &item.node.kind {
        Kind::Map(_) => {
            for entry in item.entries() {
                for address in cx.texts(&entry, "name: address") {
                    out.extend(host(cx, &entry, entry.key, &address));
                }
            }
        }
        _ => {
            for entry in cx.list(item, "extra_hosts: [\"name:address\"]") {
                let Some(text) = cx.text(&entry) else { continue };
                let split = text.split_once('=').or_else(|| text.split_once(':'));
                let (name, address) = split.unwrap_or((&text, ""));
                out.extend(host(cx, &entry, name, address));
            }
        }
    }
    out
}

fn host(cx: &Cx, entry: &Item<'_>, name: &str, address: &str) -> Option<String> {
    let bare = address.trim().trim_start_matches('[').trim_end_matches(']');
    if is_host_name(name.trim()) && (bare == "host-gateway" || bare.parse::<IpAddr>().is_ok()) {
        return Some(format!("{}:{bare}", name.trim()));
    }
    let message = format!(
        "`{}` and `{}` are no host name and address",
        shorten(name),
        shorten(address)
    );
    cx.error(
        entry,
        "compose.extra_host",
        message,
        "write \"name:192.0.2.1\" or \"name:host-gateway\"",
    );
    None
}
