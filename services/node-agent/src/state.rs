//! The agent's folder: who it is, what it must run, what it has not reported. Never a secret value of a
//! container.
//!
//! Every file is replaced as a whole (written beside, flushed, renamed), so that a crash leaves the old one
//! or the new one. Each says in which version it is written.

use berth_agent_core::StoredNode;
use berth_ids::{ClusterId, NodeId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Version of the files that this release writes and reads.
const FORMAT: u32 = 1;
/// The folder inside the data folder.
const FOLDER: &str = "agent";
const IDENTITY: &str = "identity.json";
const ASSIGNMENT: &str = "assignment.json";
const JOURNAL: &str = "journal.json";
const STEPS: &str = "build-steps.json";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("could not {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content does not have its shape.
    #[error("`{path}` is damaged; move it away, and the agent asks the platform anew")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A fault of the agent.
    #[error("the agent failed in the middle of writing")]
    Fault,
    /// Written by a later release.
    #[error("`{path}` has format {found}, this agent reads {FORMAT}; install the newer agent again")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// Who this agent is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The node; made by the agent before it joins.
    pub node_id: NodeId,
    /// What the platform told when it joined; absent: it has not yet.
    #[serde(default)]
    pub membership: Option<Membership>,
    /// Seed of its bus user.
    #[serde(serialize_with = "plain")]
    pub user_seed: SecretString,
    /// Seed of the curve key to which secrets are sealed.
    #[serde(serialize_with = "plain")]
    pub sealing_seed: SecretString,
}

/// Where this agent belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Name of the node.
    pub name: String,
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Tenant of the cluster.
    pub tenant: String,
    /// Signed bus user; worthless without the seed.
    pub user_jwt: String,
    /// Addresses of the bus.
    pub nats_urls: Vec<String>,
    /// Certificate of the platform's CA; empty: no TLS.
    pub ca_pem: String,
    /// Address by which other nodes reach this one.
    pub address: String,
}

fn plain<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

#[derive(Default, Serialize, Deserialize)]
struct Steps {
    containers: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The agent's folder.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn open(data_dir: &Path) -> Result<Self, StateError> {
        let folder = data_dir.join(FOLDER);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| StateError::Io {
                action: "make the folder",
                path: folder.clone(),
                source,
            })?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Path of the platform's CA certificate, written from the identity for the bus client.
    pub fn ca_path(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Who this agent is.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn identity(&self) -> Result<Option<Identity>, StateError> {
        self.read(IDENTITY)
    }

    /// Keeps who this agent is.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_identity(&self, identity: &Identity) -> Result<(), StateError> {
        self.write(IDENTITY, identity)?;
        match &identity.membership {
            Some(member) if !member.ca_pem.is_empty() => replace(&self.ca_path(), member.ca_pem.as_bytes()),
            Some(_) | None => Ok(()),
        }
    }

    /// What this node must run, as far as the disk knows.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn assignment(&self) -> Result<Option<berth_events::Assignment>, StateError> {
        self.read(ASSIGNMENT)
    }

    /// Keeps what this node must run.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_assignment(&self, assignment: &berth_events::Assignment) -> Result<(), StateError> {
        self.write(ASSIGNMENT, assignment)
    }

    /// What it remembers of its allocations, and the reports that are not known to be recorded.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn journal(&self) -> Result<Option<StoredNode>, StateError> {
        self.read(JOURNAL)
    }

    /// Keeps that.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_journal(&self, journal: &StoredNode) -> Result<(), StateError> {
        self.write(JOURNAL, journal)
    }

    /// Containers of builds' steps that may have been left.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn steps_of_builds(&self) -> Result<BTreeSet<String>, StateError> {
        Ok(self.read::<Steps>(STEPS)?.unwrap_or_default().containers)
    }

    /// Keeps them.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_steps_of_builds(&self, containers: &BTreeSet<String>) -> Result<(), StateError> {
        let containers = containers.clone();
        self.write(STEPS, Steps { containers })
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.0.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let action = "read";
                return Err(StateError::Io { action, path, source });
            }
        };
        let shape = |source| StateError::Shape {
            path: path.clone(),
            source,
        };
        let Format { format } = serde_json::from_str(&text).map_err(shape)?;
        if format > FORMAT {
            return Err(StateError::Format { path, found: format });
        }
        let Versioned { content, .. } = serde_json::from_str(&text).map_err(shape)?;
        Ok(Some(content))
    }

    fn write(&self, name: &str, content: impl Serialize) -> Result<(), StateError> {
        let path = self.0.join(name);
        let format = FORMAT;
        let text =
            serde_json::to_vec(&Versioned { format, content }).map_err(|source| StateError::Shape {
                path: path.clone(),
                source,
            })?;
        replace(&path, &text)
    }
}

/// Replaces a file as a whole: a crash leaves the old content or the new.
fn replace(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let failed = |action| {
        move |source| StateError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed("write"))?;
    file.write_all(content).map_err(failed("write"))?;
    file.sync_data().map_err(failed("flush"))?;
    fs::rename(&beside, path).map_err(failed("replace"))?;
    if let Some(folder) = path.parent() {
        let folder = File::open(folder).map_err(failed("open the folder of"))?;
        folder.sync_data().map_err(failed("flush the folder of"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn identity() -> Identity {
        Identity {
            node_id: NodeId::from_u128(7),
            membership: None,
            user_seed: SecretString::from("SUAseed"),
            sealing_seed: SecretString::from("SXseed"),
        }
    }

    #[test]
    fn what_was_kept_is_read_again_and_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(state.identity().unwrap().is_none());
        state.keep_identity(&identity()).unwrap();
        let read = state.identity().unwrap().unwrap();
        assert_eq!(read.node_id, NodeId::from_u128(7));
        assert_eq!(read.user_seed.expose_secret(), "SUAseed");
        let mode = fs::metadata(folder.path().join("agent/identity.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damage_and_later_formats_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let path = folder.path().join("agent/journal.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(state.journal(), Err(StateError::Shape { .. })));
        fs::write(&path, r#"{"format":99}"#).unwrap();
        assert!(matches!(
            state.journal(),
            Err(StateError::Format { found: 99, .. })
        ));
    }

    #[test]
    fn debug_shows_no_seed() {
        assert!(!format!("{:?}", identity()).contains("SUAseed"));
    }
}
