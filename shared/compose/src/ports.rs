//! `ports` and `expose`.

use crate::{
    cx::{Cx, Item, shorten},
    keys,
    limits::MAX_PORTS,
    tree::Kind,
};
use berth_events::spec::PortSpec;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
const CURE: &str =
    "write \"8080:80\", \"127.0.0.1:8080:80/udp\", or \"80\" to let the engine choose the node's port";

/// Reads `ports`.
pub(crate) fn published(cx: &Cx, item: &Item<'_>) -> Vec<PortSpec> {
    let mut ports = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in cx.list(item, "ports: [\"8080:80\"]") {
        let before = ports.len();
        match &entry.node.kind {
            Kind::Map(_) => long(cx, &entry, &mut ports),
            Kind::Scalar { text, .. } => short(cx, &entry, text, &mut ports),
            Kind::Null | Kind::List(_) => {
                cx.error(
                    &entry,
                    "compose.type",
                    format!("a port must be a text or a mapping, and is {}", entry.what()),
                    CURE,
                );
            }
        }
        keep_new(&mut ports, before, &mut seen);
        check_taken(cx, &entry, &ports, before);
        if ports.len() > MAX_PORTS {
            let message = format!("more than {MAX_PORTS} ports are published");
            cx.error(
                &entry,
                "compose.port_count",
                message,
                "publish fewer ports, or use network_mode: host",
            );
            break;
        }
    }
    ports
}

/// Two equal lines are one port.
fn keep_new(ports: &mut Vec<PortSpec>, before: usize, seen: &mut BTreeSet<PortSpec>) {
    let added = ports.split_off(before);
    ports.extend(added.into_iter().filter(|port| seen.insert(port.clone())));
}

/// Two targets on one node port are a fault.
fn check_taken(cx: &Cx, entry: &Item<'_>, ports: &[PortSpec], before: usize) {
    if ports.len() == before {
        return;
    }
    let mut taken: BTreeMap<(u16, &str), &PortSpec> = BTreeMap::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(published) = port.published else { continue };
        let Some(other) = taken.insert((published, &port.protocol), port) else {
            continue;
        };
        let apart = port.host_ip.is_some() && other.host_ip.is_some() && port.host_ip != other.host_ip;
        if index >= before && !apart {
            let message = format!(
                "port {published}/{} of the node is published twice",
                port.protocol
            );
            cx.error(
                entry,
                "compose.port_taken",
                message,
                "give each line a port of its own",
            );
            return;
        }
    }
}

fn short(cx: &Cx, entry: &Item<'_>, text: &str, ports: &mut Vec<PortSpec>) {
    let (text, protocol) = match text.split_once('/') {
        Some((text, protocol)) => (text, protocol.to_ascii_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    if !known_protocol(cx, entry, &protocol) {
        return;
    }
    let (host, container) = text
        .rsplit_once(':')
        .map_or((None, text), |(host, port)| (Some(host), port));
    let Some(targets) = range(cx, entry, container) else {
        return;
    };
    let (host_ip, published) = match host {
        None => (None, None),
        Some(host) => {
            let (ip, port) = match host.rsplit_once(':') {
                Some((ip, port)) => (Some(ip), port),
                // `127.0.0.1::80` leaves the port to the engine, `8080:80` names no address.
                None => (None, host),
            };
            let Some(ip) = address(cx, entry, ip) else { return };
            if port.is_empty() {
                (ip, None)
            } else {
                let Some(published) = range(cx, entry, port) else {
                    return;
                };
                (ip, Some(published))
            }
        }
    };
    push(cx, entry, ports, targets, published, protocol, host_ip);
}

fn long(cx: &Cx, entry: &Item<'_>, ports: &mut Vec<PortSpec>) {
    cx.check_keys(entry, &keys::PORT);
    if let Some(mode) = entry.child("mode")
        && cx.word(&mode, &["host", "ingress"]) == Some(1)
    {
        let cure = "reach the service on a node that runs it, or write mode: host to hide this warning";
        cx.warn(
            &mode,
            "compose.port_mode",
            "the port is published on the nodes that run a container, not on all",
            cure,
        );
    }
    let protocol = match entry.child("protocol") {
        Some(item) => match cx.text(&item) {
            Some(text) if known_protocol(cx, &item, &text.to_ascii_lowercase()) => text.to_ascii_lowercase(),
            _ => return,
        },
        None => "tcp".to_owned(),
    };
    let Some(target) = entry.child("target") else {
        cx.error(
            entry,
            "compose.port",
            "a port has no `target`",
            "write target: PORT, the port inside the container",
        );
        return;
    };
    let Some(targets) = target_range(cx, &target) else {
        return;
    };
    let published = match entry.child("published").filter(|item| item.raw() != Some("")) {
        Some(item) => match target_range(cx, &item) {
            Some(range) => Some(range),
            None => return,
        },
        None => None,
    };
    let ip = entry
        .child("host_ip")
        .and_then(|item| cx.text(&item).map(|text| (item, text)));
    let host_ip = match ip {
        Some((item, text)) => match address(cx, &item, Some(&text)) {
            Some(ip) => ip,
            None => return,
        },
        None => None,
    };
    push(cx, entry, ports, targets, published, protocol, host_ip);
}

fn target_range(cx: &Cx, item: &Item<'_>) -> Option<(u16, u16)> {
    range(cx, item, &cx.text(item)?)
}

fn push(
    cx: &Cx,
    entry: &Item<'_>,
    ports: &mut Vec<PortSpec>,
    targets: (u16, u16),
    published: Option<(u16, u16)>,
    protocol: String,
    host_ip: Option<String>,
) {
    if let Some(published) = published
        && published.1 - published.0 != targets.1 - targets.0
    {
        let message = "the two ranges of ports have different lengths";
        cx.error(
            entry,
            "compose.port_range",
            message,
            "write as many ports of the node as of the container",
        );
        return;
    }
    for offset in 0..=(targets.1 - targets.0) {
        if ports.len() > MAX_PORTS {
            return;
        }
        let port = PortSpec {
            target: targets.0 + offset,
            published: published.map(|range| range.0 + offset),
            protocol: protocol.clone(),
            host_ip: host_ip.clone(),
        };
        ports.push(port);
    }
}

fn known_protocol(cx: &Cx, entry: &Item<'_>, protocol: &str) -> bool {
    let known = PROTOCOLS.contains(&protocol);
    if !known {
        let message = format!("`{}` is no protocol of a port", shorten(protocol));
        cx.error(entry, "compose.port_protocol", message, "write tcp, udp or sctp");
    }
    known
}

/// An address without brackets; the outer `None` is a fault.
#[allow(clippy::option_option)]
fn address(cx: &Cx, entry: &Item<'_>, text: Option<&str>) -> Option<Option<String>> {
    let Some(text) = text else { return Some(None) };
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() {
        return Some(Some(bare.to_owned()));
    }
    let message = format!("`{}` is no address of a node", shorten(text));
    cx.error(
        entry,
        "compose.port_address",
        message,
        "write an IP address before the port, an IPv6 one in brackets",
    );
    None
}

/// `80` or `80-90`.
fn range(cx: &Cx, entry: &Item<'_>, text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(cx, entry, first)?, port(cx, entry, last)?);
    if first > last {
        let message = format!("the range {first}-{last} runs backwards");
        cx.error(
            entry,
            "compose.port_range",
            message,
            format!("write {last}-{first}"),
        );
        return None;
    }
    Some((first, last))
}

fn port(cx: &Cx, entry: &Item<'_>, text: &str) -> Option<u16> {
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        cx.error(
            entry,
            "compose.port",
            format!("`{}` is no port", shorten(text)),
            CURE,
        );
        return None;
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Some(port),
        _ => {
            let message = format!("port {} is out of range", shorten(text));
            cx.error(entry, "compose.port_range", message, "ports go from 1 to 65535");
            None
        }
    }
}

/// Reads `expose`.
pub(crate) fn exposed(cx: &Cx, item: &Item<'_>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for entry in cx.list(item, "expose: [\"80\"]") {
        let Some(text) = cx.text(&entry) else { continue };
        let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !known_protocol(cx, &entry, &protocol) {
            continue;
        }
        let Some((first, last)) = range(cx, &entry, ports) else {
            continue;
        };
        for port in first..=last {
            out.insert(format!("{port}/{protocol}"));
        }
        if out.len() > MAX_PORTS {
            let message = format!("more than {MAX_PORTS} ports are exposed");
            cx.error(&entry, "compose.port_count", message, "expose fewer ports");
            return out;
        }
    }
    out
}
