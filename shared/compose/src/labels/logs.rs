//! `log_store_*`, `log_ttl_*`, `logs`, `log.timestamp`, `log_project`.

use super::{
    Labels,
    value::{self, fault},
};
use crate::cx::{Cx, shorten};
use berth_events::spec::{LogSpec, LogStore};
use std::collections::BTreeMap;

const DEFAULT_TTL_DAYS: u32 = 2;
const MAX_TTL_DAYS: u64 = 365;
const MAX_STORE_NAME: usize = 63;

/// Reads all labels about logs.
pub(super) fn read(cx: &Cx, labels: &Labels<'_>) -> LogSpec {
    let mut stores = stores(cx, labels);
    for (name, text, item) in labels.below("log_ttl_") {
        let days = value::number(cx, item, text, 1, MAX_TTL_DAYS).and_then(|days| u32::try_from(days).ok());
        match (stores.get_mut(&name.to_lowercase()), days) {
            (Some(store), Some(days)) => store.ttl_days = days,
            (Some(_), None) => {}
            (None, _) => {
                let message = format!("log_ttl_{} has no log_store of that name", shorten(name));
                let cure = format!("add log_store_{}: stdout", shorten(name));
                cx.warn(item, "compose.label", message, cure);
            }
        }
    }
    let files = labels.get("logs").map(|(text, item)| {
        let files = text.split(',').map(str::trim).filter(|path| !path.is_empty());
        let (good, bad): (Vec<_>, Vec<_>) = files.map(str::to_owned).partition(|path| path.starts_with('/'));
        for path in bad {
            let message = format!("invalid log path: {}, must start with /", shorten(&path));
            fault(cx, item, message, "write the absolute path in the container");
        }
        good
    });
    LogSpec {
        stores,
        files: files.unwrap_or_default(),
        timestamp: labels.truth(cx, "log.timestamp"),
        project: labels.get("log_project").map(|(text, _)| text.to_owned()),
    }
}

fn stores(cx: &Cx, labels: &Labels<'_>) -> BTreeMap<String, LogStore> {
    let mut stores: BTreeMap<String, LogStore> = BTreeMap::new();
    let mut folders: BTreeMap<String, String> = BTreeMap::new();
    for (name, text, item) in labels.below("log_store_") {
        let name = name.to_lowercase();
        let good = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.len() > MAX_STORE_NAME || !name.chars().all(good) {
            let message = format!("invalid SLS label key: `{}`", shorten(&name));
            fault(
                cx,
                item,
                message,
                "use up to 63 letters, digits, `-` and `_` behind log_store_",
            );
            continue;
        }
        let source = text.trim();
        if source != "stdout" && !source.starts_with('/') {
            let message = format!(
                "invalid log path: {}, must be stdout or start with /",
                shorten(source)
            );
            fault(
                cx,
                item,
                message,
                "write stdout, or the absolute path in the container",
            );
            continue;
        }
        let folder = source.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        if let Some(folder) = folder
            && let Some(other) = folders.insert(folder.clone(), name.clone())
        {
            let message = format!(
                "the stores `{other}` and `{name}` share the directory `{}`",
                shorten(&folder)
            );
            fault(cx, item, message, "let the service write them to two directories");
            continue;
        }
        let store = LogStore {
            source: source.to_owned(),
            ttl_days: DEFAULT_TTL_DAYS,
        };
        stores.insert(name, store);
    }
    stores
}
