//! `routing.*` and `lb.*`: addresses under which a service is reached.

use super::{
    Labels,
    value::{self, fault},
};
use crate::cx::{Cx, Item, shorten};
use berth_events::spec::{ListenerSpec, RouteScheme, RouteSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Longest domain and longest context, in characters.
const MAX_PART: usize = 127;
/// The product's own domain, which only it gives out.
const ROOT_DOMAIN: &str = "alicontainer.com";
const SCHEMES: [(&str, RouteScheme); 5] = [
    ("http", RouteScheme::Http),
    ("https", RouteScheme::Https),
    ("ws", RouteScheme::Ws),
    ("wss", RouteScheme::Wss),
    ("tcp", RouteScheme::Tcp),
];
const ROUTE: &str = "write [scheme://]domain-or-prefix[/context], several separated by `;`";
const MAX_WEIGHT: u64 = 100;
const MAX_BALANCER_NAME: usize = 80;
const LISTENER: &str = "write scheme://name:port, such as tcp://my-balancer:6379, several separated by `;`";

type Routes = (Vec<RouteSpec>, Option<bool>, BTreeMap<String, String>);

/// Reads all `routing.*`.
pub(super) fn routes(cx: &Cx, labels: &Labels<'_>) -> Routes {
    let mut routes = Vec::new();
    let mut seen = BTreeSet::new();
    let mut others = BTreeMap::new();
    for (name, text, item) in labels.below("routing.") {
        let Some(port) = name.strip_prefix("port_") else {
            if name == "weight" {
                value::number(cx, item, text, 0, MAX_WEIGHT);
            }
            if name != "session_sticky" {
                others.insert(name.to_owned(), text.to_owned());
            }
            continue;
        };
        let Some(port) = value::port(port) else {
            let message = format!("invalid routing port number: `{}`", shorten(port));
            fault(
                cx,
                item,
                message,
                "write routing.port_N with a port of the container, 1 to 65535",
            );
            continue;
        };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some(route) = route(cx, item, port, part) else {
                continue;
            };
            if !seen.insert((route.scheme, route.host.clone(), route.context.clone())) {
                let message = format!("found duplicated routing: `{}`", shorten(part));
                fault(cx, item, message, "name each address once in a service");
                continue;
            }
            routes.push(route);
        }
    }
    let sticky = labels.truth(cx, "routing.session_sticky");
    if let Some((_, item)) = labels.get("routing.session_sticky").filter(|_| routes.is_empty()) {
        let message = "session_sticky has no effect without a route";
        cx.warn(item, "compose.label", message, "add routing.port_N");
    }
    (routes, sticky, others)
}

fn route(cx: &Cx, item: &Item<'_>, port: u16, text: &str) -> Option<RouteSpec> {
    let bad = |message: String, cure: &str| {
        fault(cx, item, message, cure);
        None
    };
    let (scheme, rest) = match text.split_once("://") {
        None => (RouteScheme::Http, text),
        Some((word, rest)) => match SCHEMES.iter().find(|(name, _)| *name == word) {
            Some((_, scheme)) => (*scheme, rest),
            None => {
                let message = format!("invalid protocol `{}` in `{}`", shorten(word), shorten(text));
                return bad(message, "use http, https, ws, wss or tcp");
            }
        },
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, context) = rest.split_at(at);
    let host = host.to_ascii_lowercase();
    if !host.contains('.') && matches!(scheme, RouteScheme::Https | RouteScheme::Wss) {
        let message = format!("`{}` must have fully qualified domain name", shorten(text));
        return bad(
            message,
            "certificates are for whole domains: write https://www.example.com",
        );
    }
    if !is_domain(&host) {
        return bad(
            format!("`{}` is no domain and no prefix of one", shorten(&host)),
            ROUTE,
        );
    }
    if host == ROOT_DOMAIN || host.ends_with(&format!(".{ROOT_DOMAIN}")) {
        let message = format!("`{}` is not allowed as user provided domain", shorten(&host));
        return bad(
            message,
            "use a domain of your own, or only the prefix without a dot",
        );
    }
    if !is_context(context) {
        let message = format!("`{}` is no context path", shorten(context));
        return bad(
            message,
            "write /path with a-z, 0-9, `-`, `_`, `/` and `.`, at most 127 characters",
        );
    }
    Some(RouteSpec {
        port,
        scheme,
        host,
        context: context.to_owned(),
    })
}

/// `([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,63}`, or one part of it as prefix.
fn is_domain(host: &str) -> bool {
    let label = |part: &str| {
        let words = part.split('-');
        !part.is_empty()
            && words.into_iter().all(|word| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            })
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let top = !host.contains('.')
        || ((2..=63).contains(&last.len()) && last.chars().all(|c| c.is_ascii_lowercase()));
    host.len() <= MAX_PART && top && host.split('.').all(label)
}

fn is_context(context: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_/.".contains(c);
    matches!(context, "" | "/") || (context.len() <= MAX_PART && context.chars().all(good))
}

/// Reads all `lb.port_N`.
pub(super) fn listeners(cx: &Cx, labels: &Labels<'_>) -> Vec<ListenerSpec> {
    let mut out = Vec::new();
    for (port, text, item) in labels.below("lb.port_") {
        let Some(port) = value::port(port) else {
            let message = format!("`{}` is no port of a container", shorten(port));
            fault(cx, item, message, "write lb.port_N with 1 to 65535");
            continue;
        };
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        out.extend(parts.filter_map(|part| listener(cx, item, port, part)));
    }
    if let Some((_, _, item)) = labels.below("lb.port_").next() {
        let message = "the label is checked and kept, and nothing acts on it yet";
        let cure = "publish the port and enter the nodes at the balancer yourself";
        cx.warn(item, "compose.unsupported_label", message, cure);
    }
    out
}

fn listener(cx: &Cx, item: &Item<'_>, port: u16, text: &str) -> Option<ListenerSpec> {
    let bad = |message: String, cure: &str| {
        fault(cx, item, message, cure);
        None
    };
    let parts = text
        .split_once("://")
        .and_then(|(scheme, rest)| rest.rsplit_once(':').map(|(name, port)| (scheme, name, port)));
    let Some((scheme, name, front)) = parts else {
        return bad(format!("the uri: {} is not valid", shorten(text)), LISTENER);
    };
    if !matches!(scheme, "http" | "https" | "tcp" | "udp") {
        let message = format!("invalid loadbalancer protocol: `{}`", shorten(scheme));
        return bad(message, "use http, https, tcp or udp");
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    if name.is_empty() || name.len() > MAX_BALANCER_NAME || !name.chars().all(good) {
        let message = format!("invalid name of loadbalancer: `{}`", shorten(name));
        return bad(message, "use 1 to 80 letters, digits, `-`, `_`, `/` and `.`");
    }
    let Some(front_port) = value::port(front) else {
        return bad(format!("the uri: {} is not valid", shorten(text)), LISTENER);
    };
    Some(ListenerSpec {
        port,
        scheme: scheme.to_owned(),
        balancer: name.to_owned(),
        front_port,
    })
}
