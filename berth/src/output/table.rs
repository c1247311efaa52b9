//! Tables without borders, as wide as their words.

use super::style::{Tone, paint};
use comfy_table::{ContentArrangement, presets};

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell without colour.
pub fn cell(text: impl ToString) -> Cell {
    toned(text, Tone::Plain)
}

/// A cell in the colour of a tone.
pub fn toned(text: impl ToString, tone: Tone) -> Cell {
    Cell {
        text: text.to_string(),
        tone,
    }
}

/// A table that grows by rows.
pub struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// A table with headers.
    pub fn new(headers: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if !headers.is_empty() {
            inner.set_header(headers.iter().map(|header| paint(header, Tone::Strong)));
        }
        Self { inner }
    }

    /// A table of names and values.
    pub fn fields() -> Self {
        Self::new(&[])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.inner
            .add_row(cells.into_iter().map(|cell| paint(&cell.text, cell.tone)));
    }

    /// Adds a name and its value, unless the value is empty.
    pub fn field(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !value.is_empty() {
            self.row([toned(name, Tone::Dim), cell(value)]);
        }
    }

    /// The text, without spaces at the ends of lines.
    pub fn render(&self) -> String {
        let text = self.inner.to_string();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
            .collect();
        lines.join("\n")
    }
}
