//! Hostile files get a clear answer at once.

use crate::common::{Case, service};
use berth_compose::limits::{MAX_DIAGNOSTICS, MAX_FILE_BYTES};
use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

/// Far above what any of these files takes, and far below what one that is not stopped takes.
const LONGEST: Duration = Duration::from_secs(60);

/// The codes of the faults, each once.
fn codes(case: &Case, text: &str) -> Vec<String> {
    let start = Instant::now();
    let mut codes: Vec<String> = match case.parse(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| fault.code.to_string()).collect(),
    };
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    codes.dedup();
    codes
}

#[test]
fn a_file_of_10_mb() {
    let text = "# filler\n".repeat(10 * 1024 * 1024 / 9);
    let faults = Case::default().parse(&text).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].message.contains("more than 1048576"), "{}", faults[0]);
}

#[test]
fn the_largest_file_is_still_read() {
    let mut text = service("");
    text.push_str(&"# filler\n".repeat((MAX_FILE_BYTES - text.len()) / 9));
    assert!(codes(&Case::default(), &text).is_empty());
}

#[test]
fn alias_bombs() {
    let mut values = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        writeln!(
            values,
            "a{level}: &a{level} [{}]",
            [before.as_str(); 10].join(", ")
        )
        .unwrap();
    }
    assert_eq!(codes(&Case::default(), &values), ["compose.alias_budget"]);
    let long = format!("x-a: &a \"{}\"\nservices:\n", "y".repeat(100_000));
    let uses: String = (0..10_000).map(|n| format!("  s{n}: *a\n")).collect();
    assert_eq!(codes(&Case::default(), &(long + &uses)), ["compose.alias_budget"]);
    let mut merges = "x-0: &m0 {k0: v}\n".to_owned();
    for level in 1..200 {
        writeln!(
            merges,
            "x-{level}: &m{level} {{<<: [*m{0}, *m{0}], k{level}: v}}",
            level - 1
        )
        .unwrap();
    }
    let found = codes(&Case::default(), &merges);
    assert!(
        found == ["compose.no_services"] || found == ["compose.alias_budget"],
        "{found:?}"
    );
}

/// Each level is within the depth, and all together would be deeper than any stack.
#[test]
fn aliases_that_nest_deeper_and_deeper() {
    let mut text = "x-0: &a0 x\n".to_owned();
    for level in 1..2000 {
        writeln!(text, "x-{level}: &a{level} [[[[[[[[*a{}]]]]]]]]", level - 1).unwrap();
    }
    assert_eq!(codes(&Case::default(), &text), ["compose.depth"]);
    let anchors: String = (0..60).map(|level| format!("&a{level} [")).collect();
    let text = format!("x-a: {anchors}{}{}\n", "x,".repeat(50_000), "]".repeat(60));
    assert_eq!(codes(&Case::default(), &text), ["compose.alias_budget"]);
}

/// Files that are small and ask for a lot of comparing.
#[test]
fn long_lists_of_everything() {
    let case = Case::default();
    let lines = |count: usize, line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
    let keys = lines(45_000, &|n| format!("k{n}omman: x\n"));
    let warnings = case.read(&service(&keys)).warnings;
    assert_eq!(warnings.len(), MAX_DIAGNOSTICS + 1);
    let mounts = lines(45_000, &|n| format!("- /m{n}\n"));
    assert_eq!(
        codes(&case, &service(&format!("volumes:\n{mounts}"))),
        ["compose.mount_count"]
    );
    let volumes = lines(10_000, &|n| format!("  volume{n}:\n"));
    let mounts = lines(10_000, &|n| format!("- volum{n}:/m{n}\n"));
    let text = service(&format!("volumes:\n{mounts}")) + "volumes:\n" + &volumes;
    assert_eq!(codes(&case, &text)[0], "compose.undefined_volume");
    let ports = lines(1000, &|n| format!("- {0}:{0}\n", n + 1)) + &"- 1:1\n".repeat(40_000);
    assert!(codes(&case, &service(&format!("ports:\n{ports}"))).is_empty());
    let ranges = lines(400, &|n| {
        format!("  s{n}: {{image: a, ports: ['1-1000:1-1000'], network_mode: none}}\n")
    });
    assert!(codes(&case, &format!("services:\n{ranges}")).is_empty());
}

#[test]
fn variables_that_explode() {
    let mut dotenv = format!("A0={}\n", "x".repeat(1000));
    for level in 1..40 {
        writeln!(dotenv, "A{level}=${{A{0}}}${{A{0}}}", level - 1).unwrap();
    }
    let case = Case {
        dotenv: Some(dotenv),
        ..Case::default()
    };
    assert_eq!(codes(&case, &service("")), ["compose.env_file_syntax"]);
    let long = "x".repeat(100_000);
    let case = Case::with(&[("LONG", &long)]);
    let list: String = (0..1000).map(|n| format!("- A{n}=$LONG\n")).collect();
    assert_eq!(
        codes(&case, &service(&format!("environment:\n{list}"))),
        ["compose.interpolation"]
    );
    let deep = format!(
        "labels: {{a: \"{}{}\"}}",
        "${A:-".repeat(10_000),
        "}".repeat(10_000)
    );
    assert_eq!(
        codes(&Case::default(), &service(&deep)),
        ["compose.interpolation"]
    );
}

#[test]
fn deep_nesting() {
    let flow = format!("services: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(!codes(&Case::default(), &flow).is_empty());
    let mut block = String::new();
    for level in 0..200 {
        writeln!(block, "{}a:", " ".repeat(level)).unwrap();
    }
    assert_eq!(codes(&Case::default(), &block), ["compose.depth"]);
}

#[test]
fn too_many_services() {
    let services = |count: usize| {
        let list: String = (0..count)
            .map(|n| {
                format!(
                    "  s{n}: {{image: a, depends_on: [s{}]}}\n",
                    (n + 1).min(count - 1)
                )
            })
            .collect();
        format!(
            "services:\n{}",
            list.replace(&format!("depends_on: [s{}]}}\n", count - 1), "depends_on: []}\n")
        )
    };
    assert!(codes(&Case::default(), &services(500)).is_empty());
    assert_eq!(codes(&Case::default(), &services(501)), ["compose.service_count"]);
}

#[test]
fn faults_are_counted_when_they_are_too_many() {
    let list: String = (0..MAX_DIAGNOSTICS + 50).map(|_| "- 0:0\n").collect();
    let faults = Case::default()
        .parse(&service(&format!("ports:\n{list}")))
        .unwrap_err();
    assert_eq!(faults.len(), MAX_DIAGNOSTICS + 1);
    assert!(
        faults[MAX_DIAGNOSTICS].message.starts_with("50 further"),
        "{}",
        faults[MAX_DIAGNOSTICS]
    );
}

#[test]
fn env_files_are_limited_too() {
    let case = Case {
        files: BTreeMap::from([("a.env".to_owned(), "A=1\n".repeat(300_000))]),
        ..Case::default()
    };
    assert_eq!(
        codes(&case, &service("env_file: a.env")),
        ["compose.env_file_syntax"]
    );
    let case = Case {
        files: BTreeMap::from([("a.env".to_owned(), "A=1\n".repeat(50_000))]),
        ..Case::default()
    };
    let list = "- a.env\n".repeat(30_000);
    assert_eq!(
        codes(&case, &service(&format!("env_file:\n{list}")))
            .first()
            .unwrap(),
        "compose.env_file_budget"
    );
    let case = Case {
        files: BTreeMap::from([("a.env".to_owned(), "A='x\\\n".repeat(150_000))]),
        ..Case::default()
    };
    assert_eq!(
        codes(&case, &service("env_file: a.env"))[0],
        "compose.env_file_syntax"
    );
}
