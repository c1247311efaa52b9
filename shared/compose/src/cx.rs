//! What every part of the reading shares: the source text, the faults found so far, and typed access to
//! values. A fault never stops the reading, so that one run names all of them.

use crate::{
    diagnostic::{Diagnostic, Severity},
    limits::{MAX_DIAGNOSTICS, MAX_SNIPPET_CHARS},
    place::Place,
    suggest,
    tree::{Entry, Kind, Node},
};
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// Keys besides `environment` whose values no snippet shows.
const SECRET_KEYS: [&str; 3] = ["build", "configs", "secrets"];

/// The text of the file, line by line, with the columns from which a line holds an environment value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub file: String,
    lines: Vec<String>,
    hidden: BTreeMap<u32, u32>,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            hidden: BTreeMap::new(),
        }
    }

    /// Leaves out of snippets what may be secret: every value of an `environment:` (also of a misspelt one)
    /// and of the keys that hold arguments and contents.
    pub(crate) fn hide_secrets(&mut self, root: &Node) {
        let top = root
            .entries()
            .iter()
            .filter(|entry| SECRET_KEYS.contains(&entry.key.as_str()));
        let services = root.get("services").map(Node::entries).unwrap_or_default();
        let secret = |entry: &&Entry| {
            SECRET_KEYS.contains(&entry.key.as_str())
                || suggest::nearest(&entry.key, std::iter::once("environment")).is_some()
        };
        let within = services
            .iter()
            .flat_map(|service| service.value.entries())
            .filter(secret);
        for entry in top.chain(within) {
            self.hide(&entry.value);
        }
    }

    fn hide(&mut self, node: &Node) {
        match &node.kind {
            Kind::Null => {}
            Kind::Scalar { .. } => self.hide_scalar(node.at, 0),
            Kind::List(items) => {
                for item in items {
                    match &item.kind {
                        // The name before `=` may be seen; a quote before it moves it by one.
                        Kind::Scalar { text, .. } => {
                            let name = text.split_once('=').map_or(0, |(name, _)| name.chars().count());
                            self.hide_scalar(item.at, u32::try_from(name).unwrap_or(0));
                        }
                        Kind::Null | Kind::List(_) | Kind::Map(_) => self.hide(item),
                    }
                }
            }
            Kind::Map(entries) => entries.iter().for_each(|entry| self.hide(&entry.value)),
        }
    }

    fn hide_scalar(&mut self, at: Place, shown: u32) {
        self.hide_from(at.line, at.column + shown);
        for line in at.line + 1..=at.end_line {
            self.hide_from(line, 1);
        }
    }

    fn hide_from(&mut self, line: u32, column: u32) {
        let known = self.hidden.entry(line).or_insert(column);
        *known = column.min(*known);
    }

    fn line(&self, line: u32) -> &str {
        usize::try_from(line)
            .ok()
            .and_then(|line| self.lines.get(line.checked_sub(1)?))
            .map_or("", String::as_str)
    }

    pub(crate) fn snippet(&self, line: u32) -> String {
        let limit = self.hidden.get(&line).map_or(usize::MAX, |column| {
            usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX)
        });
        let text = self.line(line).trim_end();
        let mut kept: String = text.chars().take(limit.min(MAX_SNIPPET_CHARS)).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        kept
    }
}

/// The name of the file of a place.
pub(crate) fn file_of(sources: &[Source], at: Place) -> String {
    let source = sources.get(usize::from(at.file));
    source.map(|source| source.file.clone()).unwrap_or_default()
}

/// The line of a place.
pub(crate) fn snippet_of(sources: &[Source], at: Place) -> String {
    let source = sources.get(usize::from(at.file));
    source.map(|source| source.snippet(at.line)).unwrap_or_default()
}

/// The shared state of one reading.
pub(crate) struct Cx {
    sources: RefCell<Vec<Source>>,
    errors: RefCell<Kept>,
    warnings: RefCell<Kept>,
    /// Words compared so far to find those that were meant.
    pub comparisons: Cell<usize>,
}

/// Faults of one severity: those that are kept, and how many are not.
#[derive(Default)]
struct Kept {
    found: Vec<Diagnostic>,
    dropped: usize,
}

/// A value with its path. `key_at` is the place of its key, if it has one.
#[derive(Clone)]
pub(crate) struct Item<'n> {
    pub path: String,
    pub node: &'n Node,
    pub key: &'n str,
    pub key_at: Option<Place>,
}

impl Cx {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            sources: RefCell::new(vec![source]),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            comparisons: Cell::new(0),
        }
    }

    /// Adds a file that is read together with the first; the answer is its number.
    pub(crate) fn add_source(&self, source: Source) -> u16 {
        let mut sources = self.sources.borrow_mut();
        sources.push(source);
        u16::try_from(sources.len() - 1).unwrap_or(u16::MAX)
    }

    /// Leaves out of a file's snippets what may be secret.
    pub(crate) fn hide_secrets(&self, file: u16, root: &Node) {
        if let Some(source) = self.sources.borrow_mut().get_mut(usize::from(file)) {
            source.hide_secrets(root);
        }
    }

    /// The files, with what is hidden of them.
    pub(crate) fn take_sources(&self) -> Vec<Source> {
        self.sources.take()
    }

    /// Adds a fault; identical ones (an anchor used twice) only once.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        let kept = match diagnostic.severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        let mut kept = kept.borrow_mut();
        if kept.found.len() >= MAX_DIAGNOSTICS {
            kept.dropped += 1;
        } else if !kept.found.contains(&diagnostic) {
            kept.found.push(diagnostic);
        }
    }

    pub(crate) fn report(
        &self,
        severity: Severity,
        code: &'static str,
        path: &str,
        at: Place,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.push(Diagnostic {
            severity,
            code: Cow::Borrowed(code),
            message: message.into(),
            cure: cure.into(),
            path: path.to_owned(),
            file: file_of(&self.sources.borrow(), at),
            line: at.line,
            column: at.column,
            snippet: snippet_of(&self.sources.borrow(), at),
        });
    }

    pub(crate) fn error(
        &self,
        item: &Item<'_>,
        code: &'static str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.report(Severity::Error, code, &item.path, item.at(), message, cure);
    }

    pub(crate) fn warn(
        &self,
        item: &Item<'_>,
        code: &'static str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let at = item.key_at.unwrap_or(item.node.at);
        self.report(Severity::Warning, code, &item.path, at, message, cure);
    }

    /// All faults in the order of the file, errors and warnings apart.
    pub(crate) fn finish(&self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let file = file_of(&self.sources.borrow(), Place::default());
        let errors = self.errors.take().finish(Severity::Error, &file);
        (errors, self.warnings.take().finish(Severity::Warning, &file))
    }
}

impl Kept {
    fn finish(self, severity: Severity, file: &str) -> Vec<Diagnostic> {
        let mut all = self.found;
        all.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if self.dropped > 0 {
            all.push(Diagnostic {
                severity,
                code: Cow::Borrowed("compose.too_many_faults"),
                message: format!("{} further faults are not shown", self.dropped),
                cure: "cure the ones above first".to_owned(),
                path: String::new(),
                file: file.to_owned(),
                line: 0,
                column: 0,
                snippet: String::new(),
            });
        }
        all
    }
}

impl<'n> Item<'n> {
    pub(crate) fn root(node: &'n Node) -> Self {
        Self {
            path: String::new(),
            node,
            key: "",
            key_at: None,
        }
    }

    /// Where a fault of the value is shown: an empty value has no place of its own.
    pub(crate) fn at(&self) -> Place {
        match (&self.node.kind, self.key_at) {
            (Kind::Null | Kind::Map(_) | Kind::List(_), Some(place)) => place,
            _ => self.node.at,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    pub(crate) fn raw(&self) -> Option<&'n str> {
        match &self.node.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn child(&self, key: &str) -> Option<Item<'n>> {
        match &self.node.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key).map(|entry| Item {
                path: join(&self.path, key),
                node: &entry.value,
                key: &entry.key,
                key_at: Some(entry.key_at),
            }),
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> Vec<Item<'n>> {
        match &self.node.kind {
            Kind::Map(entries) => entries
                .iter()
                .map(|entry| Item {
                    path: join(&self.path, &entry.key),
                    node: &entry.value,
                    key: &entry.key,
                    key_at: Some(entry.key_at),
                })
                .collect(),
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => Vec::new(),
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> Vec<Item<'n>> {
        match &self.node.kind {
            Kind::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| Item {
                    path: format!("{}[{index}]", self.path),
                    node,
                    key: "",
                    key_at: None,
                })
                .collect(),
            Kind::Null | Kind::Scalar { .. } | Kind::Map(_) => Vec::new(),
        }
    }

    /// What the value is, in the words of a message.
    pub(crate) fn what(&self) -> String {
        match &self.node.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", shorten(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A text short enough for a message.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
