//! Where each setting comes from.

use super::{Config, Fault, KEYS, check};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// What settings may come from.
pub struct Source<'a> {
    /// Configuration file and its text, if there is one.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Options that were given, by name of the setting.
    pub options: BTreeMap<&'static str, String>,
}

/// Where a setting was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In the file.
    File,
    /// In the environment.
    Environment,
    /// As an option.
    Option,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Option => "option",
        })
    }
}

/// All settings as texts, each with its origin.
#[derive(Debug, Clone)]
pub struct Gathered {
    values: BTreeMap<&'static str, (String, Origin)>,
    file: String,
    faults: Vec<Fault>,
}

/// Takes each setting from the strongest source that has it.
pub fn gather(source: &Source<'_>) -> Gathered {
    let mut faults = Vec::new();
    let (file, in_file) = match &source.file {
        Some((path, text)) => (path.display().to_string(), read_file(path, text, &mut faults)),
        None => (String::new(), BTreeMap::new()),
    };
    let mut values = BTreeMap::new();
    for key in &KEYS {
        let option = source
            .options
            .get(key.name)
            .cloned()
            .map(|text| (text, Origin::Option));
        let environment =
            || (source.environment)(&environment_name(key.name)).map(|text| (text, Origin::Environment));
        let file = || in_file.get(key.name).cloned().map(|text| (text, Origin::File));
        let value = option.or_else(environment).or_else(file);
        values.insert(
            key.name,
            value.unwrap_or_else(|| (key.default.to_owned(), Origin::Default)),
        );
    }
    Gathered { values, file, faults }
}

/// Name of a setting in the environment.
pub(super) fn environment_name(key: &str) -> String {
    format!("BERTH_{}", key.to_uppercase())
}

fn read_file(path: &std::path::Path, text: &str, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let place = |key: &str| format!("`{key}` in {}", path.display());
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let message = error.to_string().trim_end().to_owned();
            faults.push(Fault {
                place: path.display().to_string(),
                message,
            });
            return BTreeMap::new();
        }
    };
    let mut found = BTreeMap::new();
    for (key, value) in table {
        if !KEYS.iter().any(|known| known.name == key) {
            let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            let message = format!("there is no such setting; there are {}", known.join(", "));
            faults.push(Fault {
                place: place(&key),
                message,
            });
            continue;
        }
        match plain(&value) {
            Some(text) => {
                found.insert(key, text);
            }
            None => {
                let message = "write a text, a number, true, false or a list of texts".to_owned();
                faults.push(Fault {
                    place: place(&key),
                    message,
                });
            }
        }
    }
    found
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(plain).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

impl Gathered {
    /// The text of a setting; empty if it is not set.
    pub fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |(text, _)| text.trim())
    }

    /// Every setting as it may be shown: passwords are left out.
    pub fn shown(&self) -> Vec<(&'static str, String, Origin)> {
        KEYS.iter()
            .filter_map(|key| {
                self.values
                    .get(key.name)
                    .map(|(text, origin)| (key.name, without_password(text), *origin))
            })
            .collect()
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn check(&self) -> Result<Config, Vec<Fault>> {
        check::check(self)
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.faults.clone()
    }

    /// Where a setting was said, for messages.
    pub(super) fn place(&self, key: &'static str) -> String {
        match self.values.get(key).map(|(_, origin)| *origin) {
            Some(Origin::Option) => format!("--{}", key.replace('_', "-")),
            Some(Origin::Environment) => environment_name(key),
            Some(Origin::File) => format!("`{key}` in {}", self.file),
            Some(Origin::Default) | None => format!("`{key}`"),
        }
    }
}

/// A URL whose password is not shown.
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}:***@{host}{path}")
        }
        None => text.to_owned(),
    }
}
