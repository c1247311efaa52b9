//! Lists in which a later item takes the place of an earlier one of the same name.

use crate::{
    model::canonical,
    tree::{Kind, Node},
};
use std::collections::BTreeMap;

type Key = fn(&Node) -> Option<String>;

fn key_of(rest: &[&str]) -> Option<Key> {
    Some(match rest {
        ["annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "environment"]
        | ["labels" | "links" | "profiles" | "sysctls" | "tmpfs"]
        | ["build", "args" | "additional_contexts" | "tags" | "labels"]
        | ["deploy", "labels"]
        | ["networks", _, "aliases" | "link_local_ips"] => name,
        ["devices"] => device,
        ["volumes"] => volume,
        ["ports"] => port,
        ["expose"] => whole,
        ["env_file"] => path,
        ["configs"] => config,
        ["secrets"] => secret,
        _ => return None,
    })
}

/// Takes out of every such list what a later item replaces.
pub(crate) fn enforce(root: &mut Node) {
    let Some(services) = root.get_mut("services") else {
        return;
    };
    for service in services.entries_mut().into_iter().flatten() {
        walk(&mut service.value, &mut Vec::new());
    }
}

fn walk(node: &mut Node, path: &mut Vec<String>) {
    match &mut node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                path.push(entry.key.clone());
                walk(&mut entry.value, path);
                path.pop();
            }
        }
        Kind::List(items) => {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some(key) = key_of(&words) {
                *items = unique(std::mem::take(items), key);
            }
        }
        Kind::Null | Kind::Scalar { .. } => {}
    }
}

fn unique(items: Vec<Node>, key: Key) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let Some(name) = key(&item) else {
            out.push(item);
            continue;
        };
        match seen.get(&name).and_then(|index| out.get_mut(*index)) {
            Some(known) => *known = item,
            None => {
                seen.insert(name, out.len());
                out.push(item);
            }
        }
    }
    out
}

fn field(node: &Node, name: &str) -> Option<String> {
    node.get(name).and_then(Node::scalar).map(str::to_owned)
}

fn name(node: &Node) -> Option<String> {
    let text = node.scalar()?;
    Some(text.split_once('=').map_or(text, |(name, _)| name).to_owned())
}

fn whole(node: &Node) -> Option<String> {
    node.scalar().map(str::to_owned)
}

fn path(node: &Node) -> Option<String> {
    whole(node).or_else(|| field(node, "path"))
}

fn device(node: &Node) -> Option<String> {
    match node.scalar() {
        Some(text) => text.split(':').nth(1).or(Some(text)).map(str::to_owned),
        None => field(node, "target"),
    }
}

fn volume(node: &Node) -> Option<String> {
    match node.scalar() {
        Some(text) => field(&canonical::volume(text, node.at).ok()?, "target"),
        None => field(node, "target"),
    }
}

fn port(node: &Node) -> Option<String> {
    if let Some(text) = node.scalar() {
        return Some(text.to_owned());
    }
    let part = |name: &str, default: &str| field(node, name).unwrap_or_else(|| default.to_owned());
    Some(format!(
        "{}:{}:{}/{}",
        part("host_ip", "0.0.0.0"),
        part("published", ""),
        field(node, "target")?,
        part("protocol", "tcp")
    ))
}

fn mount(node: &Node, folder: &str) -> Option<String> {
    let named = |source: &str| format!("{folder}/{source}");
    match node.scalar() {
        Some(source) => Some(named(source)),
        None => field(node, "target").or_else(|| field(node, "source").map(|source| named(&source))),
    }
}

fn config(node: &Node) -> Option<String> {
    mount(node, "")
}

fn secret(node: &Node) -> Option<String> {
    mount(node, "/run/secrets")
}
