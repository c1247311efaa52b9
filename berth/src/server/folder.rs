//! The data folder: which file is where, and writing them so that only we may read them.

use crate::exit::{Failure, Outcome};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Rights of folders that only the server's account may enter.
const PRIVATE: u32 = 0o700;
/// Rights of the data folder: others (the account of Postgres) may pass through, not list.
const PASSAGE: u32 = 0o711;

/// The data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder and what is below it.
    ///
    /// # Errors
    /// The folder cannot be made or entered.
    pub fn open(root: &Path) -> Outcome<Self> {
        make(root, PASSAGE)?;
        let root = root
            .canonicalize()
            .map_err(|error| failed("resolve", root, &error))?;
        let folder = Self { root };
        make(&folder.ca(), PRIVATE)?;
        Ok(folder)
    }

    /// Itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Our own CA and the certificates that it gives out.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca")
    }
    /// Database URLs of the services' roles.
    pub fn roles(&self) -> PathBuf {
        self.root.join("roles.json")
    }
    /// Where the own servers of this folder are.
    pub fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }
    /// What the command line on this machine reads.
    pub fn client(&self) -> PathBuf {
        self.root.join("client.toml")
    }
    /// Port of the own NATS when any free one was asked for.
    pub fn nats_port(&self) -> PathBuf {
        self.root.join("nats.port")
    }
}

/// Makes a folder with rights; one that is there keeps its own.
///
/// # Errors
/// It cannot be made.
pub fn make(path: &Path, mode: u32) -> Outcome {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| failed("make", path, &error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| failed("set the rights of", path, &error))
}

/// Makes a folder that only this account may enter.
///
/// # Errors
/// It cannot be made.
pub fn make_private(path: &Path) -> Outcome {
    make(path, PRIVATE)
}

/// Reads a JSON file; `None` if it is not there.
///
/// # Errors
/// It cannot be read or does not have its shape.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Outcome<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| failed("understand", path, &error))
}

/// Writes a JSON file that only this account may read; readers see the old or the new one.
///
/// # Errors
/// It cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|error| failed("write", path, &error))?;
    write_private(path, &text)
}

/// Writes a file that only this account may read; readers see the old or the new one.
///
/// # Errors
/// It cannot be written.
pub fn write_private(path: &Path, text: &str) -> Outcome {
    let fresh = path.with_extension(format!("fresh{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let written = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path));
    written.map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::other(format!("could not {what} `{}`: {error}", path.display()))
        .cure("run as an account that may write there, or choose another folder with --data")
}
