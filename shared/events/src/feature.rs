//! Features: types and versions of events that may be written only once every live instance can read them
//! (invariant 12).

use crate::{Category, StreamName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What this release can read and the one before it cannot, each as `type@version`. The ledger refuses such an
/// event until `platform.feature_enabled` names it. A line stays for as long as logs exist that were made
/// before it. What the first release could read needs no line.
pub const INTRODUCED: &[&str] = &[];

/// A type at a version, written `type@version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Feature(String);

impl Feature {
    /// An event type at a version.
    pub fn of(type_name: &str, version: u16) -> Self {
        Self(format!("{type_name}@{version}"))
    }

    /// What [`INTRODUCED`] names.
    pub fn introduced() -> impl Iterator<Item = Self> {
        INTRODUCED.iter().map(|feature| Self((*feature).to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Feature {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stream of what is enabled.
pub fn features_stream() -> StreamName {
    StreamName::new(Category::Platform, "features")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn every_feature_is_the_newest_version_of_a_type_or_an_older_one() {
        let catalogue = Event::catalogue();
        for feature in INTRODUCED {
            let known = catalogue.iter().any(|info| {
                let versions = info.reads.iter().copied().chain([info.version]);
                versions
                    .into_iter()
                    .any(|version| Feature::of(info.name, version).as_str() == *feature)
            });
            assert!(known, "`{feature}` names no event that this release reads");
        }
    }
}
