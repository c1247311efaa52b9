//! Compose files: parsed, interpolated, checked, normalised, each fault with its place.
//!
//! [`parse`] turns the text of a file into an [`ApplicationSpec`], [`render`] turns one back into a file,
//! [`policy_violations`] names what a cluster's policy refuses. Nothing here does IO: the caller brings
//! `.env`, variables and env files along ([`referenced_files`] says which). A key without effect is a
//! warning, a wrong value an error, and one run names all of them.

mod application;
mod command;
mod cx;
mod deploy;
mod diagnostic;
pub mod dotenv;
mod environment;
pub mod interpolate;
mod keys;
mod labels;
pub mod limits;
mod mounts;
mod networks;
mod place;
mod policy;
mod ports;
mod render;
mod render_container;
mod render_deploy;
mod rules;
mod runtime;
mod service;
mod suggest;
mod tree;
mod typed;
mod units;
mod update;
mod variables;
mod words;
mod yaml;

pub use berth_events::SecurityPolicy as Policy;
pub use diagnostic::{Diagnostic, Severity};
pub use policy::{PolicyViolation, policy_violations};
pub use render::render;

use berth_events::spec::ApplicationSpec;
use cx::{Cx, Item, Source};
use place::Place;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};
use tree::Node;
use variables::Variables;

/// Everything that the meaning of a file depends on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name of the file, for messages.
    pub file_name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Name given by the caller; it wins over `name:` and is `COMPOSE_PROJECT_NAME`.
    pub project_name: Option<&'a str>,
    /// Variables of the shell or the API; they win over `.env`.
    pub environment: &'a BTreeMap<String, String>,
    /// Text of `.env`.
    pub dotenv: Option<&'a str>,
    /// Texts of the env files, by their path below the project folder.
    pub files: &'a BTreeMap<String, String>,
    /// Absolute path on the nodes at which relative bind mounts begin; without it they are refused.
    pub project_directory: Option<&'a str>,
}

/// Which variables of a service are public, that is, not kept in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKeys {
    /// All (`x-berth-public: true`).
    All,
    /// Those named.
    Only(BTreeSet<String>),
}

impl Default for PublicKeys {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl PublicKeys {
    /// Whether a variable is public.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

/// What a file says.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The name given by the caller, or else the file's `name:`.
    pub name: Option<String>,
    /// The application. Every environment value is plain here: the caller moves those that are not
    /// [public](Self::public) into the vault.
    pub spec: ApplicationSpec,
    /// The public variables, by service.
    pub public: BTreeMap<String, PublicKeys>,
    /// What has no effect. Safe to store and show: no environment value is in it.
    pub warnings: Vec<Diagnostic>,
    root: Node,
    source: Source,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The line's text, environment values left out.
    pub snippet: String,
}

impl Parsed {
    /// Where a path such as `services.web.ports[0]` stands; if it is not in the file, where the
    /// nearest value around it stands.
    pub fn locate(&self, path: &str) -> Location {
        self.location(find(&Item::root(&self.root), path).at())
    }

    /// Where the file says what a policy refuses, as an error to show.
    pub fn explain(&self, violation: &PolicyViolation) -> Diagnostic {
        let path = format!("services.{}.{}", violation.service, violation.key);
        let around = find(&Item::root(&self.root), &path);
        let item = holding(&around, &violation.value).unwrap_or(around);
        let place = self.location(item.at());
        Diagnostic {
            severity: Severity::Error,
            code: Cow::Borrowed("compose.policy"),
            message: violation.to_string(),
            cure: format!("remove it, or {}", violation.who_may_allow),
            path: item.path,
            file: self.source.file.clone(),
            line: place.line,
            column: place.column,
            snippet: place.snippet,
        }
    }

    fn location(&self, at: Place) -> Location {
        Location {
            line: at.line,
            column: at.column,
            snippet: self.source.snippet(at.line),
        }
    }
}

/// The value at a path, or the nearest one around it.
fn find<'n>(item: &Item<'n>, path: &str) -> Item<'n> {
    let mut here = item.clone();
    loop {
        let below = here.entries().into_iter().chain(here.items());
        let next = below
            .filter(|child| {
                path.strip_prefix(&child.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
            .max_by_key(|child| child.path.len());
        match next {
            Some(child) if child.path == path => return child,
            Some(child) => here = child,
            None => return here,
        }
    }
}

/// The first value below whose text holds another.
fn holding<'n>(item: &Item<'n>, text: &str) -> Option<Item<'n>> {
    if item
        .raw()
        .is_some_and(|raw| raw.to_uppercase().contains(&text.to_uppercase()))
    {
        return Some(item.clone());
    }
    item.entries()
        .into_iter()
        .chain(item.items())
        .find_map(|child| holding(&child, text))
}

/// Reads a file.
///
/// # Errors
/// Every fault of the file, and its warnings behind them.
pub fn parse(input: &Input<'_>) -> Result<Parsed, Vec<Diagnostic>> {
    let cx = Cx::new(Source::new(input.file_name, ""));
    if input.text.len() > limits::MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes, more than {}",
            input.text.len(),
            limits::MAX_FILE_BYTES
        );
        let cure = "a Compose file holds no data: move contents into images or volumes";
        cx.report(
            Severity::Error,
            "compose.file_size",
            "",
            Place::default(),
            message,
            cure,
        );
        return Err(all(&cx));
    }
    let mut cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    let Some(root) = tree(&mut cx, input.text, &mut variables) else {
        return Err(all(&cx));
    };
    let sources = environment::Sources {
        variables: &variables,
        files: input.files,
        loaded_bytes: Default::default(),
    };
    let application = application::read(&cx, &Item::root(&root), sources, input.project_directory);
    let (mut errors, warnings) = cx.finish();
    if !errors.is_empty() {
        errors.extend(warnings);
        return Err(errors);
    }
    Ok(Parsed {
        name: input.project_name.map(str::to_owned).or(application.name),
        spec: application.spec,
        public: application.public,
        warnings,
        root,
        source: cx.source,
    })
}

fn all(cx: &Cx) -> Vec<Diagnostic> {
    let (mut errors, warnings) = cx.finish();
    errors.extend(warnings);
    errors
}

/// The tree with variables filled in; `None` after a fault that leaves nothing to read.
fn tree(cx: &mut Cx, text: &str, variables: &mut Variables<'_>) -> Option<Node> {
    let (root, faults) = tree::read(text);
    if let Some(root) = &root {
        cx.source.hide_secrets(root);
    }
    let broken = root.is_none() && faults.is_empty();
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
    if broken {
        let cure = "write `services:` and the services below it";
        cx.report(
            Severity::Error,
            "compose.empty",
            "",
            Place::default(),
            "the file is empty",
            cure,
        );
    }
    let mut root = root?;
    let name = Item::root(&root)
        .child("name")
        .and_then(|item| item.raw().map(str::to_owned));
    variables.project = variables
        .project
        .take()
        .or(name.filter(|name| !name.contains('$')));
    variables.fill(cx, &mut root);
    Some(root)
}

/// The env files that a client must send along, by path below the project folder; best effort on a
/// broken file. Variables in the paths are not filled in: see [`referenced_files_of`].
pub fn referenced_files(text: &str) -> Vec<String> {
    tree::read(text).0.map_or_else(Vec::new, |root| files_of(&root))
}

/// [`referenced_files`] with the variables of an input filled into the paths.
pub fn referenced_files_of(input: &Input<'_>) -> Vec<String> {
    if input.text.len() > limits::MAX_FILE_BYTES {
        return Vec::new();
    }
    let mut cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    tree(&mut cx, input.text, &mut variables).map_or_else(Vec::new, |root| files_of(&root))
}

fn files_of(root: &Node) -> Vec<String> {
    let cx = Cx::new(Source::default());
    let services = Item::root(root)
        .child("services")
        .map(|services| services.entries())
        .unwrap_or_default();
    let items = services.iter().filter_map(|service| service.child("env_file"));
    let paths: BTreeSet<String> = items
        .flat_map(|item| environment::wanted(&cx, &item))
        .map(|wanted| wanted.path)
        .collect();
    paths.into_iter().collect()
}
