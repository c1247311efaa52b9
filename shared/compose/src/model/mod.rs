//! From files to one tree: every file read, variables filled in, `include` and `extends` followed, files
//! laid over each other, services of other profiles left out.

pub(crate) mod build;
pub(crate) mod canonical;
mod extends;
mod include;
mod legacy;
pub(crate) mod merge;
pub(crate) mod paths;
mod port;
mod profiles;
mod unique;

pub(crate) use profiles::active;

use crate::{
    Input,
    cx::{Cx, Item, Source, shorten},
    diagnostic::Severity,
    limits::{MAX_FILE_BYTES, MAX_MODEL_BYTES, MAX_MODEL_FILES},
    mounts::within,
    place::Place,
    tree::{self, Node},
    variables::Variables,
};
use merge::{Clash, merge};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

/// Reads files for one model.
pub(crate) struct Loader<'a> {
    cx: &'a Cx,
    files: &'a BTreeMap<String, String>,
    /// Every file that was asked for, by path below the project folder.
    wanted: RefCell<BTreeSet<String>>,
    opened: Cell<usize>,
    bytes: Cell<usize>,
    /// More than one file or service went into a service.
    combined: Cell<bool>,
}

/// Where a file's relative paths begin.
struct Folder {
    /// Below the project folder.
    path: String,
    /// The file itself.
    file: String,
}

/// The tree of an input, and every file that it asked for.
pub(crate) struct Loaded {
    pub root: Option<Node>,
    pub wanted: BTreeSet<String>,
}

/// Reads everything that an input names.
pub(crate) fn load(cx: &Cx, input: &Input<'_>, variables: &mut Variables<'_>) -> Loaded {
    let loader = Loader {
        cx,
        files: input.files,
        wanted: RefCell::default(),
        opened: Cell::new(0),
        bytes: Cell::new(0),
        combined: Cell::new(!input.overrides.is_empty()),
    };
    let root = loader.whole(input, variables);
    Loaded {
        root,
        wanted: loader.wanted.into_inner(),
    }
}

impl Loader<'_> {
    fn whole(&self, input: &Input<'_>, variables: &mut Variables<'_>) -> Option<Node> {
        let mut root = self.first(input, variables);
        for path in input.overrides {
            let Some(text) = self.text(path, include::whole(), "") else {
                continue;
            };
            let folder = Folder {
                path: String::new(),
                file: path.clone(),
            };
            let over = self.one(path, &text, &folder, variables, std::slice::from_ref(path))?;
            root = self.lay(root, over);
        }
        let mut root = root?;
        if self.combined.get() && !self.canonical(&mut root) {
            return None;
        }
        root.drop_resets();
        profiles::select(self.cx, &mut root, &active(input.profiles, variables));
        Some(root)
    }

    fn first(&self, input: &Input<'_>, variables: &mut Variables<'_>) -> Option<Node> {
        let mut root = self.checked(0, input.text)?;
        let name = Item::root(&root)
            .child("name")
            .and_then(|item| item.raw().map(str::to_owned));
        variables.project = variables
            .project
            .take()
            .or(name.filter(|name| !name.contains('$')));
        variables.fill(self.cx, &mut root);
        let folder = Folder {
            path: String::new(),
            file: input.file_name.to_owned(),
        };
        self.follow(&mut root, &folder, variables, &[input.file_name.to_owned()]);
        Some(root)
    }

    /// Reads one more file.
    fn one(
        &self,
        path: &str,
        text: &str,
        folder: &Folder,
        variables: &Variables<'_>,
        chain: &[String],
    ) -> Option<Node> {
        let mut root = self.tree(path, text)?;
        variables.fill(self.cx, &mut root);
        self.follow(&mut root, folder, variables, chain);
        Some(root)
    }

    fn follow(&self, root: &mut Node, folder: &Folder, variables: &Variables<'_>, chain: &[String]) {
        self.include(root, folder, variables, chain);
        self.extend(root, folder, variables);
    }

    /// The tree of a further file.
    fn tree(&self, path: &str, text: &str) -> Option<Node> {
        let file = self.cx.add_source(Source::new(path, text));
        self.checked(file, text)
    }

    /// The tree of a text, its faults reported.
    fn checked(&self, file: u16, text: &str) -> Option<Node> {
        let (root, faults) = tree::read(text, file);
        if let Some(root) = &root {
            self.cx.hide_secrets(file, root);
        }
        let broken = root.is_none() && faults.is_empty();
        for fault in faults {
            self.cx.report(
                Severity::Error,
                fault.code,
                "",
                fault.at,
                fault.message,
                fault.cure,
            );
        }
        if broken {
            let at = Place {
                file,
                ..Place::default()
            };
            let cure = "write `services:` and the services below it";
            self.error("compose.empty", "", at, "the file is empty".to_owned(), cure);
        }
        let mut root = root?;
        legacy::upgrade(self.cx, &mut root);
        Some(root)
    }

    fn lay(&self, base: Option<Node>, over: Node) -> Option<Node> {
        let Some(mut base) = base else { return Some(over) };
        if !self.canonical(&mut base) {
            return None;
        }
        match merge(base, over, &mut Vec::new()) {
            Ok(mut merged) => {
                unique::enforce(&mut merged);
                Some(merged)
            }
            Err(clash) => {
                self.clash(clash);
                None
            }
        }
    }

    fn canonical(&self, root: &mut Node) -> bool {
        unique::enforce(root);
        let done = canonical::canonical(root);
        unique::enforce(root);
        match done {
            Ok(()) => true,
            Err(bad) => {
                let cure = "write it in the long form";
                self.error("compose.short_form", &bad.path, bad.at, bad.message, cure);
                false
            }
        }
    }

    fn error(&self, code: &'static str, path: &str, at: Place, message: String, cure: &str) {
        self.cx.report(Severity::Error, code, path, at, message, cure);
    }

    fn clash(&self, clash: Clash) {
        let message = format!("`{}` cannot be laid over a value of another kind", clash.path);
        let cure = "write it in the same form in both files, or mark it with !override";
        self.error("compose.merge", &clash.path, clash.at, message, cure);
    }

    /// The text of a file that need not be there.
    fn optional(&self, path: &str) -> Option<String> {
        let inside = within(path)?;
        let text = self.files.get(&inside).cloned();
        self.wanted.borrow_mut().insert(inside);
        text
    }

    /// The text of a file below the project folder.
    fn text(&self, path: &str, at: Place, key: &str) -> Option<String> {
        const OUTSIDE: &str = "copy it beside the Compose file: only files of the project folder are read";
        if within(path).is_none_or(|inside| inside.is_empty()) {
            let message = format!("`{}` is not inside the project folder", shorten(path));
            self.error("compose.file_outside", key, at, message, OUTSIDE);
            return None;
        }
        let Some(text) = self.optional(path) else {
            let message = format!("the file `{}` was not found", shorten(path));
            self.error(
                "compose.file_missing",
                key,
                at,
                message,
                "check the path, from the folder of the file that names it",
            );
            return None;
        };
        self.opened.set(self.opened.get() + 1);
        self.bytes.set(self.bytes.get().saturating_add(text.len()));
        if self.opened.get() > MAX_MODEL_FILES
            || self.bytes.get() > MAX_MODEL_BYTES
            || text.len() > MAX_FILE_BYTES
        {
            let message =
                format!("the file reads more than {MAX_MODEL_FILES} files or {MAX_MODEL_BYTES} bytes in all");
            self.error(
                "compose.file_count",
                key,
                at,
                message,
                "put the services into fewer files",
            );
            return None;
        }
        Some(text)
    }
}
