//! Places in the file, and faults of its form that stand there.

use granit_parser::{ErrorKind, ScanError, Span};

/// A place in the file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub line: u32,
    pub column: u32,
    /// Last line of the value.
    pub end_line: u32,
    /// Which of the files that are read together.
    pub file: u16,
}

/// Why a text is no tree.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub code: &'static str,
    pub message: String,
    pub cure: String,
    pub at: Place,
}

impl Fault {
    pub(crate) fn new(
        code: &'static str,
        at: Place,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            cure: cure.into(),
            at,
        }
    }
}

/// A fault that the YAML parser found.
pub(crate) fn syntax(error: &ScanError, file: u16) -> Fault {
    let mark = error.marker();
    let at = Place {
        line: number(mark.line()),
        column: number(mark.col()) + 1,
        end_line: number(mark.line()),
        file,
    };
    if matches!(error.kind(), ErrorKind::UnknownAnchor) {
        let cure = "define it above with `&name`, or put the text into quotes";
        return Fault::new(
            "compose.alias",
            at,
            "the alias names no anchor that stands above it",
            cure,
        );
    }
    let cure = "check indentation, quotes and colons around this place; tabs cannot indent";
    Fault::new("compose.yaml", at, format!("not YAML: {}", error.info()), cure)
}

/// The place of what the parser has read.
pub(crate) fn place(span: &Span, file: u16) -> Place {
    Place {
        line: number(span.start.line()),
        column: number(span.start.col()) + 1,
        end_line: number(span.end.line()),
        file,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
