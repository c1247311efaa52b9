//! Files of containers (`secrets`, `configs`): in memory of the node, readable by root alone, mounted
//! read-only one by one. They outlast the agent, and not the machine: after a reboot they are written again
//! before their container is started.

use crate::engine::file_name;
use berth_events::spec::{EnvironmentValue, FileSpec, SecretRef};
use berth_ids::AllocationId;
use rustix::fs::statfs;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

/// Where memory is mounted as a file system; the first that is so is taken.
const CANDIDATES: [&str; 2] = ["/run", "/dev/shm"];
/// The folder of all agents of the machine there.
const FOLDER: &str = "berth";
/// What `statfs` says of a file system in memory: tmpfs, ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// Characters of the hash by which agents of one machine are told apart.
const HASH_CHARS: usize = 12;
/// Permissions of a file that has none.
const DEFAULT_MODE: u32 = 0o444;
/// A folder of nobody is removed at this age: its container may be about to be known.
const LEFTOVER_AGE: Duration = Duration::from_secs(120);
/// What the name of a value ends with that is base64.
const BASE64: &str = ";base64";

/// Why files cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// No file system in memory.
    #[error(
        "neither /run nor /dev/shm of this node is in memory, and contents of secrets are never written to a disk; mount a tmpfs at /run"
    )]
    NoMemory,
    /// The folder is another user's.
    #[error("`{0}` belongs to another user; remove it, and start the agent as root")]
    Foreign(PathBuf),
    /// The file system refused.
    #[error("could not write `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A value is not to be had.
    #[error("the content of `{0}` is missing or damaged; deploy the application again")]
    Content(String),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    |source| FilesError::Io { path, source }
}

/// The folders of files of an agent's containers.
#[derive(Debug, Clone)]
pub(super) struct Files {
    root: Option<PathBuf>,
}

impl Files {
    /// The folder of the agent whose data is there.
    pub(super) fn new(data: &Path) -> Self {
        let hash = hex::encode(Sha256::digest(data.as_os_str().as_encoded_bytes()));
        let own: String = hash.chars().take(HASH_CHARS).collect();
        let memory = CANDIDATES.iter().map(Path::new).find(|path| is_memory(path));
        Self {
            root: memory.map(|path| path.join(FOLDER).join(own)),
        }
    }

    /// Where the files of an allocation are.
    pub(super) fn folder(&self, id: AllocationId) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(id.to_string()))
    }

    /// They are written.
    pub(super) fn has(&self, id: AllocationId) -> bool {
        self.folder(id).is_some_and(|folder| folder.is_dir())
    }

    /// Writes the files of an allocation, all or none.
    pub(super) fn write(
        &self,
        id: AllocationId,
        files: &[FileSpec],
        values: &BTreeMap<SecretRef, String>,
    ) -> Result<(), FilesError> {
        let (root, folder) = self
            .root
            .as_ref()
            .zip(self.folder(id))
            .ok_or(FilesError::NoMemory)?;
        private(root)?;
        let unfinished = root.join(format!(".{id}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
        }
        private(&unfinished)?;
        for (index, file) in files.iter().enumerate() {
            let path = unfinished.join(file_name(index, file));
            one(&path, file, &content(file, values)?)?;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::rename(&unfinished, &folder).map_err(at(&folder))
    }

    /// Removes the files of an allocation, if it has any.
    pub(super) fn remove(&self, id: AllocationId) {
        if let Some(folder) = self.folder(id).filter(|folder| folder.exists())
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            tracing::warn!(%error, "could not remove `{}`", folder.display());
        }
    }

    /// Removes what belongs to no known allocation.
    pub(super) fn sweep(&self, known: &BTreeSet<AllocationId>) {
        let entries = self.root.as_ref().and_then(|root| fs::read_dir(root).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.trim_start_matches('.').parse::<AllocationId>();
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFTOVER_AGE));
            if old && id.is_ok_and(|id| !known.contains(&id)) {
                // Tried again at the next look.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn is_memory(path: &Path) -> bool {
    // The type has another width on some architectures.
    statfs(path).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

/// Makes a folder that only we can enter; one that is there must be ours.
fn private(folder: &Path) -> Result<(), FilesError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(at(folder))?;
    let own = rustix::process::geteuid().as_raw();
    for path in [folder.parent().unwrap_or(folder), folder] {
        let metadata = fs::symlink_metadata(path).map_err(at(path))?;
        if metadata.uid() != own || !metadata.is_dir() {
            return Err(FilesError::Foreign(path.to_owned()));
        }
    }
    Ok(())
}

fn one(path: &Path, file: &FileSpec, content: &[u8]) -> Result<(), FilesError> {
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    written.write_all(content).map_err(at(path))?;
    if file.uid.is_some() || file.gid.is_some() {
        chown(path, file.uid, file.gid).map_err(at(path))?;
    }
    let mode = Permissions::from_mode(file.mode.unwrap_or(DEFAULT_MODE));
    fs::set_permissions(path, mode).map_err(at(path))
}

fn content(file: &FileSpec, values: &BTreeMap<SecretRef, String>) -> Result<Vec<u8>, FilesError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let missing = || FilesError::Content(file.target.clone());
    match &file.content {
        EnvironmentValue::Plain(text) => Ok(text.clone().into_bytes()),
        EnvironmentValue::Secret(secret) => {
            let value = values.get(secret).ok_or_else(missing)?;
            if secret.key.ends_with(BASE64) {
                STANDARD.decode(value).map_err(|_| missing())
            } else {
                Ok(value.clone().into_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_ids::SecretId;

    fn secret(key: &str) -> SecretRef {
        SecretRef {
            secret_id: SecretId::from_u128(1),
            version: 1,
            key: key.to_owned(),
        }
    }

    fn file(content: EnvironmentValue, mode: Option<u32>) -> FileSpec {
        FileSpec {
            target: "/x".to_owned(),
            content,
            uid: None,
            gid: None,
            mode,
        }
    }

    #[test]
    fn all_files_are_written_or_none() {
        let data = tempfile::tempdir().unwrap();
        let files = Files::new(data.path());
        let id = AllocationId::from_u128(7);
        let specs = [
            file(EnvironmentValue::Plain("open".to_owned()), None),
            file(EnvironmentValue::Secret(secret("secrets/a")), Some(0o400)),
            file(EnvironmentValue::Secret(secret("secrets/b;base64")), None),
        ];
        let mut values = BTreeMap::from([(secret("secrets/a"), "planted".to_owned())]);
        let error = files.write(id, &specs, &values).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        assert!(!files.has(id));
        values.insert(secret("secrets/b;base64"), "AAH/".to_owned());
        files.write(id, &specs, &values).unwrap();
        let folder = files.folder(id).unwrap();
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        assert_eq!(
            (read("0"), read("1-secret"), read("2-secret")),
            (b"open".to_vec(), b"planted".to_vec(), vec![0, 1, 255])
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(
            (
                mode(&folder.join("0")),
                mode(&folder.join("1-secret")),
                mode(&folder)
            ),
            (0o444, 0o400, 0o700)
        );
        assert!(is_memory(&folder) && !folder.starts_with(data.path()));
        files.sweep(&BTreeSet::new());
        assert!(files.has(id), "a young folder was swept away");
        files.remove(id);
        assert!(!files.has(id));
    }
}
