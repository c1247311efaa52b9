//! One temporary Postgres and one NATS server for a test.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use berth_embedded::{Durability, Embedded, EmbeddedOptions, NatsOptions, Pids, PostgresOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// A folder in memory, on which servers of tests start several times as fast as on a busy disk.
const MEMORY: &str = "/dev/shm";
/// It is only used with so much room: there are several tests at once, and in containers it is small.
const MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const PREFIX: &str = "berth-test-";
/// Held as long as the folder is in use.
const LOCK: &str = "in-use.lock";
/// Tests do not wait for a tidy end.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// The database that new ones are made from.
const MAINTENANCE: &str = "postgres";

/// Why the servers of a test could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server did not start.
    #[error("the servers of the test did not start")]
    Start(#[from] berth_embedded::Error),
    /// A folder could not be made.
    #[error("could not make the folder `{0}` of the test")]
    Folder(PathBuf, #[source] io::Error),
    /// A database could not be made.
    #[error("could not create the database `{0}`")]
    Database(String, #[source] sqlx::Error),
}

/// A Postgres and a NATS server (JetStream on, no login) in a temporary folder.
///
/// Dropping it ends both and removes the folder. If the test is killed, the kernel ends both, and the next
/// test that starts removes the folder.
pub struct TestServices {
    embedded: Embedded,
    folder: PathBuf,
    databases: AtomicU32,
    _lock: File,
}

impl TestServices {
    /// Starts both servers.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with("").await
    }

    /// Starts both servers, with more lines for the configuration of NATS (users, accounts, TLS, limits).
    pub async fn start_with(nats_extra: &str) -> Result<Self, Error> {
        let base = base_folder();
        // Also where others would have put theirs.
        for place in [&base, &std::env::temp_dir()] {
            remove_abandoned(place);
        }
        let (folder, lock) = make_folder(&base)?;
        let options = EmbeddedOptions {
            data: folder.clone(),
            postgres: PostgresOptions {
                durability: Durability::ProcessOnly,
                template_folder: build_folder(),
                ..PostgresOptions::default()
            },
            nats: NatsOptions {
                extra: nats_extra.to_owned(),
                sync_always: false,
                ..NatsOptions::default()
            },
            ..EmbeddedOptions::default()
        };
        match Embedded::start(options).await {
            Ok(embedded) => Ok(Self {
                embedded,
                folder,
                databases: AtomicU32::new(0),
                _lock: lock,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error.into())
            }
        }
    }

    /// A new, empty database; its URL (superuser).
    pub async fn fresh_database(&self) -> Result<String, Error> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        self.create_database(&format!("test_{number}"), "template1").await
    }

    /// A copy of another database, to which nobody may be connected; its URL.
    pub async fn copied_database(&self, template: &str) -> Result<String, Error> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        self.create_database(&format!("test_{number}"), template).await
    }

    async fn create_database(&self, name: &str, template: &str) -> Result<String, Error> {
        let failed = |error| Error::Database(name.to_owned(), error);
        let url = self.embedded.postgres_url(MAINTENANCE);
        let mut connection = PgConnection::connect(&url).await.map_err(failed)?;
        let statement = format!("create database \"{name}\" template \"{template}\"");
        connection
            .execute(AssertSqlSafe(statement))
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Ok(self.embedded.postgres_url(name))
    }

    /// The URL of a database by name; `postgres` is always there.
    pub fn postgres_url(&self, database: &str) -> String {
        self.embedded.postgres_url(database)
    }

    /// The URL of NATS.
    pub fn nats_url(&self) -> String {
        self.embedded.nats_url()
    }

    /// The process ids, for tests that kill.
    pub fn pids(&self) -> Pids {
        self.embedded.pids()
    }

    /// The servers themselves.
    pub fn embedded(&self) -> &Embedded {
        &self.embedded
    }

    /// The folder of everything; a test may put its own files there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for TestServices {
    fn drop(&mut self) {
        self.embedded.stop_within(STOP_PATIENCE);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn make_folder(base: &Path) -> Result<(PathBuf, File), Error> {
    let folder = base.join(format!(
        "{PREFIX}{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    ));
    let failed = |error| Error::Folder(folder.clone(), error);
    // Passable for the account that Postgres runs as.
    DirBuilder::new().mode(0o711).create(&folder).map_err(failed)?;
    // Locked before it has its name, so that no other test ever sees it free.
    let unnamed = folder.join("unnamed");
    let lock = File::create(&unnamed).map_err(failed)?;
    lock.lock().map_err(failed)?;
    fs::rename(&unnamed, folder.join(LOCK)).map_err(failed)?;
    Ok((folder, lock))
}

/// Where folders of tests are made: where `TMPDIR` says, else in memory, else with other temporary files.
fn base_folder() -> PathBuf {
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize));
    if std::env::var_os("TMPDIR").is_none() && room >= MEMORY_BYTES {
        return PathBuf::from(MEMORY);
    }
    std::env::temp_dir()
}

/// The folder of build results, if this program lies in it (`target/debug/deps/test`): what is kept there for the
/// next test goes with `cargo clean`.
fn build_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent().filter(|folder| folder.ends_with("deps"))?;
    Some(folder.parent()?.parent()?.join("berth-testkit"))
}

/// Removes folders of tests that were killed: those whose lock nobody holds.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // A folder without a lock file is just being made.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
