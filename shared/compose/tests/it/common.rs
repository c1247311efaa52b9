//! The one place where tests touch the library's API.
// A helper of tests fails like a test.
#![allow(clippy::panic, clippy::unwrap_used)]

use berth_compose::{Diagnostic, Input, Parsed, Severity};
use std::{collections::BTreeMap, fmt::Write};

/// A file and what it is read with.
#[derive(Default)]
pub struct Case {
    pub environment: BTreeMap<String, String>,
    pub dotenv: Option<String>,
    pub files: BTreeMap<String, String>,
    pub binaries: BTreeMap<String, String>,
    pub project_directory: Option<String>,
    pub overrides: Vec<String>,
    pub profiles: Vec<String>,
    /// Digests of built images; `None`: they are built later.
    pub built: Option<BTreeMap<String, String>>,
}

impl Case {
    pub fn with(variables: &[(&str, &str)]) -> Self {
        Self {
            environment: table(variables),
            ..Self::default()
        }
    }

    pub fn files(files: &[(&str, &str)]) -> Self {
        Self {
            files: table(files),
            ..Self::default()
        }
    }

    pub fn parse(&self, text: &str) -> Result<Parsed, Vec<Diagnostic>> {
        berth_compose::parse(&Input {
            file_name: "compose.yaml",
            text,
            project_name: None,
            environment: &self.environment,
            dotenv: self.dotenv.as_deref(),
            files: &self.files,
            binaries: &self.binaries,
            overrides: &self.overrides,
            profiles: &self.profiles,
            project_directory: self.project_directory.as_deref(),
            builds: match &self.built {
                Some(digests) => berth_compose::Builds::Done(digests),
                None => berth_compose::Builds::Later,
            },
        })
    }

    /// What a file without errors says.
    pub fn read(&self, text: &str) -> Parsed {
        self.parse(text)
            .unwrap_or_else(|faults| panic!("{text}\n{}", list(&faults)))
    }

    /// What reading gives, as text: the faults, or the file that means the same followed by the warnings.
    pub fn check(&self, text: &str) -> String {
        match self.parse(text) {
            Err(faults) => list(&faults),
            Ok(parsed) => {
                let rendered = berth_compose::render(parsed.name.as_deref(), &parsed.spec, &|_, _, _| None);
                let again = Self::default().read(&rendered);
                assert_eq!(again.spec, parsed.spec, "{rendered}");
                rendered + &list(&parsed.warnings)
            }
        }
    }
}

fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// One line for each fault and one for its cure.
pub fn list(faults: &[Diagnostic]) -> String {
    let mut out = String::new();
    for fault in faults {
        let severity = if fault.severity == Severity::Error {
            "E"
        } else {
            "W"
        };
        let file = if fault.file == "compose.yaml" {
            ""
        } else {
            &fault.file
        };
        let Diagnostic {
            code,
            message,
            cure,
            path,
            line,
            column,
            ..
        } = fault;
        writeln!(
            out,
            "{severity} {file}{line}:{column} [{code}] {path}: {message}\n    {cure}"
        )
        .unwrap();
    }
    out
}

/// The faults of a service `web` that has these lines, or what it means.
pub fn check(lines: &str) -> String {
    Case::default().check(&service(lines))
}

/// A file with one service `web` that has these lines beside an image.
pub fn service(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n    image: nginx\n{lines}")
}

/// What a service `web` with these lines means, without what every such service has.
pub fn reads(lines: &str) -> String {
    let all = check(lines);
    let all = all
        .strip_prefix("services:\n  web:\n    image: nginx\n")
        .unwrap_or(&all);
    let dedented = all.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    dedented.collect::<Vec<_>>().join("\n")
}
