//! Variables and `.env` files.

use berth_compose::{Input, dotenv, interpolate::interpolate, referenced_files_of};
use proptest::prelude::*;
use std::{borrow::Cow, collections::BTreeMap};

/// `SET` is `v`, `EMPTY` is empty, nothing else is set.
fn lookup(name: &str) -> Option<Cow<'static, str>> {
    match name {
        "SET" => Some("v".into()),
        "EMPTY" => Some("".into()),
        _ => None,
    }
}

fn fill(text: &str) -> String {
    match interpolate(text, &lookup) {
        Ok(outcome) if outcome.unset.is_empty() => outcome.text,
        Ok(outcome) => format!("{} unset {:?}", outcome.text, outcome.unset),
        Err(fault) => format!("{fault:?}"),
    }
}

#[test]
fn every_form() {
    for (text, wanted) in [
        ("$SET ${SET} $SETx", "v v  unset {\"SETx\"}"),
        ("${SET:-d} ${EMPTY:-d} ${NO:-d}", "v d d"),
        ("${SET-d} ${EMPTY-d} ${NO-d}", "v  d"),
        ("${SET:+a} ${EMPTY:+a} ${NO:+a}", "a  "),
        ("${SET+a} ${EMPTY+a} ${NO+a}", "a a "),
        ("${SET:?m} ${SET?m} [${EMPTY?m}]", "v v []"),
        ("$$SET $$$SET $${SET}", "$SET $v ${SET}"),
        ("${NO:-${NO2:-${SET}}}", "v"),
        ("${NO-a}b} ${SET:+${EMPTY:-x}}", "ab} x"),
        ("${NO:-}", ""),
        ("${SET:-${NO}}", "v"),
        ("${SET:-${NO:?never asked}}", "v"),
    ] {
        assert_eq!(fill(text), wanted, "{text}");
    }
}

#[test]
fn faults_name_their_place() {
    for (text, wanted) in [
        (
            "a ${NO:?who}",
            "Fault { kind: Required { name: \"NO\", message: \"who\" }, offset: 2 }",
        ),
        (
            "${EMPTY:?}",
            "Fault { kind: Required { name: \"EMPTY\", message: \"\" }, offset: 0 }",
        ),
        (
            "$",
            "Fault { kind: Syntax(\"a single `$` begins a variable, and no name follows\"), offset: 0 }",
        ),
        (
            "${A",
            "Fault { kind: Syntax(\"after the name comes `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`\"), offset: 0 }",
        ),
        (
            "ä${A:-x",
            "Fault { kind: Syntax(\"the `${` is never closed by `}`\"), offset: 1 }",
        ),
        (
            "${A:}",
            "Fault { kind: Syntax(\"after the name comes `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`\"), offset: 0 }",
        ),
    ] {
        assert_eq!(fill(text), wanted, "{text}");
    }
}

fn env(text: &str) -> String {
    match dotenv::read(text, &|name| (name == "OUT").then(|| "outer".to_owned())) {
        Ok(outcome) => format!("{:?} {:?}", outcome.values, outcome.unset),
        Err(faults) => format!("{faults:?}"),
    }
}

#[test]
fn dotenv_files() {
    for (text, wanted) in [
        (
            "A=1\n\n# c\n  B = two words  # note\r\nC=a#b\n",
            "{\"A\": \"1\", \"B\": \"two words\", \"C\": \"a#b\"} []",
        ),
        (
            "export A=1\nexport\tB: x\nOUT\nNONE\n",
            "{\"A\": \"1\", \"B\": \"x\", \"OUT\": \"outer\"} []",
        ),
        (
            "A='$x #\\n'\nB=\"a\\n\\t\\\"\\$x\" # c\n",
            "{\"A\": \"$x #\\\\n\", \"B\": \"a\\n\\t\\\"$x\"} []",
        ),
        (
            "A=\"two\nlines\"\nB=$A$OUT$NO\n",
            "{\"A\": \"two\\nlines\", \"B\": \"two\\nlinesouter\"} [(3, \"NO\")]",
        ),
        ("OUT=mine\nB=$OUT\n", "{\"B\": \"outer\", \"OUT\": \"mine\"} []"),
        (
            "A=\nB=\"\"\nC= # only a note\n",
            "{\"A\": \"\", \"B\": \"\", \"C\": \"\"} []",
        ),
        ("\u{feff}A=1", "{\"A\": \"1\"} []"),
    ] {
        assert_eq!(env(text), wanted, "{text}");
    }
    for text in ["a b", "1A=x", "A=\"x", "A='x' y", "=x", "A=${"] {
        assert!(env(text).starts_with("[Fault"), "{text}: {}", env(text));
        assert!(!env("A='hunter2' y").contains("hunter2"));
    }
}

#[test]
fn files_to_send_along() {
    let text = "services:\n  a: {env_file: [./x/../a.env, {path: b.env, required: false}, ../c.env]}\n  b: {env_file: '${F:-d}.env'}\n";
    let (environment, files) = (
        BTreeMap::from([("F".to_owned(), "f".to_owned())]),
        BTreeMap::new(),
    );
    let input = Input {
        file_name: "compose.yaml",
        text,
        project_name: None,
        environment: &environment,
        dotenv: None,
        files: &files,
        binaries: &BTreeMap::new(),
        overrides: &[],
        profiles: &[],
        project_directory: None,
        builds: berth_compose::Builds::Refused,
    };
    assert_eq!(referenced_files_of(&input), ["a.env", "b.env", "f.env"]);
    assert!(referenced_files_of(&Input { text: "{", ..input }).is_empty());
}

proptest! {
    #[test]
    fn text_without_dollar_stays(text in "[^$]*") {
        prop_assert_eq!(fill(&text), text);
    }

    #[test]
    fn doubled_dollars_protect_any_text(text in any::<String>()) {
        prop_assert_eq!(fill(&text.replace('$', "$$")), text);
    }

    #[test]
    fn nothing_panics(text in "(\\$|\\{|\\}|:|-|\\?|\\+|A|SET|EMPTY|ä| |\"|'|=|#|\n|\\\\){0,40}") {
        let _ = interpolate(&text, &lookup);
        let _ = env(&text);
    }

    #[test]
    fn dotenv_keeps_quoted_values(value in "[^'\\\\]*") {
        let read = dotenv::read(&format!("A='{value}'\nB=1\n"), &|_| None).unwrap();
        prop_assert_eq!(&read.values["A"], &value);
        prop_assert_eq!(&read.values["B"], "1");
    }
}
