//! `probe.*`: how the node's agent checks health.

use super::{Labels, value::fault};
use crate::cx::{Cx, Item, shorten};
use berth_events::spec::{ProbeCheck, ProbeSpec};

const HTTP_PORT: u16 = 80;
const MAX_SECONDS: u64 = 3_600;
const CURE: &str = "write http://container[:port][/path] or tcp://container:port";

/// Longest time for which a container may be unhealthy before it is replaced.
const MAX_UNHEALTHY_SECONDS: u64 = 86_400;

/// Checks `replace_unhealthy`, which stays on the container, where the node's agent finds it.
pub(super) fn replace(cx: &Cx, labels: &Labels<'_>) {
    labels.number(cx, "replace_unhealthy", 0, MAX_UNHEALTHY_SECONDS);
}

/// Reads all `probe.*`.
pub(super) fn read(cx: &Cx, labels: &Labels<'_>) -> Option<ProbeSpec> {
    let (url, cmd) = (labels.get("probe.url"), labels.get("probe.cmd"));
    let seconds = |name: &str, least| {
        let seconds = labels.number(cx, name, least, MAX_SECONDS)?;
        Some(seconds * 1_000)
    };
    let timeout_ms = seconds("probe.timeout_seconds", 1);
    let initial_delay_ms = seconds("probe.initial_delay_seconds", 0);
    let check = match (url, cmd) {
        (Some(_), Some((_, item))) => {
            let message = "probe.url and probe.cmd are mutually exclusive".to_owned();
            fault(cx, item, message, "keep one of the two");
            return None;
        }
        (Some((text, item)), None) => check(cx, item, text.trim())?,
        (None, Some((line, item))) => {
            if line.trim().is_empty() {
                fault(cx, item, "probe.cmd is empty".to_owned(), "write a command line");
                return None;
            }
            ProbeCheck::Command {
                line: line.to_owned(),
            }
        }
        (None, None) => {
            for name in ["probe.timeout_seconds", "probe.initial_delay_seconds"] {
                if let Some((_, item)) = labels.get(name) {
                    let message = format!("{name} is ignored without probe.url or probe.cmd");
                    cx.warn(item, "compose.label", message, "add one of the two, or remove it");
                }
            }
            return None;
        }
    };
    Some(ProbeSpec {
        check,
        timeout_ms: timeout_ms.unwrap_or(ProbeSpec::TIMEOUT_MS),
        initial_delay_ms: initial_delay_ms.unwrap_or(0),
    })
}

fn check(cx: &Cx, item: &Item<'_>, url: &str) -> Option<ProbeCheck> {
    let bad = |message: String| {
        fault(cx, item, message, CURE);
        None
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return bad(format!("`{}` is no URL", shorten(url)));
    };
    if !matches!(scheme, "http" | "tcp") {
        return bad(format!("Unsupported scheme of probe URL: `{}`", shorten(scheme)));
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host != "container" {
        return bad(format!(
            "the host of a probe URL is `container`, not `{}`",
            shorten(host)
        ));
    }
    let port = match port.map(super::value::port) {
        Some(None) => return bad(format!("`{}` has no port from 1 to 65535", shorten(url))),
        Some(port) => port,
        None => None,
    };
    match (scheme, port) {
        ("http", port) => Some(ProbeCheck::Http {
            port: port.unwrap_or(HTTP_PORT),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        }),
        (_, Some(port)) if path.is_empty() => Some(ProbeCheck::Tcp { port }),
        _ => bad(format!("`{}` needs a port and has no path", shorten(url))),
    }
}
