//! Files of containers as `secrets` and `configs`.

use crate::{
    contents::{BASE64, SECRETS_FOLDER, SECTIONS},
    render::{Entries, variable},
    yaml::Yaml,
};
use berth_events::spec::{ContainerSpec, EnvironmentValue, FileSpec};
use std::collections::BTreeMap;

/// Gives what the vault has, if it may be shown.
type Reveal<'a> = dyn Fn(&str, &str, &EnvironmentValue) -> Option<String> + 'a;

/// The contents of a file, as they are met.
#[derive(Default)]
pub(crate) struct Contents {
    declared: BTreeMap<(&'static str, String), Held>,
}

/// What one holds.
#[derive(Clone, PartialEq, Eq)]
enum Held {
    /// A text of the release.
    Public(String),
    /// What the vault has, shown.
    Shown(String),
    /// Bytes that the vault has, shown in base64.
    Encoded(String),
    /// Only the vault has it.
    Kept,
}

impl Contents {
    /// Section and name of a file's content.
    fn name(&mut self, file: &FileSpec, reveal: &Reveal<'_>) -> (&'static str, String) {
        match &file.content {
            EnvironmentValue::Secret(reference) => {
                let key = reference.key.strip_suffix(BASE64).unwrap_or(&reference.key);
                let (section, name) = key.split_once('/').unwrap_or(("configs", key));
                let known = SECTIONS.iter().find(|known| **known == section);
                let key = (known.copied().unwrap_or("configs"), name.to_owned());
                let held = match reveal("", &reference.key, &file.content) {
                    None => Held::Kept,
                    Some(text) if reference.key.ends_with(BASE64) => Held::Encoded(text),
                    Some(text) => Held::Shown(text),
                };
                self.declared.entry(key.clone()).or_insert(held);
                key
            }
            EnvironmentValue::Plain(text) => {
                let name = self.free(&file.target, text);
                self.declared
                    .insert(("configs", name.clone()), Held::Public(text.clone()));
                ("configs", name)
            }
        }
    }

    /// A name for a public text: the last part of its path, with a number if another one has it.
    fn free(&self, target: &str, text: &str) -> String {
        let last = target.rsplit('/').next().unwrap_or_default();
        let good = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let last: String = last.chars().map(good).take(40).collect();
        let last = last.trim_start_matches(['.', '_', '-']);
        let base = if last.is_empty() { "config" } else { last };
        let mut name = base.to_owned();
        for number in 2..=self.declared.len() + 2 {
            let taken = self
                .declared
                .keys()
                .any(|(section, known)| *section == "configs" && known.eq_ignore_ascii_case(&name));
            let same = self.declared.get(&("configs", name.clone())) == Some(&Held::Public(text.to_owned()));
            if !taken || same {
                break;
            }
            name = format!("{base}-{number}");
        }
        name
    }

    /// Writes what was met.
    pub(crate) fn declared(self, top: &mut Entries) {
        for section in SECTIONS {
            let entries = self.declared.iter().filter(|((known, _), _)| *known == section);
            let entries = entries.map(|((_, name), held)| {
                let mut out = Entries::default();
                match held {
                    Held::Public(text) => {
                        out.add("content", Yaml::Text(text.clone()));
                        out.flag("x-berth-public", true);
                    }
                    Held::Shown(text) => out.add("x-berth-content", Yaml::Text(text.clone())),
                    Held::Encoded(text) => out.add("x-berth-base64", Yaml::Text(text.clone())),
                    Held::Kept => {
                        let kind = section.trim_end_matches('s').to_uppercase();
                        let name = format!("{kind}_{}", variable(name).to_uppercase());
                        out.add("environment", Yaml::text(name));
                        out.flag("x-berth-kept", true);
                    }
                }
                (name.clone(), out.map())
            });
            top.nested(section, Yaml::Map(entries.collect()));
        }
    }
}

/// Writes the files of a service.
pub(crate) fn mounted(
    out: &mut Entries,
    container: &ContainerSpec,
    contents: &mut Contents,
    reveal: &Reveal<'_>,
) {
    let mut lists: BTreeMap<&str, Vec<Yaml>> = BTreeMap::new();
    for file in &container.files {
        let (section, name) = contents.name(file, reveal);
        let folder = if section == "secrets" { SECRETS_FOLDER } else { "/" };
        let plain = file.uid.is_none() && file.gid.is_none() && file.mode.is_none();
        let entry = if plain && file.target == format!("{folder}{name}") {
            Yaml::text(name)
        } else {
            let mut entry = Entries::default();
            entry.add("source", Yaml::text(name));
            entry.add("target", Yaml::text(&file.target));
            for (key, id) in [("uid", file.uid), ("gid", file.gid)] {
                if let Some(id) = id {
                    entry.add(key, Yaml::text(id.to_string()));
                }
            }
            if let Some(mode) = file.mode {
                entry.add("mode", Yaml::raw(format!("0{mode:o}")));
            }
            entry.map()
        };
        lists.entry(section).or_default().push(entry);
    }
    for section in SECTIONS {
        out.nested(section, Yaml::List(lists.remove(section).unwrap_or_default()));
    }
}
