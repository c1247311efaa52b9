//! Relative paths of a file, as seen from another folder.

use super::{build::text, canonical::clean};
use crate::tree::{Kind, Node};

/// A path below a folder; an absolute one stays.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() || path.starts_with(['/', '~']) {
        return path.to_owned();
    }
    clean(&format!("{folder}/{path}"))
}

/// The folder of a path.
pub(crate) fn folder(path: &str) -> String {
    path.rsplit_once('/')
        .map_or_else(String::new, |(folder, _)| match folder {
            "" => "/".to_owned(),
            folder => clean(folder),
        })
}

/// Puts a folder before every relative path of a file whose short forms are written out.
pub(crate) fn rebase(root: &mut Node, folder: &str) {
    if folder.is_empty() {
        return;
    }
    let services = root.get_mut("services").and_then(Node::entries_mut);
    for entry in services.into_iter().flatten() {
        service(&mut entry.value, folder);
    }
    for section in ["configs", "secrets"] {
        let entries = root.get_mut(section).and_then(Node::entries_mut);
        for entry in entries.into_iter().flatten() {
            key(&mut entry.value, "file", folder);
        }
    }
    let volumes = root.get_mut("volumes").and_then(Node::entries_mut);
    for entry in volumes.into_iter().flatten() {
        let local = entry.value.get("driver").and_then(Node::scalar) == Some("local");
        let Some(options) = entry.value.get_mut("driver_opts").filter(|_| local) else {
            continue;
        };
        if options.get("o").and_then(Node::scalar) == Some("bind") {
            // An empty device is the folder itself, as with Compose.
            if let Some(device) = options
                .get_mut("device")
                .filter(|device| device.scalar() == Some(""))
            {
                *device = text(".", device.at);
            }
            key(options, "device", folder);
        }
    }
}

fn service(node: &mut Node, folder: &str) {
    if let Some(build) = node.get_mut("build") {
        key(build, "context", folder);
        let contexts = build.get_mut("additional_contexts").and_then(Node::entries_mut);
        for entry in contexts.into_iter().flatten() {
            change(&mut entry.value, folder);
        }
    }
    for item in items(node, "env_file") {
        key(item, "path", folder);
    }
    for item in items(node, "label_file") {
        change(item, folder);
    }
    if let Some(extends) = node.get_mut("extends") {
        key(extends, "file", folder);
    }
    if let Some(develop) = node.get_mut("develop") {
        for item in items(develop, "watch") {
            key(item, "path", folder);
        }
    }
    for item in items(node, "volumes") {
        if item.get("type").and_then(Node::scalar) == Some("bind") {
            key(item, "source", folder);
        }
    }
}

fn items<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    let items = node.get_mut(key).and_then(Node::items_mut);
    items.into_iter().flatten()
}

fn key(node: &mut Node, name: &str, folder: &str) {
    if let Some(value) = node.get_mut(name) {
        change(value, folder);
    }
}

fn change(value: &mut Node, folder: &str) {
    let Kind::Scalar { text: path, .. } = &value.kind else {
        return;
    };
    let remote = path.contains("://")
        || ["service:", "github.com/", "git@"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
    let drive = path.chars().nth(1) == Some(':') || path.starts_with(r"\\");
    if !path.is_empty() && !remote && !drive {
        let (mark, at) = (value.mark, value.at);
        *value = text(join(folder, path), at);
        value.mark = mark;
    }
}
