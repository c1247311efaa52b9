//! How results are printed: tables for people, JSON and YAML for programs.

mod style;
mod table;
mod units;

pub use style::{Tone, is_terminal, paint, paint_error};
pub use table::{Cell, Table, cell, toned};
pub use units::{bytes, cores, percent, word};

use crate::exit::{Failure, Outcome};
use clap::ValueEnum;
use serde::Serialize;
use std::io::Write as _;

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document; one a line where results come as a stream
    Json,
    /// One YAML document
    Yaml,
}

/// Prints results in the wanted form.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// The form.
    pub format: Format,
}

impl Printer {
    /// Whether results are for people.
    pub fn for_people(self) -> bool {
        self.format == Format::Table
    }

    /// Prints a value; `table` makes its form for people.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print<T: Serialize>(self, value: &T, table: impl FnOnce(&T) -> String) -> Outcome {
        let text = self.render(value, table)?;
        print_text(&text)
    }

    /// The text that [`Printer::print`] prints.
    ///
    /// # Errors
    /// The value has no form in the wanted format.
    pub fn render<T: Serialize>(self, value: &T, table: impl FnOnce(&T) -> String) -> Outcome<String> {
        match self.format {
            Format::Table => Ok(table(value)),
            Format::Json => serde_json::to_string_pretty(value)
                .map_err(|error| Failure::from_error("print as JSON", &error)),
            // Through a JSON value: what has a JSON form only, such as raw parts of events, gets its YAML form so.
            Format::Yaml => {
                let plain = serde_json::to_value(value)
                    .map_err(|error| Failure::from_error("print as YAML", &error))?;
                serde_saphyr::to_string(&plain).map_err(|error| Failure::from_error("print as YAML", &error))
            }
        }
    }

    /// Prints one item of a stream: a line of JSON, a YAML document, or a line for people.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn item<T: Serialize>(self, value: &T, line: impl FnOnce(&T) -> String) -> Outcome {
        let text = match self.format {
            Format::Table => line(value),
            Format::Json => {
                serde_json::to_string(value).map_err(|error| Failure::from_error("print as JSON", &error))?
            }
            Format::Yaml => format!("---\n{}", self.render(value, |_| String::new())?),
        };
        print_text(&text)
    }

    /// Prints a line for people only, on standard error where it cannot spoil results.
    pub fn note(self, text: &str) {
        if self.for_people() {
            eprintln!("{text}");
        }
    }

    /// Prints what a write has done.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn done<T: Serialize>(self, value: &T, line: &str) -> Outcome {
        self.print(value, |_| line.to_owned())
    }
}

/// Prints text and a line break. A reader that has gone (`| head`) ends the command without a complaint.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_text(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(text.trim_end_matches('\n').as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(Failure::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Thing {
        name: &'static str,
        raw: Box<serde_json::value::RawValue>,
    }

    fn thing() -> Thing {
        Thing {
            name: "web",
            raw: serde_json::value::RawValue::from_string("{\"ports\":[80,443]}".into()).unwrap(),
        }
    }

    fn rendered(format: Format) -> String {
        Printer { format }
            .render(&thing(), |thing| {
                let mut table = Table::new(&["NAME", "PORTS"]);
                table.row([cell(thing.name), cell("80, 443")]);
                table.row([cell("a-longer-name"), cell("")]);
                table.render()
            })
            .unwrap()
    }

    #[test]
    fn every_format_has_its_form() {
        insta::assert_snapshot!("table", rendered(Format::Table));
        insta::assert_snapshot!("json", rendered(Format::Json));
        insta::assert_snapshot!("yaml", rendered(Format::Yaml));
    }
}
