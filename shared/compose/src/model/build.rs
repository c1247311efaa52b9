//! Making and changing trees.

use crate::{
    place::Place,
    tree::{Entry, Kind, Node},
};

pub(crate) fn text(text: impl Into<String>, at: Place) -> Node {
    Node::leaf(
        Kind::Scalar {
            text: text.into(),
            plain: false,
        },
        at,
    )
}

/// A number or truth value.
pub(crate) fn plain(text: impl Into<String>, at: Place) -> Node {
    Node::leaf(
        Kind::Scalar {
            text: text.into(),
            plain: true,
        },
        at,
    )
}

pub(crate) fn null(at: Place) -> Node {
    Node::leaf(Kind::Null, at)
}

pub(crate) fn list(items: Vec<Node>, at: Place) -> Node {
    Node::leaf(Kind::List(items), at)
}

pub(crate) fn entry(key: impl Into<String>, value: Node) -> Entry {
    Entry {
        key: key.into(),
        key_at: value.at,
        value,
    }
}

pub(crate) fn map(entries: Vec<Entry>, at: Place) -> Node {
    Node::leaf(Kind::Map(entries), at)
}

impl Node {
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The items of a list; none of anything else.
    pub(crate) fn list_items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Scalar { .. } | Kind::Map(_) => &[],
        }
    }

    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    pub(crate) fn items_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.kind {
            Kind::List(items) => Some(items),
            Kind::Null | Kind::Scalar { .. } | Kind::Map(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let entry = self.entries_mut()?.iter_mut().find(|entry| entry.key == key);
        entry.map(|entry| &mut entry.value)
    }

    /// Sets a key of a mapping.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        if let Some(known) = self.get_mut(key) {
            *known = value;
        } else if let Some(entries) = self.entries_mut() {
            entries.push(entry(key, value));
        }
    }

    /// Takes a key out of a mapping.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let entries = self.entries_mut()?;
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// Takes out everything that `!reset` marks.
    pub(crate) fn drop_resets(&mut self) {
        use crate::tree::Mark;
        match &mut self.kind {
            Kind::Map(entries) => {
                entries.retain(|entry| entry.value.mark != Mark::Reset);
                for entry in entries {
                    entry.value.drop_resets();
                }
            }
            Kind::List(items) => {
                items.retain(|item| item.mark != Mark::Reset);
                for item in items {
                    item.drop_resets();
                }
            }
            Kind::Null | Kind::Scalar { .. } => {}
        }
    }
}
