//! A fault of a file: what is wrong, where, and what to do instead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file is used, but something in it has no effect.
    Warning,
}

/// One fault of a file. A warning never holds the value of an environment variable, so it may be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable name of the rule, such as `compose.port_range`.
    pub code: Cow<'static, str>,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub cure: String,
    /// Where in the structure: `services.web.ports[0]`. Empty: the whole file.
    pub path: String,
    /// Where in which file.
    pub file: String,
    /// Line, from 1. 0: the whole file.
    pub line: u32,
    /// Column, from 1. 0: the whole line or file.
    pub column: u32,
    /// That line of the file, environment values left out.
    pub snippet: String,
}

impl fmt::Display for Diagnostic {
    /// Renders the fault as a compiler does, over several lines without a final line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}[{}]: {}", self.code, self.message)?;
        let width = self.line.to_string().len();
        match (self.line, self.column) {
            (0, _) => write!(f, "{:width$}--> {}", "", self.file)?,
            (line, 0) => write!(f, "{:width$}--> {}:{line}", "", self.file)?,
            (line, column) => write!(f, "{:width$}--> {}:{line}:{column}", "", self.file)?,
        }
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        if self.line > 0 && !self.snippet.is_empty() {
            let indent = usize::try_from(self.column.saturating_sub(1)).unwrap_or(0);
            writeln!(f, "\n{:width$} |", "")?;
            write!(f, "{} | {}", self.line, self.snippet)?;
            if self.column > 0 && indent <= self.snippet.chars().count() {
                write!(f, "\n{:width$} | {:indent$}^", "", "")?;
            }
        }
        if !self.cure.is_empty() {
            write!(f, "\n{:width$} = help: {}", "", self.cure)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
