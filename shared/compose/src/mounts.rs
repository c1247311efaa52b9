//! `volumes` and `tmpfs` of a service, and paths.

use crate::{
    cx::{Cx, Item, shorten},
    keys,
    limits::MAX_MOUNTS,
    tree::Kind,
    units,
};
use berth_events::spec::{MountSource, MountSpec, VolumeSpec};
use std::collections::{BTreeMap, BTreeSet};

const TYPES: [&str; 3] = ["volume", "bind", "tmpfs"];
const CURE: &str = "write \"name:/path\", \"/path/on/node:/path\", or \"/path\" for an anonymous volume";

/// Which volumes there are and where relative paths begin.
pub(crate) struct Volumes<'a> {
    pub declared: &'a BTreeMap<String, VolumeSpec>,
    pub project_directory: Option<&'a str>,
}

/// Reads `volumes` and `tmpfs`.
pub(crate) fn read(
    cx: &Cx,
    volumes: Option<&Item<'_>>,
    tmpfs: Option<&Item<'_>>,
    known: &Volumes<'_>,
) -> Vec<MountSpec> {
    let mut mounts = Vec::new();
    let mut targets = BTreeSet::new();
    for (entry, is_tmpfs) in entries(cx, volumes, tmpfs) {
        let mount = match &entry.node.kind {
            _ if is_tmpfs => tmpfs_entry(cx, &entry),
            Kind::Map(_) => long(cx, &entry, known),
            Kind::Scalar { text, .. } => short(cx, &entry, text, known),
            Kind::Null | Kind::List(_) => {
                let message = format!("a volume must be a text or a mapping, and is {}", entry.what());
                cx.error(&entry, "compose.type", message, CURE);
                None
            }
        };
        let Some(mount) = mount else { continue };
        if targets.insert(mount.target.clone()) {
            mounts.push(mount);
        } else {
            let message = format!("two mounts have the target `{}`", shorten(&mount.target));
            cx.error(
                &entry,
                "compose.mount_target",
                message,
                "give each mount a path of its own",
            );
        }
        if mounts.len() > MAX_MOUNTS {
            let message = format!("the service has more than {MAX_MOUNTS} mounts");
            cx.error(
                &entry,
                "compose.mount_count",
                message,
                "mount a folder that holds several of them",
            );
            break;
        }
    }
    mounts
}

/// The entries of `volumes`, then those of `tmpfs`, which are marked.
fn entries<'n>(cx: &Cx, volumes: Option<&Item<'n>>, tmpfs: Option<&Item<'n>>) -> Vec<(Item<'n>, bool)> {
    let volumes = volumes.map(|item| cx.list(item, "volumes: [\"data:/data\"]"));
    let tmpfs = tmpfs.map(|item| match item.raw() {
        Some(_) => vec![item.clone()],
        None => cx.list(item, "tmpfs: [/run]"),
    });
    let volumes = volumes.into_iter().flatten().map(|entry| (entry, false));
    volumes
        .chain(tmpfs.into_iter().flatten().map(|entry| (entry, true)))
        .collect()
}

fn target(cx: &Cx, item: &Item<'_>, text: &str) -> Option<String> {
    if !text.starts_with('/') {
        let message = format!("the target `{}` is no absolute path", shorten(text));
        cx.error(item, "compose.mount_target", message, CURE);
        return None;
    }
    match normal(text).as_deref() {
        None | Some("/") => {
            let message = format!("the target `{}` would hide the whole image", shorten(text));
            cx.error(item, "compose.mount_target", message, "choose a path below /");
            None
        }
        Some(path) => Some(path.to_owned()),
    }
}

fn short(cx: &Cx, entry: &Item<'_>, text: &str, known: &Volumes<'_>) -> Option<MountSpec> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, mode) = match parts.as_slice() {
        [path] => (None, *path, ""),
        [source, path] => (Some(*source), *path, ""),
        [source, path, mode] => (Some(*source), *path, *mode),
        _ => {
            cx.error(
                entry,
                "compose.mount",
                format!("`{}` has too many colons", shorten(text)),
                CURE,
            );
            return None;
        }
    };
    let read_only = modes(cx, entry, mode);
    let source = match source {
        None => MountSource::Anonymous,
        Some(source) if source.starts_with(['/', '.', '~']) => MountSource::Bind {
            path: host_path(cx, entry, source, known)?,
            create: true,
        },
        Some(source) => volume(cx, entry, source, known)?,
    };
    Some(MountSpec {
        source,
        target: target(cx, entry, path)?,
        read_only,
        ..MountSpec::default()
    })
}

fn modes(cx: &Cx, entry: &Item<'_>, modes: &str) -> bool {
    let mut read_only = false;
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" | "Z" | "nocopy" | "cached" | "delegated" | "consistent" | "shared" | "slave" | "private"
            | "rshared" | "rslave" | "rprivate" => cx.warn(
                entry,
                "compose.mount_option",
                format!("the mount option `{mode}` has no effect"),
                "remove it; only ro and rw are used",
            ),
            other => cx.error(
                entry,
                "compose.mount_option",
                format!("`{}` is no option of a mount", shorten(other)),
                "write ro or rw after the target",
            ),
        }
    }
    read_only
}

fn volume(cx: &Cx, item: &Item<'_>, name: &str, known: &Volumes<'_>) -> Option<MountSource> {
    if known.declared.contains_key(name) {
        return Some(MountSource::Volume {
            name: name.to_owned(),
        });
    }
    let cure = match cx.nearest(name, known.declared.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "add `{}:` under the top-level `volumes:`, or begin a path with /",
            shorten(name)
        ),
    };
    cx.error(
        item,
        "compose.undefined_volume",
        format!("no volume `{}` is declared", shorten(name)),
        cure,
    );
    None
}

/// A path on the node: absolute, or below the project directory if the caller has told one.
fn host_path(cx: &Cx, item: &Item<'_>, path: &str, known: &Volumes<'_>) -> Option<String> {
    if path.starts_with('/') {
        let Some(path) = normal(path) else {
            let message = format!("`{}` leaves the root with ..", shorten(path));
            cx.error(item, "compose.bind_path", message, "write the path without ..");
            return None;
        };
        return Some(path);
    }
    if path.starts_with('~') {
        let message = format!(
            "`{}` names a home directory, and nodes have none of yours",
            shorten(path)
        );
        cx.error(
            item,
            "compose.bind_path",
            message,
            "write the absolute path, or use a named volume",
        );
        return None;
    }
    let Some(project) = known.project_directory else {
        let message = format!(
            "`{}` is a path on your machine; containers run on nodes",
            shorten(path)
        );
        let cure = "write an absolute path that is there on every node, use a named volume, or put the files into the image";
        cx.error(item, "compose.bind_path", message, cure);
        return None;
    };
    match within(path) {
        Some(below) => normal(&format!("{project}/{below}")),
        None => {
            let message = format!("`{}` leaves the project folder", shorten(path));
            cx.error(
                item,
                "compose.bind_path",
                message,
                "keep the path inside the project folder, or write it absolute",
            );
            None
        }
    }
}

fn long(cx: &Cx, entry: &Item<'_>, known: &Volumes<'_>) -> Option<MountSpec> {
    cx.check_keys(entry, &keys::MOUNT);
    for (key, table) in [
        ("bind", &keys::MOUNT_BIND),
        ("tmpfs", &keys::MOUNT_TMPFS),
        ("volume", &keys::MOUNT_VOLUME),
    ] {
        if let Some(item) = entry.child(key) {
            cx.map(&item, &format!("{key}: {{}}"));
            cx.check_keys(&item, table);
        }
    }
    let kind = match entry.child("type") {
        Some(item) => cx.word(&item, &TYPES)?,
        None => {
            cx.error(
                entry,
                "compose.mount",
                "a mount has no `type`",
                "write type: volume, bind or tmpfs",
            );
            return None;
        }
    };
    let Some(path) = entry.child("target") else {
        cx.error(
            entry,
            "compose.mount",
            "a mount has no `target`",
            "write target: /path/in/the/container",
        );
        return None;
    };
    let target = target(cx, &path, &cx.text(&path)?)?;
    let read_only = entry
        .child("read_only")
        .and_then(|item| cx.truth(&item))
        .unwrap_or(false);
    let source = match (kind, entry.child("source")) {
        (0, None) => MountSource::Anonymous,
        (0, Some(item)) => volume(cx, &item, &cx.text(&item)?, known)?,
        (1, Some(item)) => MountSource::Bind {
            path: host_path(cx, &item, &cx.text(&item)?, known)?,
            create: entry
                .child("bind")
                .and_then(|bind| bind.child("create_host_path"))
                .and_then(|item| cx.truth(&item))
                .unwrap_or(true),
        },
        (1, None) => {
            cx.error(
                entry,
                "compose.mount",
                "a bind mount has no `source`",
                "write source: /path/on/the/node",
            );
            return None;
        }
        (_, Some(item)) => {
            cx.error(&item, "compose.mount", "a tmpfs has no source", "remove `source`");
            return None;
        }
        (_, None) => tmpfs_options(cx, entry),
    };
    Some(MountSpec {
        source,
        target,
        read_only,
        ..MountSpec::default()
    })
}

fn tmpfs_options(cx: &Cx, entry: &Item<'_>) -> MountSource {
    let options = entry.child("tmpfs");
    let option = |name| options.as_ref().and_then(|item| item.child(name));
    MountSource::Tmpfs {
        size_bytes: option("size").and_then(|item| cx.bytes(&item)),
        mode: option("mode").and_then(|item| permissions(cx, &item, item.raw().unwrap_or("?"), false)),
    }
}

/// `0755`, `0o755` and, in the short form, `755` are octal; any other number is decimal, as in Compose.
fn permissions(cx: &Cx, item: &Item<'_>, text: &str, octal: bool) -> Option<u32> {
    const MOST: u32 = 0o7777;
    let digits = text
        .strip_prefix("0o")
        .or_else(|| text.strip_prefix('0').filter(|rest| !rest.is_empty()));
    let mode = match digits {
        Some(digits) => u32::from_str_radix(digits, 8),
        None if octal => u32::from_str_radix(text, 8),
        None => text.parse(),
    };
    match mode {
        Ok(mode) if mode <= MOST => Some(mode),
        _ => {
            let message = format!("`{}` is no mode of a file", shorten(text));
            cx.error(
                item,
                "compose.file_mode",
                message,
                "write it octal, such as 0755 or 01777",
            );
            None
        }
    }
}

/// `/run:size=64m,mode=1777`
fn tmpfs_entry(cx: &Cx, entry: &Item<'_>) -> Option<MountSpec> {
    let text = cx.text(entry)?;
    let (path, options) = text.split_once(':').unwrap_or((&text, ""));
    let (mut size_bytes, mut mode, mut read_only) = (None, None, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => match units::bytes(value) {
                Ok(bytes) => size_bytes = Some(bytes),
                Err(reason) => cx.error(
                    entry,
                    "compose.size",
                    format!("size: `{}` {reason}", shorten(value)),
                    "write size=64m",
                ),
            },
            ("mode", value) => mode = permissions(cx, entry, value, true),
            ("ro", "") => read_only = true,
            ("rw", "") => read_only = false,
            (name, _) => cx.warn(
                entry,
                "compose.mount_option",
                format!("the option `{}` of a tmpfs has no effect", shorten(name)),
                "remove it; size, mode, ro and rw are used",
            ),
        }
    }
    Some(MountSpec {
        source: MountSource::Tmpfs { size_bytes, mode },
        target: target(cx, entry, path)?,
        read_only,
        ..MountSpec::default()
    })
}

/// An absolute path without `.`, `..` and doubled slashes; `None` if it leaves the root.
pub(crate) fn normal(path: &str) -> Option<String> {
    within(path.trim_start_matches('/')).map(|below| format!("/{below}"))
}

/// A relative path without `.` and `..`; `None` if it leaves its folder or is absolute.
pub(crate) fn within(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
