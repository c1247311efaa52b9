//! Every file of the reference collection of Compose files, beside what Docker Compose says of it.
//!
//! The collection is reference data and no part of this repository: it is looked for beside it (see
//! [`collection`]), or where `BERTH_COMPOSE_EXAMPLES` says. Without it there is nothing to compare with, and
//! the test says so.
// A helper of tests fails like a test.
#![allow(clippy::unwrap_used)]

use crate::common::list;
use berth_compose::{Input, config};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const DIFFERENCES: &str = include_str!("../../../../docs/compose-differences.md");
/// How many files the collection has.
const FILES: usize = 127;
/// Most rounds in which files name further files.
const ROUNDS: usize = 20;

/// The folder of the collection, beside the repository or one of the folders around it.
fn collection() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("BERTH_COMPOSE_EXAMPLES") {
        return Some(folder.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = here
        .ancestors()
        .map(|above| above.join("shared/reference/docker/compose-examples"));
    places.into_iter().find(|place| place.is_dir())
}

/// The folder of all reference data of Docker.
pub fn reference() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("BERTH_COMPOSE_REFERENCE") {
        return Some(folder.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = here
        .ancestors()
        .map(|above| above.join("shared/reference/docker"));
    places
        .into_iter()
        .find(|place| place.join("compose-spec").is_dir())
}

fn answers(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            answers(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "config") {
            out.push(path);
        }
    }
}

/// The name that Compose gives a project after its folder.
fn project_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_string_lossy().to_lowercase();
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// What Berth says of a file: the model, or its faults.
fn ours(file: &Path, folder_name: &str) -> Result<Value, String> {
    let folder = file.parent().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let dotenv = fs::read_to_string(folder.join(".env")).ok();
    let environment = BTreeMap::from([("PWD".to_owned(), folder_name.to_owned())]);
    let mut files = BTreeMap::new();
    let name = file.file_name().unwrap().to_string_lossy();
    for round in 0.. {
        let input = Input {
            file_name: &name,
            text: &text,
            project_name: None,
            environment: &environment,
            dotenv: dotenv.as_deref(),
            files: &files,
            binaries: &BTreeMap::new(),
            overrides: &[],
            profiles: &[],
            project_directory: Some(folder_name),
            builds: berth_compose::Builds::Refused,
        };
        let wanted = berth_compose::referenced_files_of(&input);
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|path| !files.contains_key(path) && folder.join(path).is_file())
            .collect();
        if new.is_empty() || round == ROUNDS {
            let read = config::normalise(&input, &project_name(folder));
            return read.map(|read| read.model).map_err(|faults| list(&faults));
        }
        for path in new {
            let text = fs::read_to_string(folder.join(&path)).unwrap();
            files.insert(path, text);
        }
    }
    unreachable!()
}

/// How the two answers differ; `None`: they do not.
fn difference(answer: &Path, root: &Path) -> Option<String> {
    let text = fs::read_to_string(answer).unwrap();
    let file = answer.with_extension("");
    let below = file.strip_prefix(root).unwrap();
    let project = below.components().next().unwrap().as_os_str().to_string_lossy();
    let place = Path::new("/reference").join(below);
    let folder = place.parent().unwrap().to_string_lossy().into_owned();
    let ours = ours(&file, &folder);
    if text.starts_with("ERROR") {
        return ours
            .ok()
            .map(|model| format!("Compose: {text}\nBerth: {model:#}"));
    }
    let text = text
        .replace("$DIR", &folder)
        .replace("$ROOT", &format!("/reference/{project}"));
    let theirs: Value = serde_json::from_str(&text).unwrap();
    match ours {
        Ok(ours) if ours == theirs => None,
        Ok(ours) => Some(first_difference("", &theirs, &ours)),
        Err(faults) => Some(format!("Berth: {faults}")),
    }
}

fn first_difference(path: &str, theirs: &Value, ours: &Value) -> String {
    if let (Value::Object(a), Value::Object(b)) = (theirs, ours) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
        let lines = differing.map(|key| match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => first_difference(&format!("{path}.{key}"), a, b),
            (a, b) => format!("{path}.{key}: Compose {a:?}, Berth {b:?}"),
        });
        return lines.collect::<Vec<_>>().join("\n");
    }
    format!("{path}: Compose {theirs}, Berth {ours}")
}

/// The files that the page of differences lists.
fn listed() -> BTreeSet<String> {
    let lines = DIFFERENCES.lines().filter_map(|line| line.strip_prefix("| `"));
    lines
        .filter_map(|line| line.split_once('`'))
        .map(|(file, _)| file.to_owned())
        .collect()
}

#[test]
fn every_example_means_what_compose_says() {
    let Some(root) = collection() else {
        eprintln!("skipped: the collection of Compose files is not there; set BERTH_COMPOSE_EXAMPLES");
        return;
    };
    let mut all = Vec::new();
    answers(&root, &mut all);
    assert_eq!(all.len(), FILES, "{}", root.display());
    let listed = listed();
    let (mut said, mut same, mut absent) = (Vec::new(), 0, 0);
    for answer in &all {
        let file = answer
            .with_extension("")
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        // Of some, the collection has the answer only.
        if !answer.with_extension("").is_file() {
            absent += 1;
            continue;
        }
        match (difference(answer, &root), listed.contains(&file)) {
            (None, false) => same += 1,
            (Some(_), true) => {}
            (None, true) => said.push(format!(
                "{file}: listed in docs/compose-differences.md, and does not differ"
            )),
            (Some(difference), false) => said.push(format!("{file}:\n{difference}")),
        }
    }
    assert!(
        said.is_empty(),
        "{same} of {FILES} are the same\n{}",
        said.join("\n\n")
    );
    let differing = listed.iter().filter(|file| root.join(file).is_file()).count();
    assert_eq!(
        same + differing + absent,
        FILES,
        "the page lists files that are not there"
    );
}
