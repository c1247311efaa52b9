//! Names that people give to clusters, applications and nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest name that is accepted, in characters (reference, section 1.1: cluster names).
pub const MAX_NAME_CHARS: usize = 63;

/// A name: 1–63 characters, letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
///
/// Names are for people and may change; subjects, streams and keys hold ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than `MAX_NAME_CHARS`.
    #[error("a name has 1 to {MAX_NAME_CHARS} characters, this one has {0}")]
    Length(usize),
    /// Begins with something else than a letter or a digit.
    #[error("`{0}` must begin with a letter or a digit")]
    Start(String),
    /// Holds a character that no name may have.
    #[error("`{name}` holds `{character}`; letters, digits, `-`, `_` and `.` are allowed")]
    Character {
        /// The text as given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
}

impl Name {
    /// Checks and wraps a text.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 || length > MAX_NAME_CHARS {
            return Err(NameError::Length(length));
        }
        if !text.starts_with(char::is_alphanumeric) {
            return Err(NameError::Start(text.to_owned()));
        }
        match text
            .chars()
            .find(|c| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.'))
        {
            Some(character) => Err(NameError::Character {
                name: text.to_owned(),
                character,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_of_every_script() {
        for name in ["web", "shop-1", "a.b_c", "容器", "0"] {
            assert_eq!(Name::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_what_breaks_a_rule_and_says_which() {
        assert_eq!(Name::parse(""), Err(NameError::Length(0)));
        assert_eq!(Name::parse(&"x".repeat(64)), Err(NameError::Length(64)));
        assert_eq!(Name::parse("-web"), Err(NameError::Start("-web".into())));
        assert_eq!(
            Name::parse("a b"),
            Err(NameError::Character {
                name: "a b".into(),
                character: ' '
            })
        );
    }
}
