//! Colours where they are supported and wanted (`NO_COLOR`, `FORCE_COLOR`, pipes).

use owo_colors::{OwoColorize as _, Stream, Style};
use std::io::IsTerminal as _;

/// What a word means to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// Well.
    Good,
    /// On its way, or worth a look.
    Warn,
    /// Bad.
    Bad,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

/// A text in the colour of a tone, if standard output shows colours.
pub fn paint(text: &str, tone: Tone) -> String {
    let style = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => Style::new().green(),
        Tone::Warn => Style::new().yellow(),
        Tone::Bad => Style::new().red(),
        Tone::Dim => Style::new().dimmed(),
        Tone::Strong => Style::new().bold(),
    };
    text.if_supports_color(Stream::Stdout, |text| text.style(style))
        .to_string()
}

/// Whether a person looks at progress (standard error).
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// The word before an error, on standard error.
pub fn paint_error(text: &str) -> String {
    text.if_supports_color(Stream::Stderr, |text| text.style(Style::new().red().bold()))
        .to_string()
}
