//! The file as a tree of values, each with its place. Aliases and merges are already resolved.
//!
//! Scalars stay text: what a text means is decided where it is used, so that `on`, `22:22`, `0644` or
//! `1.10` are never changed on the way (YAML 1.1's traps).

use crate::{
    limits::{MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_NODES},
    place::{Fault, Place, place, syntax},
};
use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::{BTreeMap, BTreeSet};

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    pub at: Place,
    /// What it does to a value of the same name in a file before.
    pub mark: Mark,
    /// How many values this is, itself included.
    nodes: usize,
    /// How much text this holds.
    bytes: usize,
    /// How many levels are below it.
    height: usize,
}

/// How a value meets that of a file before (`!reset`, `!override`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mark {
    #[default]
    Merge,
    Reset,
    Replace,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    /// `plain`: written without quotes, so `true` and `5` may mean more than their text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_at: Place,
    pub value: Node,
}

impl Node {
    pub(crate) fn leaf(kind: Kind, at: Place) -> Self {
        let bytes = match &kind {
            Kind::Scalar { text, .. } => text.len(),
            Kind::Null | Kind::List(_) | Kind::Map(_) => 0,
        };
        Self {
            kind,
            at,
            mark: Mark::Merge,
            nodes: 1,
            bytes,
            height: 0,
        }
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => &[],
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }
}

/// Reads a text. Faults after which the tree is still whole (a key twice, an unknown tag) are collected.
pub(crate) fn read(text: &str, file: u16) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
        bytes: 0,
        faults: Vec::new(),
        file,
    };
    match reader.document() {
        Ok(node) => (node, reader.faults),
        Err(fault) => {
            reader.faults.push(fault);
            (None, reader.faults)
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    faults: Vec<Fault>,
    file: u16,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        loop {
            match self.events.next_event() {
                None => return Ok((Event::StreamEnd, Span::default())),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(syntax(&error, self.file)),
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let cure = "keep one document; deploy each further one as its own application";
                    let message = "the file holds more than one YAML document";
                    return Err(Fault::new(
                        "compose.documents",
                        place(&span, self.file),
                        message,
                        cure,
                    ));
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn count(&mut self, nodes: usize, bytes: usize, at: Place) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MAX_NODES || self.bytes > MAX_EXPANDED_BYTES {
            let message = format!(
                "the file grows beyond {MAX_NODES} values or {MAX_EXPANDED_BYTES} bytes when its aliases are filled in"
            );
            let cure = "use fewer aliases of aliases, or split the application";
            return Err(Fault::new("compose.alias_budget", at, message, cure));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        let at = place(&span, self.file);
        check_depth(depth, at)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, text.len(), at)?;
                let mut node = Node::leaf(self.scalar(&text, style, tag.as_deref(), at), at);
                node.mark = mark(tag.as_deref());
                self.anchored(anchor, node)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.count(1, 0, at)?;
                self.collection_tag(tag.as_deref(), at);
                let mut node = self.list(at, depth)?;
                node.mark = mark(tag.as_deref());
                self.anchored(anchor, node)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.count(1, 0, at)?;
                self.collection_tag(tag.as_deref(), at);
                let mut node = self.map(at, depth)?;
                node.mark = mark(tag.as_deref());
                self.anchored(anchor, node)
            }
            Event::Alias(anchor) => self.alias(anchor, at, depth),
            _ => Ok(Node::leaf(Kind::Null, at)),
        }
    }

    /// Keeps a copy for aliases, which counts like one.
    fn anchored(&mut self, anchor: usize, node: Node) -> Result<Node, Fault> {
        if anchor > 0 {
            self.count(node.nodes, node.bytes, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, at: Place, depth: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            let cure = "define the anchor before and outside the place that uses it";
            let message = "the alias stands inside the value that it names";
            return Err(Fault::new("compose.alias", at, message, cure));
        };
        let (nodes, bytes) = (node.nodes, node.bytes);
        check_depth(depth + node.height, at)?;
        self.count(nodes, bytes, at)?;
        let copy = self.anchors.get(&anchor).cloned();
        Ok(copy.unwrap_or(Node::leaf(Kind::Null, at)))
    }

    fn list(&mut self, at: Place, depth: usize) -> Result<Node, Fault> {
        let mut node = Node::leaf(Kind::Null, at);
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                node.kind = Kind::List(items);
                return Ok(node);
            }
            let item = self.node(event, span, depth + 1)?;
            node.nodes += item.nodes;
            node.bytes += item.bytes;
            node.height = node.height.max(item.height + 1);
            items.push(item);
        }
    }

    fn map(&mut self, at: Place, depth: usize) -> Result<Node, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                break;
            }
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, _, _));
            let key_at = place(&span, self.file);
            let key_node = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let key = match key_node.kind {
                Kind::Scalar { text, .. } => text,
                Kind::Null => "null".to_owned(),
                Kind::List(_) | Kind::Map(_) => {
                    let fault = Fault::new(
                        "compose.key",
                        key_at,
                        "a key must be a text",
                        "write a text before the colon",
                    );
                    self.faults.push(fault);
                    continue;
                }
            };
            if let Some(line) = seen.insert(key.clone(), key_at.line) {
                let message = format!("the key `{key}` stands here and on line {line}");
                let cure = "keep one of the two; YAML does not say which one would win";
                self.faults
                    .push(Fault::new("compose.duplicate_key", key_at, message, cure));
            } else if key == "<<" && plain {
                merges.push((key_at, value));
            } else {
                entries.push(Entry { key, key_at, value });
            }
        }
        for (key_at, value) in merges {
            self.merge(&mut entries, key_at, value);
        }
        let mut node = Node::leaf(Kind::Null, at);
        node.nodes += entries.iter().map(|entry| 1 + entry.value.nodes).sum::<usize>();
        node.bytes += entries
            .iter()
            .map(|entry| entry.key.len() + entry.value.bytes)
            .sum::<usize>();
        node.height = entries
            .iter()
            .map(|entry| entry.value.height + 1)
            .max()
            .unwrap_or(0);
        node.kind = Kind::Map(entries);
        Ok(node)
    }

    /// `<<`: what the mapping does not say itself is taken over; of several, the first wins.
    fn merge(&mut self, entries: &mut Vec<Entry>, at: Place, value: Node) {
        let sources = match value.kind {
            Kind::Map(source) => vec![source],
            Kind::List(nodes) => nodes
                .into_iter()
                .filter_map(|node| match node.kind {
                    Kind::Map(source) => Some(source),
                    Kind::Null | Kind::Scalar { .. } | Kind::List(_) => {
                        self.bad_merge(node.at);
                        None
                    }
                })
                .collect(),
            Kind::Null | Kind::Scalar { .. } => {
                self.bad_merge(at);
                Vec::new()
            }
        };
        let mut present: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for entry in sources.into_iter().flatten() {
            if present.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
    }

    fn bad_merge(&mut self, at: Place) {
        let cure = "write `<<: *anchor` where the anchor stands on a mapping";
        self.faults
            .push(Fault::new("compose.merge", at, "`<<` merges mappings only", cure));
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Place) -> Kind {
        let mut plain = style == ScalarStyle::Plain;
        if let Some(tag) = tag {
            match (tag.core_suffix(), tag.suffix()) {
                (Some("str"), _) => plain = false,
                (Some("int" | "float" | "bool" | "null"), _) => plain = true,
                (None, "reset" | "override") => {}
                _ => self.bad_tag(tag, at),
            }
        }
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Kind::Null;
        }
        Kind::Scalar {
            text: text.to_owned(),
            plain,
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, at: Place) {
        let Some(tag) = tag else { return };
        match (tag.core_suffix(), tag.suffix()) {
            (Some("map" | "seq"), _) | (None, "override" | "reset") => {}
            _ => self.bad_tag(tag, at),
        }
    }

    fn bad_tag(&mut self, tag: &Tag, at: Place) {
        let message = format!("the tag `{tag}` means nothing in a Compose file");
        self.faults
            .push(Fault::new("compose.tag", at, message, "remove the tag"));
    }
}

/// Bounds the recursion of everything that walks the tree.
fn check_depth(depth: usize, at: Place) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        let message = format!("nested deeper than {MAX_DEPTH} levels");
        return Err(Fault::new("compose.depth", at, message, "flatten the file"));
    }
    Ok(())
}

fn mark(tag: Option<&Tag>) -> Mark {
    match tag.map(|tag| (tag.core_suffix(), tag.suffix())) {
        Some((None, "reset")) => Mark::Reset,
        Some((None, "override")) => Mark::Replace,
        _ => Mark::Merge,
    }
}
