//! Every version of every event that was ever written is read for ever (invariant 9).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use berth_events::{Event, TypeInfo};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn versions(info: &TypeInfo) -> impl Iterator<Item = u16> {
    info.reads.iter().copied().chain([info.version])
}

fn file_name(name: &str, version: u16) -> String {
    format!("{name}.v{version}.json")
}

fn golden(name: &str, version: u16) -> String {
    let path = folder().join(file_name(name, version));
    fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "`{}` is missing ({error}): write one realistic example of the event",
            path.display()
        )
    })
}

#[test]
fn every_version_ever_written_has_an_example_that_is_read() {
    for info in Event::catalogue() {
        for version in versions(&info) {
            let text = golden(info.name, version);
            let event = Event::decode(info.category, info.name, version, &text)
                .unwrap_or_else(|error| panic!("{} v{version}: {error:?}", info.name));
            assert_eq!(event.type_name(), info.name);
            assert_eq!(event.schema_version(), info.version, "{} is upcast", info.name);
        }
    }
}

#[test]
fn what_is_written_now_is_what_the_example_says() {
    for info in Event::catalogue() {
        let text = golden(info.name, info.version);
        let event = Event::decode(info.category, info.name, info.version, &text).unwrap();
        let wanted: serde_json::Value = serde_json::from_str(&text).unwrap();
        let written: serde_json::Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        assert_eq!(written, wanted, "{} v{}", info.name, info.version);
    }
}

#[test]
fn an_old_version_means_what_it_meant() {
    let info = Event::catalogue()
        .into_iter()
        .find(|info| info.name == "node.drain_started")
        .unwrap();
    let event = Event::decode(info.category, info.name, 1, &golden(info.name, 1)).unwrap();
    let Event::Node(berth_events::NodeEvent::DrainStarted(drain)) = event else {
        panic!("not a drain");
    };
    assert!(!drain.force, "before version 2 no drain was forced");
}

#[test]
fn no_file_is_without_a_type() {
    let known: BTreeSet<String> = Event::catalogue()
        .iter()
        .flat_map(|info| {
            versions(info)
                .map(|version| file_name(info.name, version))
                .collect::<Vec<_>>()
        })
        .collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            known.contains(&name),
            "`{name}` is the example of no version in the catalogue"
        );
    }
}

#[test]
fn a_version_from_the_future_is_refused_by_name() {
    let info = &Event::catalogue()[0];
    let error = Event::decode(info.category, info.name, 99, "{}").unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
}
