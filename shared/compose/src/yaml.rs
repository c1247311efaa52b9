//! Writing YAML: a small value and its text. Every text is written so that it is read back as it is.

/// A value to write.
#[derive(Debug, Clone)]
pub(crate) enum Yaml {
    /// A text; quoted where needed, dollar signs doubled, so that nothing is taken for a variable.
    Text(String),
    /// The same with dollar signs as they are.
    Quoted(String),
    /// A number, truth value or reference to a variable, written as it is.
    Raw(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn raw(value: impl ToString) -> Self {
        Self::Raw(value.to_string())
    }

    pub(crate) fn texts<'t>(texts: impl IntoIterator<Item = &'t String>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(crate) fn table<'t>(table: impl IntoIterator<Item = (&'t String, &'t String)>) -> Self {
        Self::Map(
            table
                .into_iter()
                .map(|(name, value)| (name.clone(), Self::text(value)))
                .collect(),
        )
    }

    /// The text of a document.
    pub(crate) fn document(&self) -> String {
        let mut out = String::new();
        self.block(&mut out, 0);
        out
    }

    fn block(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push_str(&" ".repeat(indent));
                    }
                    out.push_str(&quoted(key));
                    out.push(':');
                    value.after_key(out, indent);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(&" ".repeat(indent));
                    }
                    out.push_str("- ");
                    item.block(out, indent + 2);
                }
            }
            flow => {
                flow.flow(out);
                out.push('\n');
            }
        }
    }

    fn after_key(&self, out: &mut String, indent: usize) {
        let nested = match self {
            Self::Map(entries) => !entries.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Text(_) | Self::Quoted(_) | Self::Raw(_) => false,
        };
        if nested {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 2));
            self.block(out, indent + 2);
        } else {
            out.push(' ');
            self.flow(out);
            out.push('\n');
        }
    }

    fn flow(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&quoted(&text.replace('$', "$$"))),
            Self::Quoted(text) => out.push_str(&quoted(text)),
            Self::Raw(text) => out.push_str(text),
            Self::List(_) => out.push_str("[]"),
            Self::Map(_) => out.push_str("{}"),
        }
    }
}

/// The text, in double quotes unless it is a plain word that YAML cannot take for anything else.
fn quoted(text: &str) -> String {
    let start = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ' '));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let word = reserved.contains(&text.to_ascii_lowercase().as_str());
    if start && plain && !word && !text.ends_with(' ') {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What YAML does not allow in a file, or takes for a line break.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{fe00}'..='\u{ffff}' => {
                out.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
