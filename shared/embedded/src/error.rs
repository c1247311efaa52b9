//! What can go wrong with an embedded server; every message names the place and the cure.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of an embedded server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is nowhere to be found.
    #[error("could not find `{program}`: looked in {searched}; install it with: {install}")]
    NotFound {
        /// The program.
        program: &'static str,
        /// Places that were looked at, in order.
        searched: String,
        /// The command that installs it.
        install: &'static str,
    },
    /// A program is there but too old.
    #[error("`{path}` is version {found}, but {wanted} or newer is needed; install it with: {install}")]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that works.
        wanted: &'static str,
        /// The command that installs a newer one.
        install: &'static str,
    },
    /// A program printed a version that cannot be read.
    #[error("`{path} {argument}` printed no version but `{output}`; is it the right program?")]
    UnknownVersion {
        /// The program.
        path: PathBuf,
        /// The argument that asks for the version.
        argument: &'static str,
        /// What it printed.
        output: String,
    },
    /// The data were written by another major version of Postgres.
    #[error(
        "the data in `{folder}` are of Postgres {data}, but `{program}` is Postgres {binary}; set \
         BERTH_POSTGRES_BIN to the programs of Postgres {data}, or move the data by pg_dump and pg_restore"
    )]
    DataVersion {
        /// The data folder.
        folder: PathBuf,
        /// Version of the data.
        data: String,
        /// The program.
        program: PathBuf,
        /// Version of the program.
        binary: String,
    },
    /// Another process works on the same folder.
    #[error(
        "`{path}` is in use by another server (pid {holder}); stop that one or choose another data folder"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as is known.
        holder: String,
    },
    /// The account that Postgres runs as cannot enter a folder above its data.
    #[error(
        "the folder `{folder}` cannot be entered by the account `{account}`, as which Postgres runs because it \
         refuses root; allow it with `chmod o+x {folder}` or choose a data folder elsewhere, such as /var/lib/berth"
    )]
    NotTraversable {
        /// The closed folder.
        folder: PathBuf,
        /// The account.
        account: String,
    },
    /// No account to run Postgres as.
    #[error(
        "Postgres refuses to run as root and there is no account {tried} in /etc/passwd; \
         create one with: useradd --system postgres"
    )]
    NoAccount {
        /// The names looked for.
        tried: String,
    },
    /// A folder that must be ours belongs to someone else.
    #[error(
        "`{folder}` exists and belongs to uid {owner}, not to uid {wanted}; remove it or choose another data folder"
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who should own it.
        wanted: u32,
    },
    /// A helper program failed.
    #[error("{action} failed ({status}): {output}")]
    Tool {
        /// What was being done.
        action: String,
        /// The exit status.
        status: String,
        /// What it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("{name} ended before it was ready ({status}); its last lines (all in `{log}`):\n{tail}")]
    EndedEarly {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The server did not become ready in time.
    #[error("{name} was not ready after {waited:?}; its last lines (all in `{log}`):\n{tail}")]
    NotReady {
        /// Which server.
        name: &'static str,
        /// How long was waited.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The server refused a new configuration.
    #[error("nats-server refused the new configuration and goes on with the old one: {output}")]
    Reload {
        /// What it said.
        output: String,
    },
    /// Something of the operating system.
    #[error("could not {action} `{path}`")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The runtime gave the waiting task up.
    #[error("the task that {action} was given up because the runtime is shutting down")]
    Abandoned {
        /// What it did.
        action: &'static str,
    },
}

/// Turns an IO error into ours, with what was being done and to what.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { action, path, source }
}
