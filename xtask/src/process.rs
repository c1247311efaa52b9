//! Programs: run to the end, started in the background, stopped by number.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

const POLL: Duration = Duration::from_millis(50);
/// How long a killed process may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// The column of a process's start time in `/proc/<pid>/stat`, counted behind the name.
const START_COLUMN: usize = 19;
const TAIL_LINES: usize = 20;

/// Says what is being done.
pub(crate) fn step(text: &str) {
    println!("==> {text}");
}

/// Runs a command with its output shown; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("could not run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed; its failure is an error that tells its messages.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output();
    captured(command, output)
}

/// The same, with something on its standard input.
pub(crate) fn capture_with(command: &mut Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says so by its code.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    });
    captured(command, output)
}

fn captured(command: &Command, output: std::io::Result<Output>) -> Result<String> {
    let output = output.with_context(|| format!("could not run `{}`", shown(command)))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .trim()
            .to_owned();
        bail!("`{}` failed ({}): {messages}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A process that was started in the background. Numbers are used again, so the start time belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Background {
    pub name: String,
    pid: i32,
    started: String,
}

impl Background {
    /// Starts a command whose output goes to a log file; it stays when we end.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("could not open `{}`", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("could not run `{}`", shown(&command)))?;
        let pid = i32::try_from(child.id()).context("a process number past its range")?;
        let started = start_time(pid).with_context(|| format!("{name} ended at once:\n{}", tail(log)))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            started,
        })
    }

    pub fn runs(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Asks it to end, waits, kills it if it does not.
    pub fn stop(&self, patience: Duration) -> Result<()> {
        for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, KILL_PATIENCE)] {
            if !self.runs() {
                return Ok(());
            }
            if let Some(pid) = Pid::from_raw(self.pid) {
                let _ = kill_process(pid, signal);
            }
            let until = Instant::now() + patience;
            while self.runs() && Instant::now() < until {
                std::thread::sleep(POLL);
            }
        }
        if self.runs() {
            bail!("{} (process {}) does not end", self.name, self.pid);
        }
        Ok(())
    }
}

/// When a process began; `None` if it is not there, or only waits to be reaped.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut columns = stat.rsplit(") ").next()?.split(' ');
    let state = columns.next()?;
    if state == "Z" {
        None
    } else {
        columns.nth(START_COLUMN - 1).map(str::to_owned)
    }
}

/// Waits until `ready` says yes; an error tells the end of the log.
pub(crate) fn wait_until(
    what: &str,
    patience: Duration,
    log: &Path,
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let until = Instant::now() + patience;
    while !ready()? {
        if Instant::now() > until {
            bail!(
                "{what} after {patience:?}; the end of `{}`:\n{}",
                log.display(),
                tail(log)
            );
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_process_is_known_by_number_and_start() {
        let log = std::env::temp_dir().join(format!("xtask-test-{}", std::process::id()));
        let mut command = Command::new("sleep");
        command.arg("300");
        let process = Background::start("sleeper", command, &log).unwrap();
        assert!(process.runs());
        let stranger = Background {
            started: "1".into(),
            ..process.clone()
        };
        assert!(!stranger.runs(), "another process with this number is not ours");
        stranger.stop(Duration::from_secs(1)).unwrap();
        assert!(process.runs());
        process.stop(Duration::from_secs(5)).unwrap();
        assert!(!process.runs());
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn what_is_secret_goes_in_by_standard_input() {
        let mut command = Command::new("sh");
        command.args(["-c", "read word; echo got $word"]);
        assert_eq!(capture_with(&mut command, "a-token\n").unwrap(), "got a-token\n");
        let mut deaf = Command::new("sh");
        let error = capture_with(deaf.args(["-c", "exit 3"]), "a-token")
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit 3") && !error.contains("a-token"), "{error}");
    }

    #[test]
    fn failures_show_command_and_messages() {
        let error = capture(Command::new("sh").args(["-c", "echo no luck >&2; exit 4"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit 4") && error.contains("no luck"), "{error}");
    }
}
