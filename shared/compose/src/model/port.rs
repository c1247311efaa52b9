//! Ports in one line: `[[address:][published]:]target[/protocol]`, with ranges.

use super::build::{entry, map, plain, text};
use crate::{limits::MAX_PORTS, place::Place, tree::Node};

/// Writes a port or a range of ports out.
pub(crate) fn expand(short: &str, at: Place) -> Result<Vec<Node>, String> {
    let bad = |what: &str| format!("`{short}`: {what}");
    let (rest, protocol) = short.split_once('/').unwrap_or((short, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad("the protocol is none of tcp, udp and sctp"));
    }
    let (front, target) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (host, published) = match front.rsplit_once(':') {
        Some((host, published)) => (host.trim_start_matches('[').trim_end_matches(']'), published),
        None => ("", front),
    };
    let (first, last) = range(target).ok_or_else(|| bad("no port of the container"))?;
    let count = usize::from(last - first) + 1;
    if count > MAX_PORTS {
        return Err(bad("too many ports"));
    }
    let outside = match published {
        "" => None,
        published => Some(range(published).ok_or_else(|| bad("no port of the node"))?),
    };
    if let Some((low, high)) = outside
        && high - low != last - first
        && first != last
    {
        return Err(bad("the two ranges differ in length"));
    }
    let ports = (first..=last).map(|target| {
        let published = outside.map(|(low, high)| match high - low == last - first {
            true => (low + (target - first)).to_string(),
            false => format!("{low}-{high}"),
        });
        port(host, published, target, &protocol, at)
    });
    Ok(ports.collect())
}

fn port(host: &str, published: Option<String>, target: u16, protocol: &str, at: Place) -> Node {
    let mut entries = vec![
        entry("mode", text("ingress", at)),
        entry("target", plain(target.to_string(), at)),
        entry("protocol", text(protocol, at)),
    ];
    if !host.is_empty() {
        entries.push(entry("host_ip", text(host, at)));
    }
    if let Some(published) = published {
        entries.push(entry("published", text(published, at)));
    }
    map(entries, at)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}
