//! `.env` files, as Compose reads them: quotes, `export`, comments, values over several lines, variables.

use crate::{
    interpolate::{Fault as InterpolationFault, FaultKind, interpolate},
    limits::{MAX_DIAGNOSTICS, MAX_ENV_FILE_BYTES},
};
use std::{borrow::Cow, collections::BTreeMap};

/// Why a line is no `NAME=value`. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub cure: String,
}

/// What a file sets, and the variables that it used although they are not set (line and name).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Values by name.
    pub values: BTreeMap<String, String>,
    /// Line and name of each unset variable used in a value.
    pub unset: Vec<(u32, String)>,
}

/// Reads a file. `outer` gives the values that win over the file's own when its values use variables.
///
/// # Errors
/// Every line that cannot be read, at most [`MAX_DIAGNOSTICS`] of them.
pub fn read(text: &str, outer: &dyn Fn(&str) -> Option<String>) -> Result<Outcome, Vec<Fault>> {
    if text.len() > MAX_ENV_FILE_BYTES {
        return Err(vec![Fault {
            line: 0,
            message: format!(
                "the file has {} bytes, more than {MAX_ENV_FILE_BYTES}",
                text.len()
            ),
            cure: "keep only variables in it".to_owned(),
        }]);
    }
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
        out: Outcome::default(),
        bytes: 0,
        faults: Vec::new(),
    };
    while !reader.rest.is_empty() && reader.faults.len() < MAX_DIAGNOSTICS {
        reader.entry(outer);
    }
    if reader.faults.is_empty() {
        Ok(reader.out)
    } else {
        Err(reader.faults)
    }
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
    out: Outcome,
    /// All values so far, so that values made of values cannot explode.
    bytes: usize,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    fn take_line(&mut self) -> &'t str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn fault(&mut self, line: u32, message: impl Into<String>, cure: &str) {
        self.faults.push(Fault {
            line,
            message: message.into(),
            cure: cure.to_owned(),
        });
    }

    fn entry(&mut self, outer: &dyn Fn(&str) -> Option<String>) {
        let start = self.line;
        let before = self.rest;
        let line = self.take_line();
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return;
        }
        let body = match trimmed.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
            _ => trimmed,
        };
        let Some(separator) = body.find(['=', ':']) else {
            self.inherited(start, body, outer);
            return;
        };
        let name = body[..separator].trim_end();
        if !is_name(name) {
            self.bad_name(start);
            return;
        }
        let value = &body[separator + 1..];
        let from_value = before.get(line.len() - value.len()..).unwrap_or("");
        let trimmed_value = value.trim_start();
        match trimmed_value.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let skipped = value.len() - trimmed_value.len();
                let quoted = from_value.get(skipped + 1..).unwrap_or("");
                self.quoted(start, name, quote, quoted, outer);
            }
            _ => self.set(start, name, unquoted(value), true, outer),
        }
    }

    /// A name alone takes its value from outside.
    fn inherited(&mut self, line: u32, body: &str, outer: &dyn Fn(&str) -> Option<String>) {
        let name = body.split(" #").next().unwrap_or("").trim_end();
        if !is_name(name) {
            self.bad_name(line);
            return;
        }
        if let Some(value) = outer(name) {
            self.out.values.insert(name.to_owned(), value);
        }
    }

    fn bad_name(&mut self, line: u32) {
        let message = "this line is no `NAME=value`";
        self.fault(
            line,
            message,
            "write NAME=value, with letters, digits, `_`, `-` and `.` in the name; begin a comment with #",
        );
    }

    /// Reads up to the closing quote, over line breaks.
    fn quoted(
        &mut self,
        start: u32,
        name: &str,
        quote: char,
        text: &'t str,
        outer: &dyn Fn(&str) -> Option<String>,
    ) {
        let mut escaped = false;
        let mut end = None;
        for (index, character) in text.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == quote => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
        }
        let Some(end) = end else {
            // Where the value ends is unknown, so what follows cannot be read either.
            self.rest = "";
            self.fault(
                start,
                format!("the quote of `{name}` is never closed"),
                "close it, or leave the quotes away",
            );
            return;
        };
        let (inner, after) = (&text[..end], &text[end + 1..]);
        let breaks = inner.matches('\n').count();
        self.line = start.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        self.rest = after;
        let tail = self.take_line().trim();
        if !tail.is_empty() && !tail.starts_with('#') {
            self.fault(
                start,
                format!("text follows the closing quote of `{name}`"),
                "put the whole value into the quotes",
            );
            return;
        }
        if quote == '"' {
            self.set(start, name, &unescape(inner), true, outer);
        } else {
            self.set(start, name, inner, false, outer);
        }
    }

    fn set(
        &mut self,
        line: u32,
        name: &str,
        value: &str,
        fill: bool,
        outer: &dyn Fn(&str) -> Option<String>,
    ) {
        let filled = if fill {
            let values = &self.out.values;
            interpolate(value, &|key| {
                outer(key)
                    .map(Cow::Owned)
                    .or_else(|| values.get(key).map(|text| Cow::Owned(text.clone())))
            })
        } else {
            Ok(crate::interpolate::Outcome {
                text: value.to_owned(),
                unset: Default::default(),
            })
        };
        match filled {
            Ok(outcome) => {
                self.bytes = self.bytes.saturating_add(outcome.text.len());
                if self.bytes > MAX_ENV_FILE_BYTES {
                    self.fault(
                        line,
                        "the values grow beyond the limit when filled in",
                        "use fewer variables in variables",
                    );
                    self.rest = "";
                    return;
                }
                let unset = outcome.unset.into_iter().map(|key| (line, key));
                self.out.unset.extend(unset);
                self.out.values.insert(name.to_owned(), outcome.text);
            }
            Err(fault) => {
                let (message, cure) = explain(&fault);
                self.fault(line, format!("`{name}`: {message}"), &cure);
            }
        }
    }
}

/// Message and cure of a fault of interpolation.
pub(crate) fn explain(fault: &InterpolationFault) -> (String, String) {
    match &fault.kind {
        FaultKind::Syntax(message) => (
            message.clone(),
            "write ${NAME}, or $$ for a dollar sign".to_owned(),
        ),
        FaultKind::Required { name, message } if message.is_empty() => (
            format!("the variable `{name}` must be set"),
            format!("set {name} in the environment or in .env"),
        ),
        FaultKind::Required { name, message } => (
            format!("the variable `{name}` must be set: {message}"),
            format!("set {name} in the environment or in .env"),
        ),
        FaultKind::TooLarge => (
            "the text is nested too deep or too long when variables are filled in".to_owned(),
            "shorten it".to_owned(),
        ),
    }
}

/// A value without quotes ends at ` #` and loses the spaces round it.
fn unquoted(value: &str) -> &str {
    let trimmed = value.trim();
    if trimmed.starts_with('#') {
        return if value.starts_with('#') {
            comment_cut(trimmed)
        } else {
            ""
        };
    }
    comment_cut(trimmed)
}

fn comment_cut(value: &str) -> &str {
    let cut = [" #", "\t#"].iter().filter_map(|mark| value.find(mark)).min();
    cut.map_or(value, |index| value[..index].trim_end())
}

/// Escapes of a double-quoted value. `\$` becomes `$$`, which interpolation then turns into `$`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(other @ ('"' | '\\' | '\'')) => out.push(other),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

/// A name that a container's environment may have.
pub(crate) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
