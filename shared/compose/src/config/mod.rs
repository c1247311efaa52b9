//! The normalised model of a Compose file, as `docker compose config` prints it.

mod consistency;
mod finish;
mod prune;
mod scalar;
mod shape;
mod table;

use crate::{
    Diagnostic, Input, Source, cx::Cx, diagnostic::Severity, model, place::Place, variables::Variables,
};
use serde_json::{Map, Value};
use shape::{Misfit, Shape};

/// The normalised model, and what was noticed on the way.
#[derive(Debug, Clone)]
pub struct Normalised {
    /// Services, networks, volumes, secrets and configs, every short form written out.
    pub model: Value,
    /// What has no effect in this program, and variables without a value.
    pub warnings: Vec<Diagnostic>,
}

/// Something that is wrong with the model as a whole.
struct Wrong {
    path: String,
    message: String,
    cure: &'static str,
}

/// Reads a file and everything that it names, and writes the model out in full. Relative paths begin at the
/// input's project directory.
///
/// # Errors
/// Every fault of the files' form, or the first of their content.
pub fn normalise(input: &Input<'_>, name: &str) -> Result<Normalised, Vec<Diagnostic>> {
    if let Some(fault) = crate::too_large(input) {
        return Err(vec![fault]);
    }
    let cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    let model = model(&cx, input, &mut variables, name);
    let (mut errors, warnings) = cx.finish();
    match model {
        Some(model) if errors.is_empty() => Ok(Normalised { model, warnings }),
        _ => {
            errors.extend(warnings);
            Err(errors)
        }
    }
}

fn model(cx: &Cx, input: &Input<'_>, variables: &mut Variables<'_>, name: &str) -> Option<Value> {
    let mut root = model::load(cx, input, variables).root?;
    if let Err(bad) = model::canonical::canonical(&mut root) {
        let cure = "write it in the long form";
        cx.report(
            Severity::Error,
            "compose.short_form",
            &bad.path,
            bad.at,
            bad.message,
            cure,
        );
        return None;
    }
    model::paths::rebase(&mut root, input.project_directory.unwrap_or_default());
    let extensions = root.entries().iter().filter(|entry| entry.key.starts_with("x-"));
    let extensions: Map<String, Value> = extensions
        .map(|entry| (entry.key.clone(), scalar::any(&entry.value)))
        .collect();
    let read = shape::read(&root, Shape::Keys(&table::TOP), "");
    let mut model = match read {
        Ok(Value::Object(model)) => model,
        Ok(_) => return None,
        Err(misfit) => {
            misplaced(cx, misfit);
            return None;
        }
    };
    let own_name = model
        .remove("name")
        .and_then(|name| name.as_str().map(str::to_owned));
    let outer = input.environment.get("COMPOSE_PROJECT_NAME");
    let outer = outer.or_else(|| variables.dotenv("COMPOSE_PROJECT_NAME"));
    let chosen = input.project_name.or(outer.map(String::as_str));
    let name = chosen.map_or_else(|| own_name.unwrap_or_else(|| name.to_owned()), str::to_owned);
    let project = finish::Project {
        name: &name,
        variables,
        files: input.files,
        folder: input.project_directory.unwrap_or_default(),
    };
    let done = finish::finish(&mut model, &project, cx).and_then(|()| consistency::check(&model));
    if let Err(wrong) = done {
        let at = place_of(&root, &wrong.path);
        cx.report(
            Severity::Error,
            "compose.model",
            &wrong.path,
            at,
            wrong.message,
            wrong.cure,
        );
        return None;
    }
    prune::unused(&mut model);
    model.extend(extensions);
    Some(escaped(Value::Object(model)))
}

fn misplaced(cx: &Cx, misfit: Misfit) {
    let path = misfit.path.trim_start_matches('.');
    let what = if path.is_empty() { "the file" } else { path };
    let message = format!("{what}: {}", misfit.message);
    let cure = "compare with the Compose Specification";
    cx.report(Severity::Error, "compose.schema", path, misfit.at, message, cure);
}

/// Where a path of keys begins to be said.
fn place_of(root: &crate::tree::Node, path: &str) -> Place {
    let mut node = root;
    let mut at = root.at;
    for key in path.split('.') {
        let Some(entry) = node.entries().iter().find(|entry| entry.key == key) else {
            break;
        };
        at = entry.key_at;
        node = &entry.value;
    }
    at
}

/// Dollar signs doubled, so that the model is read back as it is.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.replace('$', "$$"), escaped(value)));
            Value::Object(entries.collect())
        }
        other => other,
    }
}

/// A model as YAML.
pub fn to_yaml(model: &Value) -> String {
    yaml(model).document()
}

fn yaml(value: &Value) -> crate::yaml::Yaml {
    use crate::yaml::Yaml;
    match value {
        Value::Null => Yaml::Raw("null".to_owned()),
        Value::Bool(truth) => Yaml::raw(truth),
        Value::Number(number) => Yaml::raw(number),
        Value::String(text) => Yaml::Quoted(text.clone()),
        Value::Array(items) => Yaml::List(items.iter().map(yaml).collect()),
        Value::Object(entries) => Yaml::Map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), yaml(value)))
                .collect(),
        ),
    }
}
