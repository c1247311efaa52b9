//! `.dockerignore`, with the meaning that Docker gives it: from the root of the context, the last pattern that fits
//! a path or a folder above it decides.

use crate::exit::{Failure, Outcome};
use regex::Regex;

/// The most patterns of a file.
const MAX_PATTERNS: usize = 10_000;

/// What is left out.
#[derive(Debug, Default)]
pub struct Ignored(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    fits: Regex,
    /// Begins with `!`: taken in again.
    back: bool,
}

impl Ignored {
    /// Reads the lines of a file.
    ///
    /// # Errors
    /// A line is no pattern.
    pub fn read(text: &str) -> Outcome<Self> {
        let mut patterns = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let wrong = |why: &str| {
                let line = number + 1;
                Failure::usage(format!(".dockerignore line {line}: {why}"))
            };
            let (text, back) = match line.trim().strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line.trim(), false),
            };
            if text.is_empty() {
                return Err(wrong("`!` stands alone").cure("name what is taken in again"));
            }
            if patterns.len() >= MAX_PATTERNS {
                return Err(wrong("there are too many patterns"));
            }
            let fits = Regex::new(&expression(&clean(text)));
            let fits = fits.map_err(|_| wrong(&format!("`{text}` is no pattern")))?;
            patterns.push(Pattern { fits, back });
        }
        Ok(Self(patterns))
    }

    /// Whether a path below the context is left out.
    pub fn has(&self, path: &str) -> bool {
        let mut ignored = false;
        for pattern in &self.0 {
            if ignored == pattern.back && fits_here_or_above(&pattern.fits, path) {
                ignored = !pattern.back;
            }
        }
        ignored
    }

    /// Whether something below a folder that is left out may be taken in again.
    pub fn takes_back(&self) -> bool {
        self.0.iter().any(|pattern| pattern.back)
    }
}

fn fits_here_or_above(fits: &Regex, path: &str) -> bool {
    let mut here = path;
    loop {
        if fits.is_match(here) {
            return true;
        }
        match here.rsplit_once('/') {
            Some((above, _)) => here = above,
            None => return false,
        }
    }
}

/// A path without `.`, `..` and doubled or outer slashes.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Go's file patterns, and `**` for any number of folders, as a regular expression.
fn expression(pattern: &str) -> String {
    let mut out = "^".to_owned();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                let slash = rest.next_if_eq(&'/').is_some();
                out.push_str(if rest.peek().is_none() && !slash {
                    ".*"
                } else {
                    "(.*/)?"
                });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' | ']' | '^' | '-' => out.push(c),
            '\\' => {
                if let Some(next) = rest.next() {
                    out.push_str(&regex::escape(&next.to_string()));
                }
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_docker_says() {
        let cases = [
            ("node_modules", "node_modules/a/b.js", true),
            ("node_modules", "web/node_modules/a", false),
            ("**/node_modules", "web/node_modules/a", true),
            ("**/node_modules", "node_modules", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("*.md\n!README.md", "README.md", false),
            ("!README.md\n*.md", "README.md", true),
            ("docs/**", "docs/a/b", true),
            ("docs/**/x", "docs/x", true),
            ("docs/**/x", "docs/a/b/x", true),
            ("/build", "build", true),
            ("./build/", "build/x", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c].txt", "b.txt", true),
            ("[^a-c].txt", "b.txt", false),
            ("# note\n\n", "# note", false),
            ("a+b(1).txt", "a+b(1).txt", true),
            ("*\n!src", "src/main.rs", false),
            ("*\n!src/main.rs", "src/main.rs", false),
            ("*\n!src/main.rs", "src/lib.rs", true),
            ("**", "anything/at/all", true),
        ];
        for (text, path, ignored) in cases {
            assert_eq!(
                Ignored::read(text).unwrap().has(path),
                ignored,
                "{text:?} on {path}"
            );
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let fault = Ignored::read("a\n!").unwrap_err();
        assert!(fault.message.contains("line 2"), "{fault}");
        let fault = Ignored::read("[z").unwrap_err();
        assert!(fault.message.contains("line 1: `[z` is no pattern"), "{fault}");
    }
}
