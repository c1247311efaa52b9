//! Patterns of constraints and affinities: text, glob, or `/regular expression/`.

use crate::limits::MAX_PATTERN_BYTES;
use regex::{Regex, RegexBuilder};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// The whole text.
    Text(String),
    /// With `*` (any characters) or `?` (one), or between slashes.
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the regular expression, in words.
    pub fn compile(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .filter(|inner| !inner.is_empty());
        let expression = match inner {
            Some(inner) => inner.to_owned(),
            None if text.contains(['*', '?']) => glob(text),
            None => return Ok(Self::Text(text.to_owned())),
        };
        RegexBuilder::new(&expression)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map(Self::Regex)
            .map_err(|error| error.to_string())
    }

    /// Whether a value fits.
    pub fn fits(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

fn glob(text: &str) -> String {
    let mut expression = String::from("^(?s:");
    for c in text.chars() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(")$");
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, value: &str) -> bool {
        Pattern::compile(pattern).unwrap().fits(value)
    }

    #[test]
    fn a_text_fits_only_itself() {
        assert!(fits("ssd", "ssd"));
        assert!(!fits("ssd", "ssd2"));
        assert!(!fits("a.b", "axb"));
    }

    #[test]
    fn a_glob_fits_the_whole_value() {
        assert!(fits("node-*", "node-12"));
        assert!(!fits("node-*", "my-node-12"));
        assert!(fits("n?", "n1"));
        assert!(!fits("a.*", "ab"));
    }

    #[test]
    fn between_slashes_stands_a_regular_expression() {
        assert!(fits("/^n[12]$/", "n2"));
        assert!(!fits("/^n[12]$/", "n3"));
        assert!(Pattern::compile("/[/").is_err());
    }
}
