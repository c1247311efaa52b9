//! `${VAR}` in texts, as Compose does it.
//!
//! `$V` and `${V}` (empty if unset), `${V:-x}` `${V-x}` (default), `${V:?m}` `${V?m}` (must be set),
//! `${V:+x}` `${V+x}` (if set), `$$` (a dollar sign). With the colon an empty value counts as unset.
//! `x` and `m` may hold further variables.

use crate::limits::{MAX_INTERPOLATION_DEPTH, MAX_VALUE_BYTES};
use std::collections::BTreeSet;

/// The text with values filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The text.
    pub text: String,
    /// Variables that were needed, had no default and are not set: they became empty.
    pub unset: BTreeSet<String>,
}

/// Why a text cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where in the text, in characters from 0.
    pub offset: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// `${` or a name that Compose does not know how to read.
    Syntax(String),
    /// `${NAME:?message}` and the variable is not set.
    Required {
        /// The variable.
        name: String,
        /// The message of the file.
        message: String,
    },
    /// Nested deeper than [`MAX_INTERPOLATION_DEPTH`] or longer than [`MAX_VALUE_BYTES`].
    TooLarge,
}

/// Fills in a text. `lookup` gives the value of a variable.
///
/// # Errors
/// [`Fault`]: the text is malformed, a required variable is unset, or the result would be too large.
pub fn interpolate<'v>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<std::borrow::Cow<'v, str>>,
) -> Result<Outcome, Fault> {
    if !text.contains('$') {
        return Ok(Outcome {
            text: text.to_owned(),
            unset: BTreeSet::new(),
        });
    }
    let characters: Vec<char> = text.chars().collect();
    let mut filler = Filler {
        characters: &characters,
        at: 0,
        lookup,
        unset: BTreeSet::new(),
    };
    let text = filler.text(0, false, true)?;
    Ok(Outcome {
        text,
        unset: filler.unset,
    })
}

struct Filler<'a, 'v> {
    characters: &'a [char],
    at: usize,
    lookup: &'a dyn Fn(&str) -> Option<std::borrow::Cow<'v, str>>,
    unset: BTreeSet<String>,
}

impl Filler<'_, '_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn syntax<T>(&self, offset: usize, message: &str) -> Result<T, Fault> {
        Err(Fault {
            kind: FaultKind::Syntax(message.to_owned()),
            offset,
        })
    }

    /// Reads up to the end, or up to the `}` that closes the variable around. `live`: the value is used,
    /// so that unset variables in it count.
    fn text(&mut self, depth: usize, inside: bool, live: bool) -> Result<String, Fault> {
        if depth > MAX_INTERPOLATION_DEPTH {
            return Err(Fault {
                kind: FaultKind::TooLarge,
                offset: self.at,
            });
        }
        let mut out = String::new();
        while let Some(character) = self.peek(0) {
            match character {
                '}' if inside => return Ok(out),
                '$' => out.push_str(&self.variable(depth, live)?),
                other => {
                    out.push(other);
                    self.at += 1;
                }
            }
            if out.len() > MAX_VALUE_BYTES {
                return Err(Fault {
                    kind: FaultKind::TooLarge,
                    offset: self.at,
                });
            }
        }
        Ok(out)
    }

    /// Reads what follows a dollar sign.
    fn variable(&mut self, depth: usize, live: bool) -> Result<String, Fault> {
        let start = self.at;
        match self.peek(1) {
            Some('$') => {
                self.at += 2;
                Ok("$".to_owned())
            }
            Some('{') => {
                self.at += 2;
                self.braced(start, depth, live)
            }
            Some(character) if is_name_start(character) => {
                self.at += 1;
                let name = self.name();
                Ok(self.plain(&name, live))
            }
            _ => self.syntax(start, "a single `$` begins a variable, and no name follows"),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.peek(0).filter(|c| is_name(*c)) {
            name.push(character);
            self.at += 1;
        }
        name
    }

    fn plain(&mut self, name: &str, live: bool) -> String {
        match (self.lookup)(name) {
            Some(value) if live => value.into_owned(),
            Some(_) => String::new(),
            None => {
                if live {
                    self.unset.insert(name.to_owned());
                }
                String::new()
            }
        }
    }

    fn braced(&mut self, start: usize, depth: usize, live: bool) -> Result<String, Fault> {
        let name = match self.peek(0) {
            Some(character) if is_name_start(character) => self.name(),
            _ => return self.syntax(start, "a variable's name begins with a letter or `_`"),
        };
        let colon = self.peek(0) == Some(':');
        let operator = self.peek(usize::from(colon));
        if operator == Some('}') && !colon {
            self.at += 1;
            return Ok(self.plain(&name, live));
        }
        let Some(operator @ ('-' | '?' | '+')) = operator else {
            return self.syntax(
                start,
                "after the name comes `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`",
            );
        };
        self.at += 1 + usize::from(colon);
        let value = (self.lookup)(&name)
            .filter(|value| !(colon && value.is_empty()))
            .map(std::borrow::Cow::into_owned);
        let used = live && (value.is_some() == (operator == '+'));
        let word = self.text(depth + 1, true, used)?;
        if self.peek(0) != Some('}') {
            return self.syntax(start, "the `${` is never closed by `}`");
        }
        self.at += 1;
        match (operator, value) {
            ('+', None) => Ok(String::new()),
            ('-', Some(value)) | ('?', Some(value)) => Ok(value),
            ('?', None) if live => Err(Fault {
                kind: FaultKind::Required { name, message: word },
                offset: start,
            }),
            _ => Ok(word),
        }
    }
}

fn is_name_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
