//! The forms that values of a Compose file have, and reading a tree by them. What is left out in the
//! normalised model (empty texts, zeros, empty lists) is left out here.

use crate::{
    command,
    cx::shorten,
    place::Place,
    tree::{Kind, Node},
    units,
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

type Read = Result<Value, Misfit>;

fn misfit<T>(path: &str, node: &Node, message: impl Into<String>) -> Result<T, Misfit> {
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

fn one<'n>(node: &'n Node, path: &str) -> Result<&'n str, Misfit> {
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

/// A whole number as YAML writes it.
fn parse_whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .map(|digits| i64::from_str_radix(digits, radix))
    };
    let number = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| {
            let octal = digits.len() > 1 && digits.starts_with('0');
            octal.then(|| i64::from_str_radix(digits, 8))
        })
        .unwrap_or_else(|| digits.parse());
    number
        .ok()
        .filter(|number| *number >= 0)
        .map(|number| number * sign)
}

fn whole(node: &Node, path: &str) -> Result<i64, Misfit> {
    let text = one(node, path)?;
    match parse_whole(text.trim()) {
        Some(number) => Ok(number),
        None => misfit(
            path,
            node,
            format!("must be a whole number, and is `{}`", shorten(text)),
        ),
    }
}

fn number(node: &Node, path: &str) -> Read {
    let text = one(node, path)?;
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(plain_number(number)),
        _ => misfit(
            path,
            node,
            format!("must be a number, and is `{}`", shorten(text)),
        ),
    }
}

fn plain_number(number: f64) -> Value {
    let whole = format!("{number:.0}").parse::<i64>().ok();
    match whole.filter(|_| number.fract() == 0.0) {
        Some(whole) => json!(whole),
        None => json!(number),
    }
}

fn truth(node: &Node, path: &str) -> Read {
    match one(node, path)?.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Ok(json!(true)),
        "false" | "n" | "no" | "off" => Ok(json!(false)),
        other => misfit(
            path,
            node,
            format!("must be true or false, and is `{}`", shorten(other)),
        ),
    }
}

fn bytes(node: &Node, path: &str) -> Read {
    let text = one(node, path)?.trim();
    if let Some(number) = parse_whole(text) {
        return Ok(json!(number.to_string()));
    }
    match units::bytes(text) {
        Ok(bytes) => Ok(json!(bytes.to_string())),
        Err(reason) => misfit(path, node, format!("`{}` {reason}", shorten(text))),
    }
}

fn time(node: &Node, path: &str) -> Read {
    let text = one(node, path)?.trim();
    match units::duration_ms(text) {
        Ok(ms) => Ok(json!(go_time(ms))),
        Err(reason) => misfit(path, node, format!("`{}` {reason}", shorten(text))),
    }
}

/// A time as the model writes it: `1h2m3s`, `1.5s`, `20ms`.
fn go_time(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (seconds, part) = (ms / 1_000, ms % 1_000);
    let part = match part {
        0 => String::new(),
        part => format!(".{part:03}").trim_end_matches('0').to_owned(),
    };
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}{part}s"),
        (0, m, s) => format!("{m}m{s}{part}s"),
        (h, m, s) => format!("{h}h{m}m{s}{part}s"),
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

/// A value by YAML's own rules.
pub(super) fn any(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::List(items) => items.iter().map(any).collect(),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), any(&entry.value)));
            Value::Object(entries.collect())
        }
        Kind::Scalar { text, plain: false } => json!(text),
        Kind::Scalar { text, plain: true } => match text.as_str() {
            "true" | "True" | "TRUE" => json!(true),
            "false" | "False" | "FALSE" => json!(false),
            text => plain_scalar(text),
        },
    }
}

fn plain_scalar(text: &str) -> Value {
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match parse_whole(text).filter(|_| begins) {
        Some(number) => json!(number),
        None => match text.parse::<f64>() {
            Ok(number) if begins && number.is_finite() => json!(number),
            _ => json!(text),
        },
    }
}
