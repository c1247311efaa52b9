//! Laying one file over another, as Compose does.

use super::build::{entry, list, map, null, plain, text};
use crate::{
    place::Place,
    tree::{Entry, Kind, Mark, Node},
};

/// Two values that cannot be laid over each other: where, and the place of the upper one.
pub(crate) struct Clash {
    pub path: String,
    pub at: Place,
}

/// How two values of a path become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Deep,
    Replace,
    Sequence,
    Hosts,
    Build,
    DependsOn,
    Names,
    Logging,
    Ranges,
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, rest @ ..] => service_rule(rest),
        ["networks", _, "ipam", "config"] => Rule::Ranges,
        ["networks" | "volumes", _, "labels"] => Rule::Sequence,
        _ => Rule::Deep,
    }
}

fn service_rule(rest: &[&str]) -> Rule {
    match rest {
        ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
        ["annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "environment"]
        | ["labels" | "sysctls" | "tmpfs"]
        | ["build", "args" | "additional_contexts" | "labels"]
        | ["deploy", "labels"] => Rule::Sequence,
        ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Hosts,
        ["build"] => Rule::Build,
        ["depends_on"] => Rule::DependsOn,
        ["networks" | "models"] => Rule::Names,
        ["logging"] => Rule::Logging,
        _ => Rule::Deep,
    }
}

/// Lays `over` over `base`; both stand at `path`.
pub(crate) fn merge(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Clash> {
    match over.mark {
        Mark::Reset | Mark::Replace => return Ok(over),
        Mark::Merge => {}
    }
    match rule(path) {
        Rule::Replace => Ok(over),
        Rule::Sequence => Ok(joined(sequence(base), sequence(over))),
        Rule::Hosts => Ok(hosts(base, over)),
        Rule::Build => deep(build(base), build(over), path),
        Rule::DependsOn => deep(names(base, true), names(over, true), path),
        Rule::Names => deep(names(base, false), names(over, false), path),
        Rule::Logging => logging(base, over, path),
        Rule::Ranges => ranges(base, over, path),
        Rule::Deep => deep(base, over, path),
    }
}

fn deep(mut base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Clash> {
    let at = over.at;
    match (&mut base.kind, over.kind) {
        (_, Kind::Null) => Ok(base),
        (Kind::Map(entries), Kind::Map(others)) => {
            lay(entries, others, path)?;
            Ok(base)
        }
        (Kind::List(items), Kind::List(others)) => {
            items.extend(others);
            Ok(base)
        }
        (Kind::Map(_) | Kind::List(_), _) => Err(Clash {
            path: path.join("."),
            at,
        }),
        (Kind::Null | Kind::Scalar { .. }, kind) => Ok(Node::leaf(kind, at)),
    }
}

fn lay(entries: &mut Vec<Entry>, others: Vec<Entry>, path: &mut Vec<String>) -> Result<(), Clash> {
    for other in others {
        let known = entries.iter_mut().find(|entry| entry.key == other.key);
        let Some(known) = known else {
            entries.push(other);
            continue;
        };
        path.push(other.key);
        let base = std::mem::replace(&mut known.value, null(other.key_at));
        known.value = merge(base, other.value, path)?;
        known.key_at = other.key_at;
        path.pop();
    }
    Ok(())
}

/// A mapping as a list of `name=value`, one text as a list of one.
fn sequence(node: Node) -> Vec<Node> {
    match node.kind {
        Kind::List(items) => items,
        Kind::Map(entries) => {
            let mut items: Vec<Node> = entries.into_iter().flat_map(pairs).collect();
            items.sort_by(|a, b| a.scalar().cmp(&b.scalar()));
            items
        }
        Kind::Scalar { .. } => vec![node],
        Kind::Null => Vec::new(),
    }
}

fn pairs(entry: Entry) -> Vec<Node> {
    let at = entry.key_at;
    match &entry.value.kind {
        Kind::Scalar { text: value, .. } => vec![text(format!("{}={value}", entry.key), at)],
        Kind::List(items) => {
            let values = items.iter().filter_map(Node::scalar);
            values
                .map(|value| text(format!("{}={value}", entry.key), at))
                .collect()
        }
        Kind::Null | Kind::Map(_) => vec![text(entry.key, at)],
    }
}

fn joined(mut base: Vec<Node>, over: Vec<Node>) -> Node {
    let at = over
        .first()
        .or(base.first())
        .map(|node| node.at)
        .unwrap_or_default();
    base.extend(over);
    list(base, at)
}

fn hosts(base: Node, over: Node) -> Node {
    let base = sequence(base);
    let mut over = sequence(over);
    over.retain(|item| !base.iter().any(|known| known.scalar() == item.scalar()));
    joined(base, over)
}

fn build(node: Node) -> Node {
    let at = node.at;
    match node.kind {
        Kind::Scalar { .. } => map(vec![entry("context", node)], at),
        Kind::Null | Kind::List(_) | Kind::Map(_) => node,
    }
}

/// A list of names as a mapping.
fn names(node: Node, dependencies: bool) -> Node {
    let at = node.at;
    let Kind::List(items) = node.kind else { return node };
    let entries = items.into_iter().filter_map(|item| {
        let at = item.at;
        let value = if dependencies { dependency(at) } else { null(at) };
        Some(entry(item.scalar()?, value))
    });
    map(entries.collect(), at)
}

/// What a name in a list of dependencies stands for.
pub(crate) fn dependency(at: Place) -> Node {
    let condition = entry("condition", text("service_started", at));
    map(vec![condition, entry("required", plain("true", at))], at)
}

/// Options are merged only if both have the same driver, or one says none.
fn logging(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Clash> {
    let driver = |node: &Node| node.get("driver").and_then(Node::scalar).map(str::to_owned);
    match (driver(&base), driver(&over)) {
        (Some(base), Some(other)) if base != other => Ok(over),
        _ => deep(base, over, path),
    }
}

/// Address ranges are merged by their subnet.
fn ranges(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Clash> {
    let at = over.at;
    let (Kind::List(mut known), Kind::List(others)) = (base.kind, over.kind) else {
        return Err(Clash {
            path: path.join("."),
            at,
        });
    };
    let subnet = |node: &Node| node.get("subnet").and_then(Node::scalar).map(str::to_owned);
    for other in others {
        match known.iter().position(|range| subnet(range) == subnet(&other)) {
            Some(index) => {
                let range = known.remove(index);
                known.insert(index, deep(range, other, path)?);
            }
            None => known.push(other),
        }
    }
    Ok(list(known, at))
}
