//! Rows of one kind of a view, by key, readable from and to the text that a service stores.

use crate::{RowError, RowKey};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    ops::{Deref, DerefMut},
    str::FromStr,
};

/// Rows of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<K, R>(BTreeMap<K, R>);

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K, R> Deref for Rows<K, R> {
    type Target = BTreeMap<K, R>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K, R> DerefMut for Rows<K, R> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<K: Ord + Clone + FromStr, R: Serialize + DeserializeOwned> Rows<K, R> {
    /// A row as JSON text; `None` if it is not there.
    pub fn text(&self, key: &str) -> Option<String> {
        serde_json::to_string(self.0.get(&key.parse().ok()?)?).ok()
    }

    /// Takes a stored row in; answers its key and itself.
    ///
    /// # Errors
    /// [`RowError`] if key or row have another shape.
    pub fn restore(&mut self, view: &'static str, key: &RowKey, json: &str) -> Result<(K, &R), RowError> {
        let parsed: K = key.key.parse().map_err(|_| RowError::of(view, key, None))?;
        let row = serde_json::from_str(json).map_err(|source| RowError::of(view, key, Some(source)))?;
        self.0.insert(parsed.clone(), row);
        match self.0.get(&parsed) {
            Some(row) => Ok((parsed, row)),
            None => Err(RowError::of(view, key, None)),
        }
    }
}

impl RowError {
    /// A row of a view that cannot be read.
    pub fn of(view: &'static str, key: &RowKey, source: Option<serde_json::Error>) -> Self {
        Self {
            view,
            kind: key.kind.clone(),
            key: key.key.clone(),
            source,
        }
    }
}

/// Sets by key, derived from rows for quick answers; an empty set is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Ord> Index<K, V> {
    /// Adds a member.
    pub fn add(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }
    /// Takes a member away.
    pub fn take(&mut self, key: &K, value: &V) {
        if let Some(set) = self.0.get_mut(key) {
            set.remove(value);
            if set.is_empty() {
                self.0.remove(key);
            }
        }
    }
    /// Members of a key.
    pub fn of<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a V> + use<'a, K, V> {
        self.0.get(key).into_iter().flatten()
    }
    /// How many members a key has.
    pub fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }
}
