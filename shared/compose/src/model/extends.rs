//! `extends`: a service begins with what another says, of this file or of another.

use super::{
    Folder, Loader,
    build::map,
    merge::merge,
    paths::{folder, join, rebase},
};
use crate::{
    cx::{Item, shorten},
    place::Place,
    tree::{Kind, Node},
    variables::Variables,
};

/// Deepest chain of services that extend each other.
const MAX_CHAIN: usize = 32;

/// Where a service is looked for.
struct Scope<'a> {
    /// The services of the file.
    services: &'a Node,
    /// Name of the file, to find circles.
    file: String,
}

impl Loader<'_> {
    /// Lays every service over what it extends.
    pub(super) fn extend(&self, root: &mut Node, within: &Folder, variables: &Variables<'_>) {
        let Some(services) = root.get("services").cloned() else {
            return;
        };
        let scope = Scope {
            services: &services,
            file: within.file.clone(),
        };
        for entry in services.entries() {
            if entry.value.get("extends").is_none() {
                continue;
            }
            self.combined.set(true);
            let extended = self.resolve(&scope, &entry.key, within, variables, &mut Vec::new());
            if let (Some(extended), Some(known)) = (
                extended,
                root.get_mut("services").and_then(|s| s.get_mut(&entry.key)),
            ) {
                *known = extended;
            }
        }
    }

    fn resolve(
        &self,
        scope: &Scope<'_>,
        name: &str,
        within: &Folder,
        variables: &Variables<'_>,
        chain: &mut Vec<(String, String)>,
    ) -> Option<Node> {
        let mut service = scope.services.get(name)?.clone();
        let Some(extends) = service.remove("extends") else {
            return Some(service);
        };
        let at = extends.key_at;
        let path = format!("services.{name}.extends");
        let fault = |message: String, cure: &str| {
            self.error("compose.extends", &path, at, message, cure);
            None
        };
        let field = |key: &str| extends.value.get(key).and_then(Node::scalar);
        let file = field("file");
        let Some(wanted) = extends.value.scalar().or_else(|| field("service")) else {
            return fault(
                "`extends` names no service".to_owned(),
                "write extends: {service: NAME}",
            );
        };
        let step = (
            file.map_or_else(|| scope.file.clone(), str::to_owned),
            name.to_owned(),
        );
        if chain.contains(&step) || chain.len() >= MAX_CHAIN {
            let message = format!("`{}` extends itself", shorten(name));
            return fault(message, "break the circle of `extends`");
        }
        chain.push(step);
        let base = match file {
            None => self.base(scope, wanted, within, variables, chain, at, &path),
            Some(file) => {
                let mut tree = self.extended_file(&join(&within.path, file), at, &path, variables)?;
                rebase(&mut tree, &folder(file));
                let none = map(Vec::new(), at);
                let scope = Scope {
                    services: tree.get("services").unwrap_or(&none),
                    file: file.to_owned(),
                };
                self.base(&scope, wanted, within, variables, chain, at, &path)
            }
        };
        chain.pop();
        let base = base?;
        if base.is_null() {
            return Some(service);
        }
        match merge(base, service, &mut vec!["services".to_owned(), name.to_owned()]) {
            Ok(merged) => Some(merged),
            Err(clash) => {
                self.clash(clash);
                None
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the way of one service through files")]
    fn base(
        &self,
        scope: &Scope<'_>,
        wanted: &str,
        within: &Folder,
        variables: &Variables<'_>,
        chain: &mut Vec<(String, String)>,
        at: Place,
        path: &str,
    ) -> Option<Node> {
        if scope.services.get(wanted).is_none() {
            let names = scope.services.entries().iter().map(|entry| entry.key.as_str());
            let cure = match self.cx.nearest(wanted, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a service of that file".to_owned(),
            };
            let message = format!(
                "there is no service `{}` to extend in {}",
                shorten(wanted),
                scope.file
            );
            self.error("compose.extends", path, at, message, &cure);
            return None;
        }
        self.resolve(scope, wanted, within, variables, chain)
    }

    fn extended_file(&self, path: &str, at: Place, key: &str, variables: &Variables<'_>) -> Option<Node> {
        let text = self.text(path, at, key)?;
        let mut root = self.tree(path, &text)?;
        variables.fill(self.cx, &mut root);
        if !matches!(Item::root(&root).node.kind, Kind::Map(_)) {
            return None;
        }
        self.canonical(&mut root).then_some(root)
    }
}
