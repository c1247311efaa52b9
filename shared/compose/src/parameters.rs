//! Parameters of a template: what `x-parameters` declares, and every further `${NAME}` of the text.
//!
//! ```yaml
//! x-parameters:
//!   PORT: { type: port, default: 8080, description: Where the site is reached }
//!   PASSWORD: { secret: true, generate: 24 }
//! ```

use crate::{
    cx::{Cx, Item, Source},
    diagnostic::{Diagnostic, Severity},
    interpolate::{FaultKind, interpolate},
    limits::{MAX_FILE_BYTES, MAX_PARAMETERS},
    place::Place,
    suggest,
    tree::{self, Kind, Node},
};
use berth_events::spec::{Parameter, ParameterKind};
use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// The key that declares parameters.
const SECTION: &str = "x-parameters";
const CODE: &str = "template.parameter";
/// Keys of a declaration.
const KEYS: [&str; 8] = [
    "type",
    "default",
    "description",
    "secret",
    "generate",
    "options",
    "min",
    "max",
];
/// Fewest characters that are worth making up.
const MIN_GENERATED: i64 = 8;
/// Most characters that are made up.
const MAX_GENERATED: i64 = 128;

/// Why a value cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFault {
    /// The parameter.
    pub name: String,
    /// What is wrong; holds no value of a secret.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// Values to deploy with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values {
    /// By name: those given, and the defaults of those that are not.
    pub given: BTreeMap<String, String>,
    /// Without a value, to be made up with so many characters.
    pub generate: BTreeMap<String, u32>,
}

/// The parameters of a text: those declared first, in their order, then the others by name.
///
/// # Errors
/// The text is no YAML, or a declaration is wrong: each fault with its place.
pub fn parameters(file_name: &str, text: &str) -> Result<Vec<Parameter>, Vec<Diagnostic>> {
    let cx = Cx::new(Source::new(file_name, text));
    if text.len() > MAX_FILE_BYTES {
        return Ok(Vec::new());
    }
    let (root, faults) = tree::read(text, 0);
    for fault in faults {
        cx.report(
            Severity::Error,
            fault.code,
            "",
            fault.at,
            fault.message,
            fault.cure,
        );
    }
    let mut found = Vec::new();
    if let Some(root) = &root {
        if let Some(section) = Item::root(root).child(SECTION) {
            found = section
                .entries()
                .iter()
                .filter_map(|item| declared(&cx, item))
                .collect();
            if section.entries().is_empty() && !section.is_null() {
                cx.error(
                    &section,
                    CODE,
                    "`x-parameters` must be a mapping",
                    "write NAME: { type: … }",
                );
            }
        }
        add_used(root, &mut found);
    }
    if found.len() > MAX_PARAMETERS {
        let message = format!(
            "the template has {} parameters, more than {MAX_PARAMETERS}",
            found.len()
        );
        let place = Place::default();
        cx.report(
            Severity::Error,
            CODE,
            SECTION,
            place,
            message,
            "give some of them fixed values",
        );
    }
    let (errors, _) = cx.finish();
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn declared(cx: &Cx, item: &Item<'_>) -> Option<Parameter> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if item.key.starts_with(|c: char| c.is_ascii_digit()) || !item.key.chars().all(plain) {
        let message = format!("`{}` is no name of a variable", item.key);
        cx.error(
            item,
            CODE,
            message,
            "use letters, digits and `_`, and begin with a letter",
        );
        return None;
    }
    for entry in item.entries() {
        if !KEYS.contains(&entry.key) {
            let meant = cx.nearest(entry.key, KEYS.into_iter());
            let cure = meant.map_or_else(
                || format!("known are {}", KEYS.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            cx.error(&entry, CODE, format!("a parameter has no `{}`", entry.key), cure);
        }
    }
    let options: Vec<String> = item
        .child("options")
        .map(|list| {
            list.items()
                .iter()
                .filter_map(|item| cx.loose_text(item))
                .collect()
        })
        .unwrap_or_default();
    let number = |key: &str, least, most| item.child(key).and_then(|item| cx.number(&item, least, most));
    let generate =
        number("generate", MIN_GENERATED, MAX_GENERATED).and_then(|count| u32::try_from(count).ok());
    let parameter = Parameter {
        name: item.key.to_owned(),
        kind: kind(cx, item, !options.is_empty())?,
        description: item
            .child("description")
            .and_then(|item| cx.loose_text(&item))
            .unwrap_or_default(),
        default: item.child("default").and_then(|item| cx.loose_text(&item)),
        required: generate.is_none() && item.child("default").is_none(),
        secret: item
            .child("secret")
            .and_then(|item| cx.truth(&item))
            .unwrap_or(generate.is_some()),
        generate,
        options,
        min: number("min", i64::MIN, i64::MAX),
        max: number("max", i64::MIN, i64::MAX),
    };
    if parameter.secret && parameter.default.is_some() {
        let cure = "leave `default` out; `generate: 24` makes a value up";
        cx.error(
            item,
            CODE,
            "a secret has no default: the text is no place for it",
            cure,
        );
    }
    if let Some(default) = &parameter.default
        && let Err(fault) = check(&parameter, default)
    {
        let place = item.child("default").unwrap_or_else(|| item.clone());
        cx.error(
            &place,
            CODE,
            format!("the default does not fit: {}", fault.message),
            fault.cure,
        );
    }
    Some(parameter)
}

fn kind(cx: &Cx, item: &Item<'_>, has_options: bool) -> Option<ParameterKind> {
    let Some(said) = item.child("type") else {
        return Some(if has_options {
            ParameterKind::Choice
        } else {
            ParameterKind::String
        });
    };
    let kind = match said.raw() {
        Some("string") => ParameterKind::String,
        Some("integer") => ParameterKind::Integer,
        Some("boolean") => ParameterKind::Boolean,
        Some("port") => ParameterKind::Port,
        Some("choice") if has_options => ParameterKind::Choice,
        Some("choice") => {
            cx.error(&said, CODE, "a choice has no `options`", "add options: [a, b]");
            return None;
        }
        _ => {
            let cure = "write string, integer, boolean, port or choice";
            cx.error(&said, CODE, "this type is not known", cure);
            return None;
        }
    };
    Some(kind)
}

/// Adds the variables of the text that nobody declared.
fn add_used(root: &Node, found: &mut Vec<Parameter>) {
    let mut used = Used::default();
    let top = root.entries().iter().filter(|entry| !entry.key.starts_with("x-"));
    top.for_each(|entry| used.node(&entry.value));
    let known: BTreeSet<String> = found.iter().map(|parameter| parameter.name.clone()).collect();
    for (name, required) in used.names {
        // Compose itself sets it.
        if known.contains(&name) || name == "COMPOSE_PROJECT_NAME" {
            continue;
        }
        found.push(Parameter {
            name,
            kind: ParameterKind::String,
            description: String::new(),
            default: None,
            required,
            secret: false,
            generate: None,
            options: Vec::new(),
            min: None,
            max: None,
        });
    }
}

/// Variables of a text: whether one is needed.
#[derive(Default)]
struct Used {
    names: BTreeMap<String, bool>,
}

impl Used {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Null => {}
            Kind::List(items) => items.iter().for_each(|item| self.node(item)),
            Kind::Map(entries) => entries.iter().for_each(|entry| self.node(&entry.value)),
            Kind::Scalar { text, .. } => self.scalar(text),
        }
    }

    /// Fills the text in again and again, each time with one more of the variables that it demands.
    fn scalar(&mut self, text: &str) {
        let mut demanded: BTreeSet<String> = BTreeSet::new();
        while demanded.len() <= MAX_PARAMETERS {
            let asked = RefCell::new(BTreeSet::new());
            let lookup = |name: &str| {
                asked.borrow_mut().insert(name.to_owned());
                demanded.contains(name).then_some(Cow::Borrowed("x"))
            };
            let outcome = interpolate(text, &lookup);
            for name in asked.into_inner() {
                self.names.entry(name).or_default();
            }
            match outcome {
                Ok(outcome) => {
                    let needed = outcome.unset.into_iter().chain(demanded);
                    self.names.extend(needed.map(|name| (name, true)));
                    return;
                }
                Err(fault) => match fault.kind {
                    FaultKind::Required { name, .. } => drop(demanded.insert(name)),
                    // The reading of the file names the fault.
                    FaultKind::Syntax(_) | FaultKind::TooLarge => return,
                },
            }
        }
    }
}

/// Fits values to parameters.
///
/// # Errors
/// Every value that is unknown, of another type or missing.
pub fn fit(parameters: &[Parameter], values: &BTreeMap<String, String>) -> Result<Values, Vec<ValueFault>> {
    let mut faults = Vec::new();
    let mut fitted = Values::default();
    for name in values.keys() {
        if !parameters.iter().any(|parameter| parameter.name == *name) {
            faults.push(unknown(parameters, name));
        }
    }
    for parameter in parameters {
        match values.get(&parameter.name) {
            Some(value) => match check(parameter, value) {
                Ok(()) => drop(fitted.given.insert(parameter.name.clone(), value.clone())),
                Err(fault) => faults.push(fault),
            },
            None if parameter.required => faults.push(missing(parameter)),
            None => {
                if let Some(length) = parameter.generate {
                    fitted.generate.insert(parameter.name.clone(), length);
                } else if let Some(default) = &parameter.default {
                    fitted.given.insert(parameter.name.clone(), default.clone());
                }
            }
        }
    }
    if faults.is_empty() {
        Ok(fitted)
    } else {
        Err(faults)
    }
}

fn unknown(parameters: &[Parameter], name: &str) -> ValueFault {
    let names = || parameters.iter().map(|parameter| parameter.name.as_str());
    let cure = match suggest::nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
    };
    ValueFault {
        name: name.to_owned(),
        message: format!("the template has no parameter `{name}`"),
        cure,
    }
}

fn missing(parameter: &Parameter) -> ValueFault {
    let name = &parameter.name;
    let about = match parameter.description.as_str() {
        "" => String::new(),
        text => format!(" ({text})"),
    };
    ValueFault {
        name: name.clone(),
        message: format!("the parameter `{name}`{about} has no value"),
        cure: format!("give it: {name}=VALUE"),
    }
}

fn check(parameter: &Parameter, value: &str) -> Result<(), ValueFault> {
    let wanted = match parameter.kind {
        ParameterKind::String => return Ok(()),
        ParameterKind::Integer => {
            let (least, most) = (
                parameter.min.unwrap_or(i64::MIN),
                parameter.max.unwrap_or(i64::MAX),
            );
            match value.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => return Ok(()),
                _ => match (parameter.min, parameter.max) {
                    (None, None) => "a whole number".to_owned(),
                    (Some(least), None) => format!("a whole number from {least}"),
                    (None, Some(most)) => format!("a whole number up to {most}"),
                    (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                },
            }
        }
        ParameterKind::Boolean if matches!(value, "true" | "false") => return Ok(()),
        ParameterKind::Boolean => "true or false".to_owned(),
        ParameterKind::Port if value.parse::<u16>().is_ok_and(|port| port > 0) => return Ok(()),
        ParameterKind::Port => "a port from 1 to 65535".to_owned(),
        ParameterKind::Choice if parameter.options.iter().any(|option| option == value) => return Ok(()),
        ParameterKind::Choice => format!("one of {}", parameter.options.join(", ")),
    };
    let name = &parameter.name;
    let is = match parameter.secret {
        true => "something else".to_owned(),
        false => format!("`{}`", crate::cx::shorten(value)),
    };
    Err(ValueFault {
        name: name.clone(),
        message: format!("the parameter `{name}` must be {wanted}, and is {is}"),
        cure: format!("give {wanted}"),
    })
}
