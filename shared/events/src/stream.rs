//! Names of streams and the categories that own them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! categories {
    ($( $(#[$doc:meta])* $variant:ident = $text:literal, $owner:literal; )*) => {
        /// The kind of aggregate that a stream holds. Each category has exactly one writer (invariant 5).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Category { $( $(#[$doc])* $variant, )* }

        impl Category {
            /// All categories.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];
            /// The word in stream names and subjects.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
            /// The service that alone appends to it; `*` for names, which every owner of a named thing claims.
            pub const fn owner(self) -> &'static str {
                match self { $( Self::$variant => $owner, )* }
            }
        }
    };
}

categories! {
    /// Clusters.
    Cluster = "cluster", "cluster";
    /// Nodes.
    Node = "node", "cluster";
    /// Unique names: `name/<scope>/<name>`.
    Name = "name", "*";
    /// Applications with their releases.
    Application = "application", "scheduler";
    /// Stored templates.
    Template = "template", "scheduler";
    /// Makings of images.
    Build = "build", "scheduler";
    /// Decisions of the planner, one stream a cluster.
    Placement = "placement", "scheduler";
    /// Observed states of containers, one stream a node.
    Allocation = "allocation", "scheduler";
    /// Accounts.
    Account = "account", "access";
    /// Join tokens and API tokens.
    Token = "token", "access";
    /// Bus users of agents.
    Credential = "credential", "access";
    /// Metadata of secrets.
    Secret = "secret", "access";
    /// The platform itself.
    Platform = "platform", "ledger";
}

/// The longest stream name, in bytes: a name of 63 characters of any script in its scope.
pub const MAX_STREAM_NAME_BYTES: usize = 512;

/// `category/key`: all events of one aggregate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct StreamName {
    category: Category,
    text: String,
}

/// A text that names no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no stream: `category/key`, at most {MAX_STREAM_NAME_BYTES} bytes")]
pub struct StreamNameError(String);

impl StreamName {
    /// The stream of an aggregate.
    pub fn new(category: Category, key: impl fmt::Display) -> Self {
        Self {
            category,
            text: format!("{}/{key}", category.as_str()),
        }
    }
    /// The stream that makes a name unique in a scope; compared without case.
    pub fn name(scope: impl fmt::Display, name: &str) -> Self {
        Self::new(Category::Name, format_args!("{scope}/{}", name.to_lowercase()))
    }
    /// Its category.
    pub const fn category(&self) -> Category {
        self.category
    }
    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// What follows the category.
    pub fn key(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, key)| key)
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;
    fn from_str(text: &str) -> Result<Self, StreamNameError> {
        let bad = || StreamNameError(text.to_owned());
        let (word, key) = text.split_once('/').ok_or_else(bad)?;
        let category = Category::ALL
            .iter()
            .find(|c| c.as_str() == word)
            .ok_or_else(bad)?;
        if key.is_empty() || text.len() > MAX_STREAM_NAME_BYTES {
            return Err(bad());
        }
        Ok(Self {
            category: *category,
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for StreamName {
    type Error = StreamNameError;
    fn try_from(text: String) -> Result<Self, StreamNameError> {
        text.parse()
    }
}

impl From<StreamName> for String {
    fn from(stream: StreamName) -> Self {
        stream.text
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
