//! Compose files: parsed, interpolated, checked, normalised, each fault with its place.
//!
//! [`parse`] turns the text of a file into an [`ApplicationSpec`], [`render`] turns one back into a file,
//! [`policy_violations`] names what a cluster's policy refuses. Nothing here does IO: the caller brings
//! `.env`, variables and env files along ([`referenced_files_of`] says which). A key without effect is a
//! warning, a wrong value an error, and one run names all of them.

mod application;
mod build;
mod command;
pub mod config;
mod contents;
mod countable;
mod cx;
mod deploy;
mod diagnostic;
pub mod dotenv;
mod engine;
mod environment;
pub mod interpolate;
mod keys;
mod labels;
pub mod limits;
mod model;
mod mounts;
mod networks;
mod parameters;
mod place;
mod policy;
mod ports;
mod render;
mod render_container;
mod render_contents;
mod render_deploy;
mod render_engine;
mod rules;
mod runtime;
mod service;
mod shares;
mod suggest;
mod tree;
mod typed;
mod units;
mod update;
mod variables;
mod words;
mod yaml;

pub use berth_events::SecurityPolicy as Policy;
pub use build::{Build, Builds};
pub use contents::{BASE64, Content};
pub use diagnostic::{Diagnostic, Severity};
pub use parameters::{ValueFault, Values, fit, parameters};
pub use policy::{PolicyViolation, policy_violations};
pub use render::{KEPT, render};

use berth_events::spec::ApplicationSpec;
use cx::{Cx, Item, Source, file_of, snippet_of};
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
    /// Texts of all further files that it names, by their path below the project folder.
    pub files: &'a BTreeMap<String, String>,
    /// Those of secrets and configs that are no text, in base64.
    pub binaries: &'a BTreeMap<String, String>,
    /// Files that are laid over this one, in this order, by their path in `files`.
    pub overrides: &'a [String],
    /// Chosen profiles; empty: those of `COMPOSE_PROFILES`.
    pub profiles: &'a [String],
    /// Absolute path on the nodes at which relative bind mounts begin; without it they are refused.
    pub project_directory: Option<&'a str>,
    /// What becomes of `build`.
    pub builds: Builds<'a>,
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
    /// What the files of containers hold, by the key of their references, `secrets/NAME` or `configs/NAME`.
    /// Such a reference has version 0: the caller moves the content into the vault.
    pub contents: BTreeMap<String, Content>,
    /// How images are built, by service.
    pub builds: BTreeMap<String, Build>,
    /// What has no effect. Safe to store and show: no environment value is in it.
    pub warnings: Vec<Diagnostic>,
    root: Node,
    sources: Vec<Source>,
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
            file: file_of(&self.sources, item.at()),
            path: item.path,
            line: place.line,
            column: place.column,
            snippet: place.snippet,
        }
    }

    fn location(&self, at: Place) -> Location {
        Location {
            line: at.line,
            column: at.column,
            snippet: snippet_of(&self.sources, at),
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
    if let Some(fault) = too_large(input) {
        return Err(vec![fault]);
    }
    let cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    let Some(root) = model::load(&cx, input, &mut variables).root else {
        return Err(all(&cx));
    };
    let sources = environment::Sources {
        variables: &variables,
        files: input.files,
        binaries: input.binaries,
        loaded_bytes: Default::default(),
    };
    let application = application::read(
        &cx,
        &Item::root(&root),
        sources,
        (input.project_directory, input.builds),
    );
    let (mut errors, warnings) = cx.finish();
    if !errors.is_empty() {
        errors.extend(warnings);
        return Err(errors);
    }
    Ok(Parsed {
        name: input.project_name.map(str::to_owned).or(application.name),
        spec: application.spec,
        public: application.public,
        contents: application.contents,
        builds: application.builds,
        warnings,
        root,
        sources: cx.take_sources(),
    })
}

/// What is wrong with a file that is too large to be read.
fn too_large(input: &Input<'_>) -> Option<Diagnostic> {
    let bytes = input.text.len();
    if bytes <= limits::MAX_FILE_BYTES {
        return None;
    }
    // Without its text: no place in it is named.
    let cx = Cx::new(Source::new(input.file_name, ""));
    cx.report(
        Severity::Error,
        "compose.file_size",
        "",
        Place::default(),
        format!("the file has {bytes} bytes, more than {}", limits::MAX_FILE_BYTES),
        "a Compose file holds no data: move contents into images or volumes",
    );
    all(&cx).into_iter().next()
}

fn all(cx: &Cx) -> Vec<Diagnostic> {
    let (mut errors, warnings) = cx.finish();
    errors.extend(warnings);
    errors
}

/// The files that a client must send along, by path below the project folder; best effort on a broken
/// file. A file that is named by another one is only found once that one is among the input's files: ask
/// again until nothing new is named.
pub fn referenced_files_of(input: &Input<'_>) -> Vec<String> {
    if too_large(input).is_some() {
        return Vec::new();
    }
    let cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    let loaded = model::load(&cx, input, &mut variables);
    let mut paths = loaded.wanted;
    if let Some(root) = &loaded.root {
        paths.extend(files_of(root));
    }
    paths.into_iter().collect()
}

/// What the secrets and configs of a file are made of on the client's machine; best effort on a broken file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentSources {
    /// Files, by path below the project folder. They may hold anything, while all others are text.
    pub files: BTreeSet<String>,
    /// Variables of the shell.
    pub variables: BTreeSet<String>,
}

/// Names what the secrets and configs of a file are made of.
pub fn content_sources_of(input: &Input<'_>) -> ContentSources {
    if too_large(input).is_some() {
        return ContentSources::default();
    }
    let cx = Cx::new(Source::new(input.file_name, input.text));
    let mut variables = Variables::new(input.environment, input.dotenv, input.project_name, &cx);
    let root = model::load(&cx, input, &mut variables).root;
    root.as_ref()
        .map_or_else(ContentSources::default, |root| ContentSources {
            files: contents::paths(&Item::root(root)),
            variables: contents::variables(&Item::root(root)),
        })
}

fn files_of(root: &Node) -> BTreeSet<String> {
    let cx = Cx::new(Source::default());
    let root = Item::root(root);
    let services = root
        .child("services")
        .map(|services| services.entries())
        .unwrap_or_default();
    let items = services.iter().filter_map(|service| service.child("env_file"));
    let mut paths: BTreeSet<String> = items
        .flat_map(|item| environment::wanted(&cx, &item))
        .map(|wanted| wanted.path)
        .collect();
    paths.extend(contents::paths(&root));
    for item in services.iter().filter_map(|service| service.child("label_file")) {
        let items = item.items().into_iter().chain([item.clone()]);
        paths.extend(items.filter_map(|item| mounts::within(item.raw()?)));
    }
    paths
}
