//! How two versions of an application's file differ, key by key.

use crate::limits::{MAX_KEY_CHANGES, MAX_SHOWN_VALUE_CHARS};
use berth_events::{
    KeyChange, ModelChange,
    spec::{ApplicationSpec, SecretRef},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is shown of a value that only the vault has.
const HIDDEN: &str = "(secret)";

/// What differs between two versions. `same` are values of the vault that are the same in the next version
/// there.
pub(super) fn difference(
    before: Option<&ApplicationSpec>,
    after: &ApplicationSpec,
    same: &BTreeSet<SecretRef>,
) -> ModelChange {
    let none = ApplicationSpec::default();
    let before = before.unwrap_or(&none);
    let (old, new) = (&before.services, &after.services);
    let missing_in =
        |there: &std::collections::BTreeMap<String, _>, name: &&String| !there.contains_key(*name);
    let mut keys = Keys {
        same,
        found: Vec::new(),
    };
    for (name, spec) in new {
        if let Some(was) = old.get(name) {
            keys.compare(
                &format!("services.{name}"),
                json(was).as_ref(),
                json(spec).as_ref(),
            );
        }
    }
    let shared = |spec: &ApplicationSpec| {
        let mut rest = spec.clone();
        rest.services.clear();
        json(&rest)
    };
    keys.compare("", shared(before).as_ref(), shared(after).as_ref());
    keys.found.truncate(MAX_KEY_CHANGES);
    ModelChange {
        added: new.keys().filter(|name| missing_in(old, name)).cloned().collect(),
        removed: old.keys().filter(|name| missing_in(new, name)).cloned().collect(),
        keys: keys.found,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Option<Value> {
    serde_json::to_value(value).ok()
}

struct Keys<'a> {
    same: &'a BTreeSet<SecretRef>,
    found: Vec<KeyChange>,
}

impl Keys<'_> {
    fn compare(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) if !is_leaf(before) && !is_leaf(after) => {
                let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for name in names {
                    self.compare(&below(path, name), old.get(name), new.get(name));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new)))
                if old.len() == new.len() && new.iter().all(Value::is_object) =>
            {
                for (at, (old, new)) in old.iter().zip(new).enumerate() {
                    self.compare(&format!("{path}[{at}]"), Some(old), Some(new));
                }
            }
            // A whole part that comes or goes is told key by key.
            (None, Some(Value::Object(new))) if !is_leaf(after) => {
                for (name, value) in new {
                    self.compare(&below(path, name), None, Some(value));
                }
            }
            (Some(Value::Object(old)), None) if !is_leaf(before) => {
                for (name, value) in old {
                    self.compare(&below(path, name), Some(value), None);
                }
            }
            _ if self.is_same_secret(before, after) => {}
            _ => self.found.push(KeyChange {
                path: path.to_owned(),
                before: before.map(shown),
                after: after.map(shown),
            }),
        }
    }

    /// A value that was compared with this very one and is the same, in another version.
    fn is_same_secret(&self, before: Option<&Value>, after: Option<&Value>) -> bool {
        let secret = |value: Option<&Value>| {
            let secret = value?.get("secret")?;
            serde_json::from_value::<SecretRef>(secret.clone()).ok()
        };
        let known = secret(before).filter(|before| self.same.contains(before));
        known.is_some_and(|before| {
            secret(after).is_some_and(|after| (before.secret_id, before.key) == (after.secret_id, after.key))
        })
    }
}

/// A value that is plain or in the vault: one thing, whatever its parts are.
fn is_leaf(value: Option<&Value>) -> bool {
    let Some(Value::Object(fields)) = value else {
        return false;
    };
    fields.len() == 1 && (fields.contains_key("secret") || fields.contains_key("plain"))
}

/// The path of a key; parts that the file does not have are left out.
fn below(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "container") if path.matches('.').count() == 1 && path.starts_with("services.") => {
            path.to_owned()
        }
        (path, name) => format!("{path}.{name}"),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("secret") => HIDDEN.to_owned(),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("plain") => {
            fields.get("plain").map(shown).unwrap_or_default()
        }
        other => other.to_string(),
    };
    let text = text.replace(['\n', '\r'], "⏎");
    if text.chars().count() <= MAX_SHOWN_VALUE_CHARS {
        return text;
    }
    let cut: String = text.chars().take(MAX_SHOWN_VALUE_CHARS).collect();
    format!("{cut}…")
}
