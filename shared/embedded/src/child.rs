//! One supervised program: started, watched, restarted with backoff, stopped politely and then by force.
//!
//! Each program has a thread of its own that starts it and waits for it. It must be a thread that lives
//! as long as the program: the kernel sends the parent-death signal when the *thread* that forked ends.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::error::{Error, io_error};
use crate::output::Output;

/// Pause before the first restart; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran this long starts again at the first pause.
const STABLE_AFTER: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(10);
/// How long a killed program may take to vanish.
const KILLED_PATIENCE: Duration = Duration::from_secs(10);

/// What to run and how to end it.
pub(crate) struct Program {
    /// Name for messages.
    pub name: &'static str,
    /// Makes the command anew for each start.
    pub command: Box<dyn Fn() -> Command + Send>,
    /// Runs before each start; an error counts as a failed start.
    pub prepare: Box<dyn Fn() -> Result<(), Error> + Send>,
    /// The signal that asks it to end.
    pub polite: Signal,
    /// How long it may take to do so.
    pub patience: Duration,
}

/// A program under supervision.
pub(crate) struct Supervised {
    name: &'static str,
    polite: Signal,
    patience: Duration,
    shared: Arc<Shared>,
    output: Output,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pid: Option<Pid>,
    stopping: bool,
    finished: bool,
    /// How the last run ended; `None` while there was none.
    last_end: Option<String>,
    restarts: u32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` or until `patience` is over; says whether it was done.
    fn wait(&self, patience: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, patience, |state| !done(state));
        done(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Supervised {
    pub fn start(program: Program, output: Output) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let (name, polite, patience) = (program.name, program.polite, program.patience);
        let watcher = Watcher {
            program,
            shared: shared.clone(),
            output: output.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("{name}-watch"))
            .spawn(move || watcher.run())
            .map_err(io_error(
                "start the watching thread of",
                std::path::Path::new(name),
            ))?;
        Ok(Self {
            name,
            polite,
            patience,
            shared,
            output,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The process id, unless the program is between two runs.
    pub fn pid(&self) -> Option<Pid> {
        self.shared.lock().pid
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.shared.lock().restarts
    }

    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Waits until `ready` says yes for the running program; a first run that ends is an error.
    pub fn wait_ready(&self, patience: Duration, ready: impl Fn(Pid) -> bool) -> Result<(), Error> {
        let until = Instant::now() + patience;
        let (name, log) = (self.name, self.output.path().to_path_buf());
        while Instant::now() < until {
            let (pid, last_end) = {
                let state = self.shared.lock();
                (state.pid, state.last_end.clone())
            };
            if let Some(status) = last_end {
                return Err(Error::EndedEarly {
                    name,
                    status,
                    log,
                    tail: self.output.tail(),
                });
            }
            if pid.is_some_and(&ready) {
                return Ok(());
            }
            std::thread::sleep(READY_POLL);
        }
        Err(Error::NotReady {
            name,
            waited: patience,
            log,
            tail: self.output.tail(),
        })
    }

    /// Sends a signal to the running program.
    pub fn signal(&self, signal: Signal) {
        // Under the lock the pid cannot have been reaped and given to another process.
        if let Some(pid) = self.shared.lock().pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends the program: politely, then by force. Waits until it is gone.
    pub fn stop(&self) {
        self.stop_within(self.patience);
    }

    /// As [`Supervised::stop`], with another patience.
    pub fn stop_within(&self, patience: Duration) {
        // A second caller waits here until the first is done.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return };
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        self.signal(self.polite);
        if !self.shared.wait(patience, |state| state.finished) {
            tracing::warn!("{} did not end within {patience:?} and is killed", self.name);
            self.signal(Signal::KILL);
        }
        if self.shared.wait(KILLED_PATIENCE, |state| state.finished) {
            let _ = thread.join();
        } else {
            tracing::error!(
                "{} is still there {KILLED_PATIENCE:?} after it was killed",
                self.name
            );
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Watcher {
    program: Program,
    shared: Arc<Shared>,
    output: Output,
}

impl Watcher {
    fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let end = self.run_once();
            let mut state = self.shared.lock();
            if state.stopping {
                state.finished = true;
                self.shared.changed.notify_all();
                return;
            }
            if began.elapsed() >= STABLE_AFTER {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(
                restart_in_ms = pause.as_millis(),
                "{} ended unexpectedly: {end}",
                self.program.name
            );
            state.last_end = Some(end);
            drop(state);
            self.shared.wait(pause, |state| state.stopping);
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.shared.lock().restarts += 1;
        }
    }

    /// One run of the program, from its start to its end; says how it ended.
    fn run_once(&self) -> String {
        if let Err(error) = (self.program.prepare)() {
            return describe(&error);
        }
        let mut command = (self.program.command)();
        // Its own process group: Ctrl-C at the terminal is for us, who then stop it in order.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = {
            let mut state = self.shared.lock();
            if state.stopping {
                return "stopped before it began".into();
            }
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return format!("could not run {:?}: {error}", command.get_program()),
            };
            state.pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            self.shared.changed.notify_all();
            child
        };
        if let Some(stdout) = child.stdout.take() {
            self.output.pump(self.program.name, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            self.output.pump(self.program.name, stderr);
        }
        if let Some(pid) = self.shared.lock().pid {
            tracing::info!(pid = pid.as_raw_nonzero().get(), "{} started", self.program.name);
        }
        self.wait_for_end(&mut child)
    }

    fn wait_for_end(&self, child: &mut std::process::Child) -> String {
        let pid = self.shared.lock().pid;
        if let Some(pid) = pid {
            // Waits without reaping: the pid stays ours until the state no longer names it.
            while let Err(rustix::io::Errno::INTR) =
                waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
        }
        let mut state = self.shared.lock();
        state.pid = None;
        self.shared.changed.notify_all();
        match child.wait() {
            Ok(status) => describe_status(status),
            Err(error) => format!("could not be waited for: {error}"),
        }
    }
}

fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn describe_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static str) -> Program {
        Program {
            name: "shell",
            command: Box::new(move || {
                let mut command = Command::new("sh");
                command.arg("-c").arg(script);
                command
            }),
            prepare: Box::new(|| Ok(())),
            polite: Signal::TERM,
            patience: Duration::from_millis(300),
        }
    }

    fn start(script: &'static str) -> (Supervised, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(folder.path().join("log"));
        (Supervised::start(shell(script), output).unwrap(), folder)
    }

    fn wait_pid(child: &Supervised) -> Pid {
        assert!(
            child
                .shared
                .wait(Duration::from_secs(5), |state| state.pid.is_some())
                || child.pid().is_some()
        );
        child.wait_ready(Duration::from_secs(5), |_| true).ok();
        child.pid().unwrap()
    }

    #[test]
    fn comes_back_after_a_kill_and_ends_when_asked() {
        let (child, _folder) = start("exec sleep 300");
        let first = wait_pid(&child);
        kill_process(first, Signal::KILL).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while child.pid().is_none_or(|pid| pid == first) {
            assert!(Instant::now() < until, "not restarted");
            std::thread::sleep(READY_POLL);
        }
        assert_eq!(child.restarts(), 1);
        child.stop();
        assert_eq!(child.pid(), None);
    }

    #[test]
    fn what_ignores_the_polite_signal_is_killed() {
        let (child, _folder) = start("trap '' TERM; echo up; while :; do sleep 0.05; done");
        child
            .output()
            .wait_for(0, Duration::from_secs(5), |line| (line == "up").then_some(()))
            .unwrap();
        let began = Instant::now();
        child.stop();
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(child.pid(), None);
    }

    #[test]
    fn an_early_end_is_told_with_its_last_lines() {
        let (child, _folder) = start("echo no luck; exit 3");
        std::thread::sleep(Duration::from_millis(200));
        let error = child
            .wait_ready(Duration::from_secs(5), |_| false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit code 3") && error.contains("no luck"),
            "{error}"
        );
    }
}
