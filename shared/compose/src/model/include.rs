//! `include`: the services, volumes and networks of other files, each read from its own folder.

use super::{
    Folder, Loader,
    build::map,
    merge::merge,
    paths::{folder, join, rebase},
};
use crate::{
    place::Place,
    tree::{Entry, Kind, Node},
    variables::Variables,
};

const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];
const CURE: &str = "write include: [file.yml], or a list of {path: file.yml, project_directory: folder}";

impl Loader<'_> {
    /// Brings in what the file includes; what it says itself wins.
    pub(super) fn include(
        &self,
        root: &mut Node,
        within: &Folder,
        variables: &Variables<'_>,
        chain: &[String],
    ) {
        let Some(include) = root.remove("include") else {
            return;
        };
        let Kind::List(items) = include.value.kind else {
            let message = "`include` must be a list".to_owned();
            return self.error("compose.include", "include", include.key_at, message, CURE);
        };
        self.combined.set(true);
        for (index, item) in items.iter().enumerate() {
            let path = format!("include[{index}]");
            if let Some(imported) = self.included(item, &path, within, variables, chain) {
                self.import(root, imported);
            }
        }
    }

    fn included(
        &self,
        item: &Node,
        key: &str,
        within: &Folder,
        variables: &Variables<'_>,
        chain: &[String],
    ) -> Option<Node> {
        let at = item.at;
        let paths = match item.scalar() {
            Some(path) => vec![path.to_owned()],
            None => item.get("path").map(texts).unwrap_or_default(),
        };
        let Some(first) = paths.first() else {
            self.error(
                "compose.include",
                key,
                at,
                "an include has no `path`".to_owned(),
                CURE,
            );
            return None;
        };
        let directory = item.get("project_directory").and_then(Node::scalar);
        let directory = directory.map_or_else(|| folder(first), str::to_owned);
        let inside = join(&within.path, &directory);
        let variables = self.variables_of(item, key, within, &inside, variables)?;
        let mut model: Option<Node> = None;
        for path in &paths {
            let path = join(&within.path, path);
            if chain.contains(&path) {
                let message = format!("include cycle detected: {} → {path}", chain.join(" → "));
                self.error(
                    "compose.include",
                    key,
                    at,
                    message,
                    "remove one of these includes",
                );
                return None;
            }
            let text = self.text(&path, at, key)?;
            let chain: Vec<String> = chain.iter().cloned().chain([path.clone()]).collect();
            let there = Folder {
                path: inside.clone(),
                file: path.clone(),
            };
            let one = self.one(&path, &text, &there, &variables, &chain)?;
            model = self.lay(model, one);
        }
        let mut model = model?;
        if !self.canonical(&mut model) {
            return None;
        }
        rebase(&mut model, &directory);
        Some(model)
    }

    /// The variables of an included file: those around win over its own `.env` or `env_file`.
    fn variables_of<'v>(
        &self,
        item: &Node,
        key: &str,
        within: &Folder,
        inside: &str,
        variables: &Variables<'v>,
    ) -> Option<Variables<'v>> {
        let named = item.get("env_file").map(texts).unwrap_or_default();
        let mut out = variables.clone();
        if named.is_empty() && !inside.is_empty() {
            let path = join(inside, ".env");
            if let Some(text) = self.optional(&path) {
                out.add(self.cx, &path, &text);
            }
        }
        for path in named.iter().filter(|path| *path != "/dev/null") {
            let path = join(&within.path, path);
            let text = self.text(&path, item.at, key)?;
            out.add(self.cx, &path, &text);
        }
        Some(out)
    }

    fn import(&self, root: &mut Node, mut imported: Node) {
        for section in SECTIONS {
            let Some(Entry { key, key_at, value }) = imported.remove(section) else {
                continue;
            };
            let Kind::Map(entries) = value.kind else { continue };
            if root.get(section).is_none_or(Node::is_null) {
                root.set(section, map(Vec::new(), key_at));
            }
            let Some(target) = root.get_mut(section) else {
                continue;
            };
            for entry in entries {
                self.import_one(target, &key, entry);
            }
        }
    }

    fn import_one(&self, target: &mut Node, section: &str, entry: Entry) {
        let Some(known) = target.get_mut(&entry.key) else {
            if let Some(entries) = target.entries_mut() {
                entries.push(entry);
            }
            return;
        };
        let over = known.clone();
        match merge(entry.value, over, &mut vec![section.to_owned(), entry.key]) {
            Ok(merged) => *known = merged,
            Err(clash) => self.clash(clash),
        }
    }
}

/// One text, or a list of texts.
fn texts(node: &Node) -> Vec<String> {
    let one = node.scalar().into_iter();
    let items = node.list_items().iter().filter_map(Node::scalar);
    one.chain(items).map(str::to_owned).collect()
}

/// The place of the file as a whole.
pub(super) fn whole() -> Place {
    Place::default()
}
