//! What can go wrong with a lab.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces and engines need root.
    #[error("a lab of Docker engines needs root: it makes network namespaces, bridges and mounts")]
    NotRoot,
    /// A program is missing.
    #[error(
        "`{program}` is not installed; install it with: apt-get install -y --no-install-recommends {package}"
    )]
    MissingProgram {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A command ended with an error.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// What was run.
        command: String,
        /// Its exit status.
        status: String,
        /// What it printed.
        output: String,
    },
    /// An engine did not become ready.
    #[error("the engine of node {node} was not ready after {waited:?}; the end of `{log}`:\n{tail}")]
    EngineNotReady {
        /// Number of the node.
        node: usize,
        /// How long was waited.
        waited: Duration,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// Too many labs at once on this machine.
    #[error("all {0} places for labs on this machine are taken; see /run/berth-lab")]
    NoSlot(u8),
    /// Too many nodes, or none.
    #[error("a lab has 1 to {most} nodes, not {asked}")]
    NodeCount {
        /// The most.
        most: usize,
        /// What was asked for.
        asked: usize,
    },
    /// The machine has no static busybox.
    #[error(
        "`{0}` is not a static program; install it with: apt-get install -y --no-install-recommends busybox-static"
    )]
    NoStaticBusybox(PathBuf),
    /// Something is left after the removal.
    #[error("the lab could not be removed completely; left: {}", .0.join("; "))]
    Leftovers(Vec<String>),
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
}

/// Turns an IO error into ours, with what was being done and to what.
pub(crate) fn io_error(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io { action, path, source }
}
