//! A command line in a running container, and its end if it takes too long.

use super::{Engine, EngineError, logs::hide};
use berth_agent_core::MAX_MESSAGE_BYTES;
use bollard::{
    Docker,
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::InspectContainerOptions,
};
use futures::StreamExt;
use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The longest wait for a line that was ended; what it started may keep its output open.
const ENDING_PATIENCE: Duration = Duration::from_secs(300);
/// Looks for processes that a line has started meanwhile.
const MAX_ROUNDS: u32 = 5;

/// What a command line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It has ended.
    Ended {
        /// Its exit code.
        code: i64,
        /// The end of what it wrote, values of the container's secrets left out; empty if all is well.
        output: String,
    },
    /// It took too long, and was ended with all that it had started.
    Late,
}

impl Engine {
    /// Runs a line in a container's shell and waits for its end; one that takes longer than it may is ended.
    ///
    /// # Errors
    /// [`EngineError`]: the container does not run, or has no shell.
    pub async fn run(&self, container: &str, line: &str, longest: Duration) -> Result<Ran, EngineError> {
        let docker = self.docker().await?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["/bin/sh", "-c", line]),
            ..CreateExecOptions::default()
        };
        let exec = docker
            .create_exec(container, options)
            .await
            .map_err(|e| self.error(e))?;
        let mut running = std::pin::pin!(self.finish(&docker, container, &exec.id));
        if let Ok(ran) = tokio::time::timeout(longest, &mut running).await {
            return ran;
        }
        if !end(&docker, &exec.id).await {
            tracing::warn!("a line in container {container} takes too long, and this agent cannot end it");
        }
        // What it says then comes too late to count.
        let _ = tokio::time::timeout(ENDING_PATIENCE, running).await;
        Ok(Ran::Late)
    }

    async fn finish(&self, docker: &Docker, container: &str, exec: &str) -> Result<Ran, EngineError> {
        let mut bytes = Vec::new();
        if let StartExecResults::Attached { mut output, .. } =
            docker.start_exec(exec, None).await.map_err(|e| self.error(e))?
        {
            while let Some(chunk) = output.next().await {
                bytes.extend_from_slice(&chunk.map_err(|e| self.error(e))?.into_bytes());
                // Of much output the end says most.
                let surplus = bytes.len().saturating_sub(MAX_MESSAGE_BYTES);
                bytes.drain(..surplus);
            }
        }
        let ended = docker.inspect_exec(exec).await.map_err(|e| self.error(e))?;
        let code = ended.exit_code.unwrap_or(-1);
        if code == 0 {
            return Ok(Ran::Ended {
                code,
                output: String::new(),
            });
        }
        let answer = docker
            .inspect_container(container, None::<InspectContainerOptions>)
            .await;
        let values = answer
            .map(|answer| super::logs::secret_values(&answer))
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let output = hide(text.trim(), &values);
        Ok(Ran::Ended { code, output })
    }
}

/// Ends a line with all that it has started. The engine cannot; its process is one of this node, so the agent does.
/// `false`: the process is not to be found, because the agent does not see the node's processes.
async fn end(docker: &Docker, exec: &str) -> bool {
    let Some(pid) = process_of(docker, exec).await else {
        return false;
    };
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    // It is held now: if the engine still says so, the number was not given to another meanwhile.
    if process_of(docker, exec).await != Some(pid) {
        return true;
    }
    let ended = tokio::task::spawn_blocking(move || end_all(pid, &held)).await;
    ended.unwrap_or(false)
}

/// The process of a line that runs.
async fn process_of(docker: &Docker, exec: &str) -> Option<Pid> {
    let known = docker.inspect_exec(exec).await.ok()?;
    let pid = known.pid.filter(|_| known.running == Some(true))?;
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Stops the process, so that it starts nothing more, then ends all below it and itself.
fn end_all(first: Pid, held: &OwnedFd) -> bool {
    // One that has ended meanwhile needs no signal.
    let _ = pidfd_send_signal(held, Signal::STOP);
    for _ in 0..MAX_ROUNDS {
        let below = below(first.as_raw_nonzero().get());
        if below.is_empty() {
            break;
        }
        for pid in below.into_iter().filter_map(Pid::from_raw) {
            if let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) {
                let _ = pidfd_send_signal(&held, Signal::KILL);
            }
        }
    }
    pidfd_send_signal(held, Signal::KILL).is_ok()
}

/// Processes that run and descend from one.
fn below(first: i32) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let all = procfs::process::all_processes().into_iter().flatten();
    for stat in all.filter_map(|process| process.ok()?.stat().ok()) {
        // One that has ended waits for its parent, which is stopped.
        if stat.state != 'Z' {
            children.entry(stat.ppid).or_default().push(stat.pid);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![first]);
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn all_that_a_process_has_started_ends_with_it() {
        let line = "sleep 987 & (sleep 988; true) & sleep 989";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", line])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&shell);
        let number = pid.as_raw_nonzero().get();
        for _ in 0..200 {
            if below(number).len() >= 4 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let started = below(number);
        assert!(started.len() >= 3, "{started:?}");
        let held = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert!(end_all(pid, &held));
        assert!(!shell.wait().unwrap().success());
        let alive = |pid: &i32| {
            let stat = procfs::process::Process::new(*pid).and_then(|process| process.stat());
            stat.is_ok_and(|stat| stat.state != 'Z')
        };
        for _ in 0..200 {
            if !started.iter().any(alive) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("some of {started:?} are still there");
    }
}
