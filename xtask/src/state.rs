//! What `up` has made so far, written after every step, so that `down` can undo it after any failure.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::process::Background;

const FILE: &str = "dev-state.json";

/// What `up` has made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The program that was built.
    pub berth: PathBuf,
    /// The client's configuration.
    pub client: PathBuf,
    /// Background processes, in the order of their start.
    pub processes: Vec<Background>,
    /// The number of the lab, if nodes are engines in namespaces.
    pub lab: Option<u8>,
    /// Engines in which things of ours are, other than those of the lab.
    pub engines: Vec<String>,
    /// The firewall of this machine before we started an engine on it.
    pub firewall: Option<crate::firewall::Before>,
    /// The cluster's id, on the labels of what the agent makes.
    pub cluster: Option<String>,
    #[serde(skip)]
    folder: PathBuf,
}

impl State {
    /// A new state, kept in a folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            ..Self::default()
        }
    }

    /// The state kept in a folder, if there is one.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        let state =
            serde_json::from_slice(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
        Ok(Some(Self {
            folder: folder.to_path_buf(),
            ..state
        }))
    }

    /// Writes it in one step.
    pub fn save(&self) -> Result<()> {
        let (path, fresh) = (self.folder.join(FILE), self.folder.join("dev-state.new"));
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(&fresh, text).with_context(|| format!("could not write `{}`", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("could not write `{}`", path.display()))
    }

    /// Notes a process and writes the state.
    pub fn started(&mut self, process: Background) -> Result<()> {
        self.processes.push(process);
        self.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_again() {
        let folder = std::env::temp_dir().join(format!("xtask-state-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(State::load(&folder).unwrap().is_none());
        let mut state = State::new(&folder);
        state.lab = Some(3);
        state.save().unwrap();
        assert_eq!(State::load(&folder).unwrap().unwrap().lab, Some(3));
        fs::remove_dir_all(&folder).unwrap();
    }
}
