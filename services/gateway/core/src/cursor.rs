//! Cursors: where in a sorted list the next page begins.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_api::{DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS};
use serde::{Deserialize, Serialize};

/// The longest text of a cursor.
const MAX_CURSOR_CHARS: usize = 1_024;

/// The last item of a page: the next page begins behind it. Opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Which list.
    #[serde(rename = "l")]
    pub list: String,
    /// Sort key of the item.
    #[serde(rename = "k")]
    pub key: String,
    /// Its id: two items may have the same key.
    #[serde(rename = "i")]
    pub id: String,
}

/// Why a page cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor, or one of another list.
    #[error("`cursor` was not made by this list")]
    Foreign,
    /// Past [`MAX_PAGE_ITEMS`], or 0.
    #[error("`limit` is {0}; it can be 1 to {MAX_PAGE_ITEMS}")]
    Limit(u32),
}

/// Which page of which list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    list: &'static str,
    after: Option<Cursor>,
    limit: usize,
}

impl Cursor {
    /// Its text.
    pub fn encode(&self) -> String {
        // A struct of three texts always has a JSON form.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        if text.len() > MAX_CURSOR_CHARS {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

impl PageRequest {
    /// Reads what a caller gave.
    ///
    /// # Errors
    /// [`CursorError`] says what is wrong with it.
    pub fn new(list: &'static str, cursor: Option<&str>, limit: Option<u32>) -> Result<Self, CursorError> {
        let limit = limit.unwrap_or(DEFAULT_PAGE_ITEMS);
        if limit == 0 || limit > MAX_PAGE_ITEMS {
            return Err(CursorError::Limit(limit));
        }
        let after = match cursor {
            None => None,
            Some(text) => {
                let cursor = Cursor::decode(text).ok_or(CursorError::Foreign)?;
                Some(cursor).filter(|cursor| cursor.list == list)
            }
        };
        if cursor.is_some() && after.is_none() {
            return Err(CursorError::Foreign);
        }
        Ok(Self {
            list,
            after,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    /// How many items the page holds at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Sort key behind which the page begins; of a list by position.
    pub fn after_key(&self) -> Option<&str> {
        self.after.as_ref().map(|cursor| cursor.key.as_str())
    }

    /// The cursor of an item of this list.
    pub fn cursor(&self, key: impl ToString, id: impl ToString) -> Cursor {
        Cursor {
            list: self.list.to_owned(),
            key: key.to_string(),
            id: id.to_string(),
        }
    }

    /// Sorts by key and id and cuts the page out; a cursor if more follows.
    pub fn cut<T>(&self, items: impl Iterator<Item = (String, String, T)>) -> (Vec<T>, Option<String>) {
        let after = self.after.as_ref().map(|cursor| (&cursor.key, &cursor.id));
        let mut left: Vec<(String, String, T)> = items
            .filter(|(key, id, _)| after.is_none_or(|after| (key, id) > after))
            .collect();
        left.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let more = left.len() > self.limit;
        left.truncate(self.limit);
        let next = left
            .last()
            .filter(|_| more)
            .map(|(key, id, _)| self.cursor(key, id).encode());
        (left.into_iter().map(|(_, _, item)| item).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let nodes = PageRequest::new("nodes", None, None).unwrap();
        let text = nodes.cursor("a", "1").encode();
        assert!(PageRequest::new("nodes", Some(&text), None).is_ok());
        assert_eq!(
            PageRequest::new("clusters", Some(&text), None),
            Err(CursorError::Foreign)
        );
        assert_eq!(
            PageRequest::new("nodes", Some("nonsense!"), None),
            Err(CursorError::Foreign)
        );
    }

    #[test]
    fn limits_are_kept() {
        assert_eq!(PageRequest::new("x", None, Some(0)), Err(CursorError::Limit(0)));
        assert_eq!(
            PageRequest::new("x", None, Some(501)),
            Err(CursorError::Limit(501))
        );
        assert_eq!(PageRequest::new("x", None, None).unwrap().limit(), 100);
    }

    proptest! {
        /// All pages together are the whole list, sorted, each item once, whatever the page's size.
        #[test]
        fn pages_join_to_the_list(keys in prop::collection::vec("[a-c]{0,2}", 0..40), limit in 1u32..9) {
            let items: Vec<(String, String, usize)> = keys
                .iter()
                .enumerate()
                .map(|(n, key)| (key.clone(), format!("{n:04}"), n))
                .collect();
            let mut expected = items.clone();
            expected.sort();
            let (mut found, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let request = PageRequest::new("x", cursor.as_deref(), Some(limit)).unwrap();
                let (page, next) = request.cut(items.iter().cloned());
                prop_assert!(page.len() <= usize::try_from(limit).unwrap());
                found.extend(page);
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            let expected: Vec<usize> = expected.into_iter().map(|(_, _, n)| n).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
