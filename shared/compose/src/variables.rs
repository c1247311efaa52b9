//! The variables of a reading, and filling them into the tree.

use crate::{
    cx::{Cx, Item},
    diagnostic::{Diagnostic, Severity},
    dotenv,
    interpolate::interpolate,
    limits::MAX_EXPANDED_BYTES,
    place::Place,
    tree::{Kind, Node},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Name under which messages speak of the `.env` file.
pub(crate) const DOTENV_NAME: &str = ".env";

/// What `${NAME}` may name: the caller's variables win over `.env`.
#[derive(Clone)]
pub(crate) struct Variables<'a> {
    given: &'a BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
    /// Value of `COMPOSE_PROJECT_NAME` unless it is set.
    pub project: Option<String>,
}

impl<'a> Variables<'a> {
    /// Reads `.env`, if there is one.
    pub(crate) fn new(
        given: &'a BTreeMap<String, String>,
        dotenv: Option<&str>,
        project: Option<&str>,
        cx: &Cx,
    ) -> Self {
        let dotenv = dotenv.map_or_else(BTreeMap::new, |text| {
            env_file(cx, DOTENV_NAME, "", text, &|name| given.get(name).cloned())
        });
        Self {
            given,
            dotenv,
            project: project.map(str::to_owned),
        }
    }

    /// Adds those of a further environment file that are not set yet.
    pub(crate) fn add(&mut self, cx: &Cx, file: &str, text: &str) {
        let values = env_file(cx, file, "", text, &|name| self.get(name).map(str::to_owned));
        for (name, value) in values {
            self.dotenv.entry(name).or_insert(value);
        }
    }

    /// One of `.env`.
    pub(crate) fn dotenv(&self, name: &str) -> Option<&String> {
        self.dotenv.get(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let project = self.project.as_ref().filter(|_| name == "COMPOSE_PROJECT_NAME");
        let set = self.given.get(name).or_else(|| self.dotenv.get(name));
        set.or(project).map(String::as_str)
    }

    /// Fills variables into every scalar of the tree except below top-level `x-…` keys.
    pub(crate) fn fill(&self, cx: &Cx, root: &mut Node) {
        let mut fill = Fill {
            variables: self,
            cx,
            bytes: 0,
            path: String::new(),
            unset: BTreeSet::new(),
        };
        if let Kind::Map(entries) = &mut root.kind {
            for entry in entries.iter_mut().filter(|entry| !entry.key.starts_with("x-")) {
                fill.path = entry.key.clone();
                fill.node(&mut entry.value);
            }
        }
    }
}

struct Fill<'a, 'v> {
    variables: &'a Variables<'v>,
    cx: &'a Cx,
    bytes: usize,
    /// Where the walk is.
    path: String,
    /// Variables already warned of.
    unset: BTreeSet<String>,
}

impl Fill<'_, '_> {
    fn node(&mut self, node: &mut Node) {
        let (at, here) = (node.at, self.path.len());
        match &mut node.kind {
            Kind::Null => {}
            Kind::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    self.node(item);
                    self.path.truncate(here);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    self.path.push('.');
                    self.path.push_str(&entry.key);
                    self.node(&mut entry.value);
                    self.path.truncate(here);
                }
            }
            Kind::Scalar { text, plain } => {
                if text.contains('$') {
                    self.scalar(at, text, *plain);
                    // What a variable brings in is a text, also if it looks like a number.
                    *plain = false;
                }
            }
        }
    }

    fn scalar(&mut self, at: Place, text: &mut String, plain: bool) {
        if self.bytes > MAX_EXPANDED_BYTES {
            return;
        }
        let lookup = |name: &str| self.variables.get(name).map(Cow::Borrowed);
        match interpolate(text, &lookup) {
            Ok(outcome) => {
                *text = outcome.text;
                self.bytes += text.len();
                if self.bytes > MAX_EXPANDED_BYTES {
                    let message = format!("variables fill the file beyond {MAX_EXPANDED_BYTES} bytes");
                    let cure = "use shorter values, or put them into files of a volume";
                    self.cx.report(
                        Severity::Error,
                        "compose.interpolation",
                        &self.path,
                        at,
                        message,
                        cure,
                    );
                }
                for name in outcome.unset {
                    self.warn_unset(at, name);
                }
            }
            Err(fault) => {
                let mut at = at;
                if plain && at.line == at.end_line {
                    at.column += u32::try_from(fault.offset).unwrap_or(0);
                }
                let (message, cure) = dotenv::explain(&fault);
                self.cx.report(
                    Severity::Error,
                    "compose.interpolation",
                    &self.path,
                    at,
                    message,
                    cure,
                );
            }
        }
    }

    fn warn_unset(&mut self, at: Place, name: String) {
        let message = format!("the variable `{name}` is not set; it becomes empty");
        let cure =
            format!("set {name}, give a default with ${{{name}:-default}}, or demand it with ${{{name}:?}}");
        if self.unset.insert(name) {
            self.cx.report(
                Severity::Warning,
                "compose.unset_variable",
                &self.path,
                at,
                message,
                cure,
            );
        }
    }
}

/// Reads an environment file; its faults name that file and never show a value.
pub(crate) fn env_file(
    cx: &Cx,
    file: &str,
    path: &str,
    text: &str,
    outer: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    let fault = |severity, code, line: u32, message: String, cure: String| Diagnostic {
        severity,
        code: Cow::Borrowed(code),
        message,
        cure,
        path: path.to_owned(),
        file: file.to_owned(),
        line,
        column: u32::from(line > 0),
        snippet: name_of_line(&lines, line),
    };
    match dotenv::read(text, outer) {
        Ok(outcome) => {
            for (line, name) in outcome.unset {
                let message = format!("the variable `{name}` is not set; it becomes empty");
                let cure = format!("set {name}, or write $${name} if a dollar sign is meant");
                cx.push(fault(
                    Severity::Warning,
                    "compose.unset_variable",
                    line,
                    message,
                    cure,
                ));
            }
            outcome.values
        }
        Err(faults) => {
            for f in faults {
                cx.push(fault(
                    Severity::Error,
                    "compose.env_file_syntax",
                    f.line,
                    f.message,
                    f.cure,
                ));
            }
            BTreeMap::new()
        }
    }
}

/// The name of the variable of a line, without its value. A line that has none shows nothing.
fn name_of_line(lines: &[&str], line: u32) -> String {
    let index = usize::try_from(line).unwrap_or(0).checked_sub(1);
    let line = index.and_then(|index| lines.get(index)).copied().unwrap_or("");
    line.split_once('=').map_or(String::new(), |(name, _)| {
        format!("{}=…", crate::cx::shorten(name))
    })
}

impl Cx {
    /// The name of an entry that a container's environment cannot have.
    pub(crate) fn bad_variable_name(&self, item: &Item<'_>, name: &str) -> bool {
        let bad = name.is_empty() || name.contains(['\0', '=']) || name.chars().any(char::is_whitespace);
        if bad {
            let message = format!(
                "`{}` is no name of an environment variable",
                crate::cx::shorten(name)
            );
            self.error(
                item,
                "compose.environment_name",
                message,
                "write NAME=value or NAME: value without spaces in the name",
            );
        }
        bad
    }
}
