//! A Compose file with everything on this machine that its meaning depends on.

mod reading;

use crate::{
    cli::Variables,
    exit::{Failure, Outcome},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_compose::limits::MAX_FILE_BYTES;
use reading::{is_inside, no_text, read_all, read_bytes, read_file, stays_inside, unreadable};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The name of standard input.
const STDIN: &str = "-";
/// The largest `.env` or env file that is sent.
const MAX_ENV_BYTES: usize = 1024 * 1024;
/// The most files that are sent along.
const MAX_FILES: usize = 100;
/// The most rounds in which files name further files.
const MAX_ROUNDS: usize = 20;
/// Name of an application whose folder has none that can be used.
const NAMELESS: &str = "app";
/// Characters of the folder's name that are taken.
const MAX_NAME: usize = 40;

/// A Compose file and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Name of the file.
    pub file_name: String,
    /// Its text.
    pub text: String,
    /// Variables given by options, and those of the shell that the file names.
    pub environment: BTreeMap<String, String>,
    /// Text of `.env`.
    pub dotenv: Option<String>,
    /// Texts of the files that it names, and of those laid over it.
    pub files: BTreeMap<String, String>,
    /// Files of `secrets` and `configs` that are no text, in base64.
    pub binaries: BTreeMap<String, String>,
    /// Which of them are laid over it, in this order.
    pub overrides: Vec<String>,
    /// Chosen profiles.
    pub profiles: Vec<String>,
    folder: PathBuf,
}

/// Reads a text from a file, or from standard input if it is called `-`.
///
/// # Errors
/// It cannot be read, is too large, or is no text.
pub fn text(file: &Path) -> Outcome<String> {
    if file == Path::new(STDIN) {
        read_all(std::io::stdin(), file, MAX_FILE_BYTES)
    } else {
        read_file(file, MAX_FILE_BYTES)
    }
}

/// The variables of options: those of the named env file, and over them those given one by one.
///
/// # Errors
/// The file cannot be read; a variable given without a value is not set in the shell.
pub fn values(
    variables: &Variables,
    shell: &dyn Fn(&str) -> Option<String>,
) -> Outcome<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    if let Some(path) = &variables.env_file {
        let text = read_file(path, MAX_ENV_BYTES)?;
        let outcome = berth_compose::dotenv::read(&text, shell).map_err(|faults| {
            let first = faults
                .first()
                .map(|fault| fault.message.clone())
                .unwrap_or_default();
            Failure::usage(format!("`{}`: {first}", path.display()))
        })?;
        values = outcome.values;
    }
    values.extend(given(&variables.env, shell)?);
    Ok(values)
}

/// A variable of the shell.
pub fn shell(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Project {
    /// Reads a file, `.env` beside it, the files that it names and the variables that it needs.
    ///
    /// # Errors
    /// As of [`Project::read_over`].
    pub fn read(file: &Path, variables: &Variables, shell: &dyn Fn(&str) -> Option<String>) -> Outcome<Self> {
        Self::read_over(file, &[], variables, shell)
    }

    /// Reads a file and those that are laid over it.
    ///
    /// # Errors
    /// A file cannot be read or is too large; a variable given without a value is not set in the shell.
    pub fn read_over(
        file: &Path,
        over: &[PathBuf],
        variables: &Variables,
        shell: &dyn Fn(&str) -> Option<String>,
    ) -> Outcome<Self> {
        let stdin = file == Path::new(STDIN);
        let (file_name, folder) = if stdin {
            ("compose.yml".to_owned(), PathBuf::from("."))
        } else {
            let name = file.file_name().map_or_else(
                || "compose.yml".into(),
                |name| name.to_string_lossy().into_owned(),
            );
            let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            (name, parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf))
        };
        let text = if stdin {
            read_all(std::io::stdin(), file, MAX_FILE_BYTES)?
        } else {
            read_file(file, MAX_FILE_BYTES)?
        };
        let dotenv = read_dotenv(&folder, variables.env_file.as_deref())?;
        let mut project = Self {
            file_name,
            text,
            environment: given(&variables.env, shell)?,
            dotenv,
            files: BTreeMap::new(),
            binaries: BTreeMap::new(),
            overrides: Vec::new(),
            profiles: variables.profiles.clone(),
            folder,
        };
        for file in over.iter().chain(&variables.file_over) {
            project.lay(file)?;
        }
        project.gather(shell)?;
        Ok(project)
    }

    /// Lays a further file over the first.
    fn lay(&mut self, file: &Path) -> Outcome {
        stays_inside(&self.folder, file)?;
        let real = |path: &Path| path.canonicalize().map_err(|error| unreadable(path, &error));
        let (full, folder) = (real(file)?, real(&self.folder)?);
        let path = full
            .strip_prefix(&folder)
            .unwrap_or(&full)
            .to_string_lossy()
            .into_owned();
        self.files.insert(path.clone(), read_file(file, MAX_FILE_BYTES)?);
        self.overrides.push(path);
        Ok(())
    }

    /// What the file is read with.
    pub fn input<'a>(&'a self, name: Option<&'a str>) -> berth_compose::Input<'a> {
        berth_compose::Input {
            file_name: &self.file_name,
            text: &self.text,
            project_name: name,
            environment: &self.environment,
            dotenv: self.dotenv.as_deref(),
            files: &self.files,
            binaries: &self.binaries,
            overrides: &self.overrides,
            profiles: &self.profiles,
            project_directory: None,
            builds: berth_compose::Builds::Later,
        }
    }

    /// What the file means, as far as that is known here.
    fn parsed(&self) -> Result<berth_compose::Parsed, Vec<berth_compose::Diagnostic>> {
        // What a printed template leaves to the vault is no fault: the platform fills it in.
        let text = self.text.replace(&format!(":?{}}}", berth_compose::KEPT), ":-}");
        berth_compose::parse(&berth_compose::Input {
            text: &text,
            ..self.input(None)
        })
    }

    /// Whether the file has `name:`.
    pub fn names_itself(&self) -> bool {
        self.own_name().is_some()
    }

    /// The name that the file gives.
    pub fn own_name(&self) -> Option<String> {
        self.parsed().ok().and_then(|parsed| parsed.name)
    }

    /// How images are built, by service.
    ///
    /// # Errors
    /// The faults of the file.
    pub fn builds(&self) -> Result<BTreeMap<String, berth_compose::Build>, Vec<berth_compose::Diagnostic>> {
        Ok(self.parsed()?.builds)
    }

    /// The folder's name as a name of an application.
    pub fn folder_name(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let plain: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let plain: String = plain.trim_matches(['-', '_']).chars().take(MAX_NAME).collect();
        if plain.is_empty() {
            NAMELESS.to_owned()
        } else {
            plain
        }
    }

    fn add_variables(&mut self, shell: &dyn Fn(&str) -> Option<String>) {
        let mut names = named(&self.text);
        for text in self.dotenv.iter().chain(self.files.values()) {
            names.extend(named(text));
        }
        for name in names {
            self.add_variable(&name, shell);
        }
    }

    fn add_variable(&mut self, name: &str, shell: &dyn Fn(&str) -> Option<String>) {
        if !self.environment.contains_key(name)
            && let Some(value) = shell(name)
        {
            self.environment.insert(name.to_owned(), value);
        }
    }

    /// Reads the files that the project names; those may name further ones.
    fn gather(&mut self, shell: &dyn Fn(&str) -> Option<String>) -> Outcome {
        for _ in 0..MAX_ROUNDS {
            // Files may be named with variables, so those of the files come first.
            self.add_variables(shell);
            let contents = berth_compose::content_sources_of(&self.input(None));
            for name in &contents.variables {
                self.add_variable(name, shell);
            }
            let wanted = berth_compose::referenced_files_of(&self.input(None));
            let mut found = false;
            // What lies outside of the project is never read: the platform names the fault with its place.
            for path in wanted.into_iter().filter(|path| is_inside(Path::new(path))) {
                let full = self.folder.join(&path);
                // A missing one may be optional (`required: false`): the platform decides.
                let known = self.files.contains_key(&path) || self.binaries.contains_key(&path);
                if known || !full.is_file() {
                    continue;
                }
                if self.files.len() + self.binaries.len() >= MAX_FILES {
                    return Err(Failure::usage(format!(
                        "the file names more than {MAX_FILES} files"
                    )));
                }
                stays_inside(&self.folder, &full)?;
                let bytes = read_bytes(&full, MAX_ENV_BYTES)?;
                match String::from_utf8(bytes) {
                    Ok(text) => self.files.insert(path, text),
                    Err(error) if contents.files.contains(&path) => {
                        self.binaries.insert(path, STANDARD.encode(error.as_bytes()))
                    }
                    Err(_) => return Err(no_text(&full)),
                };
                found = true;
            }
            if !found {
                return Ok(());
            }
        }
        Err(Failure::usage(format!(
            "files name each other over more than {MAX_ROUNDS} steps"
        )))
    }

    /// The project's folder, as an absolute path.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn full_folder(&self) -> Outcome<String> {
        let folder = self
            .folder
            .canonicalize()
            .map_err(|error| unreadable(&self.folder, &error))?;
        Ok(folder.to_string_lossy().into_owned())
    }

    /// The name that Compose gives to the project of this folder.
    pub fn compose_name(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase());
        let kept = |c: &char| c.is_ascii_alphanumeric() || "_-".contains(*c);
        let name: String = name.unwrap_or_default().chars().filter(kept).collect();
        let name = name.trim_start_matches(['_', '-']);
        if name.is_empty() {
            NAMELESS.to_owned()
        } else {
            name.to_owned()
        }
    }
}

fn read_dotenv(folder: &Path, named: Option<&Path>) -> Outcome<Option<String>> {
    if let Some(path) = named {
        return read_file(path, MAX_ENV_BYTES).map(Some);
    }
    let path = folder.join(".env");
    if path.is_file() {
        stays_inside(folder, &path)?;
        read_file(&path, MAX_ENV_BYTES).map(Some)
    } else {
        Ok(None)
    }
}

fn given(options: &[String], shell: &dyn Fn(&str) -> Option<String>) -> Outcome<BTreeMap<String, String>> {
    options
        .iter()
        .map(|option| match option.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            Some(_) => Err(Failure::usage(format!(
                "`-e {option}` has no name before the `=`"
            ))),
            None => shell(option).map(|value| (option.clone(), value)).ok_or_else(|| {
                Failure::usage(format!("`-e {option}`: {option} is not set in the shell"))
                    .cure("write -e KEY=VALUE")
            }),
        })
        .collect()
}

/// The variables that a text names: `$NAME`, `${NAME…}`, and entries without a value
/// (`- NAME`, `NAME:`, `NAME`), which take that of the shell.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find('$') {
            rest = rest.get(at + 1..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            let name = identifier(rest.strip_prefix('{').unwrap_or(rest));
            if !name.is_empty() {
                names.insert(name.to_owned());
            }
        }
        let entry = line
            .trim()
            .trim_start_matches("- ")
            .trim()
            .trim_end_matches(':')
            .trim_matches(['"', '\'']);
        if !entry.is_empty() && identifier(entry) == entry {
            names.insert(entry.to_owned());
        }
    }
    names
}

/// The name at the beginning of a text; empty if there is none.
fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = text.get(..end).unwrap_or_default();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        name
    }
}

#[cfg(test)]
mod tests;
