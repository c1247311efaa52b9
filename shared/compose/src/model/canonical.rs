//! Short forms written out, so that files can be laid over each other and compared.

use super::{
    build::{entry, list, map, null, plain, text},
    merge::dependency,
    port,
};
use crate::{
    place::Place,
    tree::{Kind, Node},
};

/// A short form that cannot be read.
pub(crate) struct Bad {
    pub path: String,
    pub message: String,
    pub at: Place,
}

/// Writes out every short form of the file.
pub(crate) fn canonical(root: &mut Node) -> Result<(), Bad> {
    for service in root
        .get_mut("services")
        .and_then(Node::entries_mut)
        .into_iter()
        .flatten()
    {
        let path = format!("services.{}", service.key);
        for entry in service.value.entries_mut().into_iter().flatten() {
            let path = format!("{path}.{}", entry.key);
            let at = entry.value.at;
            key(&entry.key, &mut entry.value).map_err(|message| Bad { path, message, at })?;
        }
    }
    for section in ["volumes", "networks", "secrets", "configs"] {
        for entry in root
            .get_mut(section)
            .and_then(Node::entries_mut)
            .into_iter()
            .flatten()
        {
            external(&mut entry.value);
        }
    }
    Ok(())
}

fn key(name: &str, node: &mut Node) -> Result<(), String> {
    match name {
        "build" => build(node)?,
        "depends_on" => depends_on(node),
        "env_file" => {
            single(node);
            each(node, |item| {
                if let Some(path) = item.scalar() {
                    let path = entry("path", text(path, item.at));
                    *item = map(vec![path], item.at);
                }
                default(item, "required", "true");
                Ok(())
            })?;
        }
        "label_file" | "dns" => single(node),
        "gpus" if node.scalar().is_some() => {
            let all = map(vec![entry("count", text("all", node.at))], node.at);
            *node = list(vec![all], node.at);
        }
        "networks" | "models" => names(node),
        "volumes" => each(node, |item| {
            if let Some(short) = item.scalar() {
                *item = volume(short, item.at)?;
            }
            Ok(())
        })?,
        "devices" => each(node, device)?,
        "secrets" | "configs" => each(node, source)?,
        "ports" => ports(node)?,
        "develop" => develop(node),
        _ => {}
    }
    Ok(())
}

fn each(node: &mut Node, change: impl Fn(&mut Node) -> Result<(), String>) -> Result<(), String> {
    for item in node.items_mut().into_iter().flatten() {
        change(item)?;
    }
    Ok(())
}

fn default(node: &mut Node, key: &str, value: &str) {
    let at = node.at;
    if node.get(key).is_none() {
        node.set(key, plain(value, at));
    }
}

/// One text as a list of one.
fn single(node: &mut Node) {
    if node.scalar().is_some() {
        let item = std::mem::replace(node, null(node.at));
        let at = item.at;
        *node = list(vec![item], at);
    }
}

/// A list of names as a mapping.
fn names(node: &mut Node) {
    let at = node.at;
    if let Some(items) = node.items_mut() {
        let names = items
            .iter()
            .filter_map(|item| Some(entry(item.scalar()?, null(item.at))));
        *node = map(names.collect(), at);
    }
}

fn depends_on(node: &mut Node) {
    let at = node.at;
    if let Some(items) = node.items_mut() {
        let names = items
            .iter()
            .filter_map(|item| Some(entry(item.scalar()?, dependency(item.at))));
        *node = map(names.collect(), at);
        return;
    }
    for entry in node.entries_mut().into_iter().flatten() {
        let at = entry.value.at;
        if entry.value.get("condition").is_none() {
            entry.value.set("condition", text("service_started", at));
        }
        default(&mut entry.value, "required", "true");
    }
}

fn build(node: &mut Node) -> Result<(), String> {
    let at = node.at;
    if let Some(context) = node.scalar() {
        *node = map(vec![entry("context", text(context, at))], at);
    }
    if let Some(contexts) = node.get_mut("additional_contexts") {
        pairs(contexts)?;
    }
    if let Some(secrets) = node.get_mut("secrets") {
        each(secrets, source)?;
    }
    if let Some(ssh) = node.get_mut("ssh") {
        let at = ssh.at;
        if let Some(items) = ssh.items_mut() {
            let keys = items
                .iter()
                .filter_map(Node::scalar)
                .map(|key| match key.split_once('=') {
                    Some((id, path)) => entry(id, text(path, at)),
                    None => entry(key, null(at)),
                });
            *ssh = map(keys.collect(), at);
        }
    }
    Ok(())
}

fn pairs(node: &mut Node) -> Result<(), String> {
    let at = node.at;
    let Some(items) = node.items_mut() else {
        return Ok(());
    };
    let mut entries = Vec::new();
    for item in items.iter().filter_map(Node::scalar) {
        let (name, value) = item.split_once('=').ok_or(format!("`{item}` is no name=value"))?;
        entries.push(entry(name, text(value, at)));
    }
    *node = map(entries, at);
    Ok(())
}

fn source(item: &mut Node) -> Result<(), String> {
    if let Some(name) = item.scalar() {
        *item = map(vec![entry("source", text(name, item.at))], item.at);
    }
    Ok(())
}

fn device(item: &mut Node) -> Result<(), String> {
    let at = item.at;
    let Some(short) = item.scalar() else { return Ok(()) };
    let parts: Vec<&str> = short.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            return Err(format!(
                "confusing device mapping, please use long syntax: `{short}`"
            ));
        }
    };
    let target = if target.is_empty() { source } else { target };
    let entries = vec![
        entry("source", text(source, at)),
        entry("target", text(target, at)),
        entry("permissions", text(permissions, at)),
    ];
    *item = map(entries, at);
    Ok(())
}

fn ports(node: &mut Node) -> Result<(), String> {
    let at = node.at;
    let Some(items) = node.items_mut() else {
        return Ok(());
    };
    let mut out = Vec::new();
    for item in std::mem::take(items) {
        match item.scalar() {
            Some(short) => out.extend(port::expand(short, item.at)?),
            None => out.push(item),
        }
    }
    *node = list(out, at);
    Ok(())
}

fn develop(node: &mut Node) {
    let watch = node.get_mut("watch").and_then(Node::items_mut);
    for trigger in watch.into_iter().flatten() {
        // Its name before it became part of the specification.
        if let Some(early) = trigger.remove("x-initialSync") {
            trigger.set("initial_sync", early.value);
        }
        for key in ["ignore", "include"] {
            if let Some(patterns) = trigger.get_mut(key) {
                single(patterns);
            }
        }
    }
}

/// `external: {name: x}` as `external: true` and `name: x`.
fn external(node: &mut Node) {
    let at = node.at;
    let Some(name) = node.get("external").map(|external| external.get("name").cloned()) else {
        return;
    };
    if node
        .get("external")
        .is_some_and(|node| matches!(node.kind, Kind::Map(_)))
    {
        node.set("external", plain("true", at));
        if let (Some(name), None) = (name, node.get("name")) {
            node.set("name", name);
        }
    }
}

/// A mount in one line.
pub(crate) fn volume(short: &str, at: Place) -> Result<Node, String> {
    let parts = split(short);
    if parts.iter().any(String::is_empty) {
        return Err(format!("invalid spec: {short}: empty section between colons"));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(format!("invalid spec: {short}: too many colons")),
    };
    let bind = source.starts_with(['.', '/', '~']) || source.starts_with(r"\\") || is_drive(source);
    let mut entries = vec![entry("type", text(if bind { "bind" } else { "volume" }, at))];
    if !source.is_empty() {
        entries.push(entry("source", text(source, at)));
    }
    entries.push(entry("target", text(clean(target), at)));
    let mut details = Vec::new();
    for option in options.split(',') {
        match option {
            "ro" => entries.push(entry("read_only", plain("true", at))),
            "nocopy" if !bind => details.push(entry("nocopy", plain("true", at))),
            "z" | "Z" if bind => details.push(entry("selinux", text(option, at))),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" if bind => {
                details.push(entry("propagation", text(option, at)));
            }
            _ => {}
        }
    }
    if bind {
        details.push(entry("create_host_path", plain("true", at)));
    }
    entries.push(entry(if bind { "bind" } else { "volume" }, map(details, at)));
    Ok(map(entries, at))
}

fn is_drive(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':')
}

/// Splits at colons, except behind a drive letter.
fn split(short: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for character in short.chars() {
        let Some(last) = parts.last_mut() else { break };
        let drive = last.chars().count() == 1 && last.chars().all(char::is_alphabetic);
        if character == ':' && !drive {
            parts.push(String::new());
        } else {
            last.push(character);
        }
    }
    parts
}

/// A path in a container without `.`, `..` and doubled slashes.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !rooted => parts.push(".."),
                _ => {
                    parts.pop();
                }
            },
            name => parts.push(name),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
