//! What a template asks of whoever deploys it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that a template is deployed with; `${NAME}` stands for it in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// Name of the variable.
    pub name: String,
    /// What values it takes.
    #[serde(default)]
    pub kind: ParameterKind,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Value if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// A value must be given.
    #[serde(default)]
    pub required: bool,
    /// Its value is not shown.
    #[serde(default)]
    pub secret: bool,
    /// Without a value, so many random letters and digits are made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<u32>,
    /// The values to choose from, for [`ParameterKind::Choice`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Least value, for [`ParameterKind::Integer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Greatest value, for [`ParameterKind::Integer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A port, 1 to 65535.
    Port,
    /// One of the options.
    Choice,
}
