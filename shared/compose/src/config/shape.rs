//! The forms that values of a Compose file have, and reading a tree by them. What is left out in the
//! normalised model (empty texts, zeros, empty lists) is left out here.

use super::scalar::{any, bytes, number, time, truth, whole};
use crate::{
    command,
    cx::shorten,
    place::Place,
    tree::{Kind, Node},
};
use serde_json::{Map, Value, json};

/// A form.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A text; a number or truth value is none.
    Text,
    /// A text; anything written in one piece counts as its text.
    Loose,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
    /// A size, as a text of its bytes.
    Bytes,
    /// A time with units.
    Time,
    /// Permissions, written in octal.
    Mode,
    /// A list of texts, or one text.
    Texts,
    /// A command: a list of words, or a line.
    Command,
    /// A health check's test: a list of words, or a line for the shell.
    Test,
    /// Names with texts: a mapping, or a list of `name=value`.
    Table,
    /// The same, where a name may have no value.
    Names,
    /// `host=address`, as a list.
    Hosts,
    /// A number, or a soft and a hard one.
    Limit,
    /// How many devices: a number or `all`.
    Count,
    /// A list of values.
    List(&'static Shape),
    /// A mapping of values by name.
    Map(&'static Shape),
    /// The same, where a name may have none.
    MapOfMaybe(&'static Shape),
    /// A mapping with known keys.
    Keys(&'static [Field]),
    /// Anything.
    Any,
}

/// What happens with a key without a value, or with an empty one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Left out if empty.
    Full,
    /// Left out if absent.
    Said,
    /// There anyway: null or an empty mapping if absent.
    Always,
}

/// A known key.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub keep: Keep,
}

pub(super) const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        keep: Keep::Full,
    }
}

/// A key that is kept also with 0, false or nothing in it.
pub(super) const fn said(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        keep: Keep::Said,
    }
}

pub(super) const fn always(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        keep: Keep::Always,
    }
}

/// A value that has not its form.
pub(super) struct Misfit {
    pub path: String,
    pub message: String,
    pub at: Place,
}

pub(super) type Read = Result<Value, Misfit>;

pub(super) fn misfit<T>(path: &str, node: &Node, message: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit {
        path: path.to_owned(),
        message: message.into(),
        at: node.at,
    })
}

/// Reads a value by its form.
pub(super) fn read(node: &Node, shape: Shape, path: &str) -> Read {
    match shape {
        Shape::Text => text(node, path),
        Shape::Loose => one(node, path).map(Value::from),
        Shape::Whole => whole(node, path).map(Value::from),
        Shape::Number => number(node, path),
        Shape::Truth => truth(node, path),
        Shape::Bytes => bytes(node, path),
        Shape::Time => time(node, path),
        Shape::Mode => Ok(json!(format!("0{:o}", whole(node, path)?))),
        Shape::Texts => texts(node, path),
        Shape::Command => words(node, path),
        Shape::Test => match &node.kind {
            Kind::Scalar { text, .. } => Ok(json!(["CMD-SHELL", text])),
            _ => texts(node, path),
        },
        Shape::Table => pairs(node, path, false),
        Shape::Names => pairs(node, path, true),
        Shape::Hosts => hosts(node, path),
        Shape::Limit => match &node.kind {
            Kind::Scalar { .. } => whole(node, path).map(Value::from),
            _ => read(node, Shape::Keys(&LIMIT), path),
        },
        Shape::Count => match node.scalar() {
            Some(word) if word.eq_ignore_ascii_case("all") => Ok(json!(-1)),
            _ => whole(node, path).map(Value::from),
        },
        Shape::List(inner) => list(node, *inner, path),
        Shape::Map(inner) => map(node, *inner, path, false),
        Shape::MapOfMaybe(inner) => map(node, *inner, path, true),
        Shape::Keys(fields) => keys(node, fields, path),
        Shape::Any => Ok(any(node)),
    }
}

const LIMIT: [Field; 2] = [field("soft", Shape::Whole), field("hard", Shape::Whole)];

pub(super) fn one<'n>(node: &'n Node, path: &str) -> Result<&'n str, Misfit> {
    match &node.kind {
        Kind::Scalar { text, .. } => Ok(text),
        Kind::Null => misfit(path, node, "must be a text, and is nothing"),
        Kind::List(_) => misfit(path, node, "must be a text, and is a list"),
        Kind::Map(_) => misfit(path, node, "must be a text, and is a mapping"),
    }
}

fn text(node: &Node, path: &str) -> Read {
    let text = one(node, path)?;
    match any(node) {
        Value::String(_) => Ok(json!(text)),
        other => misfit(
            path,
            node,
            format!("must be a text, and is {other}; put it into quotes"),
        ),
    }
}

fn texts(node: &Node, path: &str) -> Read {
    match &node.kind {
        Kind::Scalar { text, .. } => Ok(json!([text])),
        Kind::List(_) => list(node, Shape::Loose, path),
        Kind::Null | Kind::Map(_) => misfit(path, node, "must be a list of texts"),
    }
}

fn words(node: &Node, path: &str) -> Read {
    match &node.kind {
        Kind::Null => Ok(Value::Null),
        Kind::Scalar { text, .. } => match command::split(text) {
            Ok(words) => Ok(json!(words)),
            Err(reason) => misfit(path, node, format!("is no command: {reason}")),
        },
        Kind::List(_) | Kind::Map(_) => texts(node, path),
    }
}

fn pairs(node: &Node, path: &str, maybe: bool) -> Read {
    let none = if maybe { Value::Null } else { json!("") };
    let mut out = Map::new();
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let value = match &entry.value.kind {
                    Kind::Null => none.clone(),
                    _ => json!(one(&entry.value, &format!("{path}.{}", entry.key))?),
                };
                out.insert(entry.key.clone(), value);
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let text = one(item, &format!("{path}[{index}]"))?;
                match text.split_once('=') {
                    Some((name, value)) => out.insert(name.to_owned(), json!(value)),
                    None => out.insert(text.to_owned(), none.clone()),
                };
            }
        }
        Kind::Null | Kind::Scalar { .. } => return misfit(path, node, "must be a mapping or a list"),
    }
    Ok(Value::Object(out))
}

fn hosts(node: &Node, path: &str) -> Read {
    let mut out = Vec::new();
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let items = if entry.value.scalar().is_some() {
                    std::slice::from_ref(&entry.value)
                } else {
                    entry.value.list_items()
                };
                for item in items {
                    out.push(format!("{}={}", entry.key, one(item, path)?));
                }
            }
        }
        Kind::List(items) => {
            for item in items {
                let text = one(item, path)?;
                let Some((host, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    return misfit(path, item, format!("`{}` is no host=address", shorten(text)));
                };
                let address = address.trim_start_matches('[').trim_end_matches(']');
                out.push(format!("{host}={address}"));
            }
        }
        Kind::Null | Kind::Scalar { .. } => return misfit(path, node, "must be a mapping or a list"),
    }
    out.sort();
    Ok(json!(out))
}

fn list(node: &Node, inner: Shape, path: &str) -> Read {
    let Kind::List(items) = &node.kind else {
        return misfit(path, node, "must be a list");
    };
    let items = items.iter().enumerate();
    let read: Result<Vec<Value>, Misfit> = items
        .map(|(index, item)| read(item, inner, &format!("{path}[{index}]")))
        .collect();
    read.map(Value::Array)
}

fn map(node: &Node, inner: Shape, path: &str, maybe: bool) -> Read {
    let Kind::Map(entries) = &node.kind else {
        return misfit(path, node, "must be a mapping");
    };
    let mut out = Map::new();
    for entry in entries {
        let value = match &entry.value.kind {
            Kind::Null if maybe => Value::Null,
            _ => read(&entry.value, inner, &format!("{path}.{}", entry.key))?,
        };
        out.insert(entry.key.clone(), value);
    }
    Ok(Value::Object(out))
}

fn keys(node: &Node, fields: &'static [Field], path: &str) -> Read {
    let Kind::Map(entries) = &node.kind else {
        return misfit(path, node, "must be a mapping");
    };
    let mut out = Map::new();
    for entry in entries {
        let below = format!("{path}.{}", entry.key);
        let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
            if entry.key.starts_with("x-") {
                continue;
            }
            let message = format!("additional properties '{}' not allowed", shorten(&entry.key));
            return Err(Misfit {
                path: path.to_owned(),
                message,
                at: entry.key_at,
            });
        };
        if entry.value.is_null() {
            continue;
        }
        let value = read(&entry.value, field.shape, &below)?;
        if field.keep == Keep::Full && is_empty(&value) {
            continue;
        }
        out.insert(entry.key.clone(), value);
    }
    for field in fields.iter().filter(|field| field.keep == Keep::Always) {
        let missing = match field.shape {
            Shape::Keys(fields) => empty(fields),
            _ => Value::Null,
        };
        out.entry(field.name).or_insert(missing);
    }
    Ok(Value::Object(out))
}

/// A mapping in which nothing is said.
fn empty(fields: &'static [Field]) -> Value {
    let always = fields.iter().filter(|field| field.keep == Keep::Always);
    always
        .map(|field| (field.name.to_owned(), Value::Null))
        .collect::<Map<_, _>>()
        .into()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}
