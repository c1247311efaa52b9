//! Processes of a test, and waiting.

use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Time between two looks while waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a process may take to end when asked.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// A process of ours whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program with its output in `log`, appended.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Wraps a process started elsewhere.
    pub fn adopt(name: &str, child: Child) -> Self {
        Self {
            name: name.to_owned(),
            child,
        }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it at once (`kill -9`).
    pub fn kill(&mut self) {
        // An ended process needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// It did not end in time; it has been killed then.
    pub fn stop(&mut self) -> Result<()> {
        signal(self.pid(), "TERM")?;
        let started = Instant::now();
        while !self.has_ended() {
            if started.elapsed() > STOP_WAIT {
                self.kill();
                bail!("{} did not end within {STOP_WAIT:?}", self.name);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process of ours.
///
/// # Errors
/// `kill` could not be run.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .context("run kill")?;
    Ok(())
}

/// Waits until `look` finds what it looks for.
///
/// # Errors
/// It did not within the limit; the last thing that it found instead is named.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    let mut last = String::from("nothing yet");
    while started.elapsed() < limit {
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = format!("{error:#}"),
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    bail!("no {what} within {limit:?}; last: {last}")
}

/// The binary under test: `BERTH_BIN`, or the one that was built beside this program.
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BERTH_BIN") {
        return Ok(path.into());
    }
    let program = std::env::current_exe()?;
    // A test is in target/<profile>/deps, a benchmark in target/<profile>.
    let mut folders = program.ancestors().skip(1).take(2);
    let folder = folders.find(|folder| folder.join("berth").is_file());
    let Some(folder) = folder else {
        bail!(
            "`berth` is not beside {}: build it first with `cargo build -p berth`, in the same profile",
            program.display()
        );
    };
    Ok(folder.join("berth"))
}
