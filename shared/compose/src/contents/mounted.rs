//! Where a service's containers find secrets and configs, and with which rights.

use super::{Content, Declared, SECRETS_FOLDER, SECTIONS, unstored};
use crate::{
    cx::{Cx, Item, shorten},
    keys,
    limits::MAX_FILES_OF_SERVICE,
    mounts::normal,
    tree::Kind,
};
use berth_events::spec::{EnvironmentValue, FileSpec, MountSpec};

/// The largest number of a user or group.
const MAX_ID: i64 = 4_294_967_294;
/// The largest set of permissions.
const MAX_MODE: u32 = 0o7777;

/// The files of a service's containers.
pub(crate) fn of_service(
    cx: &Cx,
    service: &Item<'_>,
    known: &Declared,
    mounts: &[MountSpec],
) -> Vec<FileSpec> {
    let mut files: Vec<FileSpec> = Vec::new();
    for section in SECTIONS {
        let Some(item) = service.child(section).filter(|item| !item.is_null()) else {
            continue;
        };
        for entry in cx.list(&item, &format!("{section}: [NAME]")) {
            let Some(file) = mounted(cx, section, &entry, known) else {
                continue;
            };
            let taken = files.iter().any(|other| other.target == file.target)
                || mounts.iter().any(|mount| mount.target == file.target);
            if taken {
                let message = format!("something else has the target `{}`", shorten(&file.target));
                cx.error(
                    &entry,
                    "compose.mount_target",
                    message,
                    "give it a path of its own",
                );
                continue;
            }
            files.push(file);
        }
        if files.len() > MAX_FILES_OF_SERVICE {
            let message = format!("the service has more than {MAX_FILES_OF_SERVICE} secrets and configs");
            cx.error(
                &item,
                "compose.content_count",
                message,
                "mount a volume that holds them",
            );
            break;
        }
    }
    files
}

fn mounted(cx: &Cx, section: &str, entry: &Item<'_>, known: &Declared) -> Option<FileSpec> {
    let long = matches!(entry.node.kind, Kind::Map(_));
    let source = if long {
        cx.check_keys(entry, &keys::MOUNTED);
        let Some(source) = entry.child("source") else {
            let message = format!("an entry of `{section}` names no `source`");
            cx.error(entry, "compose.content", message, "add `source: NAME`");
            return None;
        };
        source
    } else {
        entry.clone()
    };
    let name = cx.text(&source)?;
    let key = format!("{section}/{name}");
    let Some(content) = known.get(&key) else {
        let message = format!("there is no `{}` in the top-level `{section}`", shorten(&name));
        let names = known
            .keys()
            .filter_map(|key| key.strip_prefix(section)?.strip_prefix('/'));
        let cure = match cx.nearest(&name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "add `{section}: {{{}: {{file: ./FILE}}}}` at the top",
                shorten(&name)
            ),
        };
        cx.error(&source, "compose.undefined_content", message, cure);
        return None;
    };
    let get = |key: &str| entry.child(key).filter(|item| long && !item.is_null());
    let id = |key: &str| {
        let number = get(key).and_then(|item| cx.number(&item, 0, MAX_ID));
        number.and_then(|number| u32::try_from(number).ok())
    };
    let target = match get("target") {
        Some(item) => target(cx, section, &item)?,
        None => format!("{}{name}", folder(section)),
    };
    let content = content.as_ref()?;
    Some(FileSpec {
        target,
        content: match &content.content {
            Content::Text(text) if content.public => EnvironmentValue::Plain(text.clone()),
            Content::Text(_) | Content::Base64(_) | Content::Kept => EnvironmentValue::Secret(unstored(&key)),
        },
        uid: id("uid"),
        gid: id("gid"),
        mode: get("mode").and_then(|item| mode(cx, &item)),
    })
}

fn folder(section: &str) -> &'static str {
    if section == "secrets" { SECRETS_FOLDER } else { "/" }
}

/// A relative target is below the folder of its kind.
fn target(cx: &Cx, section: &str, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    let whole = if text.starts_with('/') {
        text
    } else {
        format!("{}{text}", folder(section))
    };
    match normal(&whole) {
        Some(path) if path != "/" && !path.contains(':') => Some(path),
        _ => {
            let message = format!("the target `{}` is no path of a file", shorten(&whole));
            cx.error(
                item,
                "compose.mount_target",
                message,
                "write an absolute path without `..` and `:`",
            );
            None
        }
    }
}

/// As YAML and Compose read it: octal with a zero before it or in quotes, else decimal.
fn mode(cx: &Cx, item: &Item<'_>) -> Option<u32> {
    let text = cx.text(item)?;
    let plain = matches!(item.node.kind, Kind::Scalar { plain: true, .. });
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    let number = match octal {
        Some("") => Some(0),
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None if plain => text.parse().ok(),
        None => u32::from_str_radix(&text, 8).ok(),
    };
    let good = number.filter(|mode| *mode <= MAX_MODE);
    if good.is_none() {
        let message = format!("`{}` are no permissions", shorten(&text));
        cx.error(
            item,
            "compose.mode",
            message,
            "write four octal digits, such as 0440",
        );
    }
    good
}
