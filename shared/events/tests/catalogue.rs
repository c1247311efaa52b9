//! The generated documents are what the types say.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../examples/catalogue/render.rs"]
mod render;
#[path = "../examples/catalogue/yaml.rs"]
mod yaml;

use berth_events::Event;
use std::{collections::BTreeSet, path::Path};

#[test]
fn the_documents_are_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in render::documents() {
        let committed = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        assert!(
            committed == text,
            "docs/{name} is out of date: run `cargo run -p berth-events --example catalogue`"
        );
    }
}

#[test]
fn every_name_is_a_noun_and_a_past_tense_and_there_once() {
    let mut seen = BTreeSet::new();
    for info in Event::catalogue() {
        assert!(seen.insert(info.name), "{} is there twice", info.name);
        let (noun, verb) = info.name.split_once('.').unwrap();
        assert_eq!(noun, info.category.as_str(), "{}", info.name);
        let past = verb.ends_with("ed")
            || ["lost", "healthy", "unhealthy", "running", "pulling", "stopping"].contains(&verb);
        assert!(past, "`{}` is not in the past tense", info.name);
        assert!(!info.reads.contains(&info.version), "{}", info.name);
    }
}

#[test]
fn every_type_says_what_it_means() {
    for info in Event::catalogue() {
        let schema = (info.schema)().to_value();
        assert!(
            schema["description"].is_string(),
            "{} has no doc comment",
            info.name
        );
    }
}

#[test]
fn yaml_quotes_what_could_be_something_else() {
    let value = serde_json::json!({ "a": "true", "b": ["x y", 1, {}], "c": { "$ref": "#/x" } });
    assert_eq!(
        yaml::document(&value),
        "a: \"true\"\nb:\n  - \"x y\"\n  - 1\n  - {}\nc:\n  \"$ref\": \"#/x\"\n"
    );
}
