//! One node of the lab: a network namespace with a Docker Engine of its own.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::clean;
use crate::error::{Error, io_error};
use crate::image;
use crate::names::Names;
use crate::network;
use crate::system::{run, run_command, runs, tail};

const READY_PATIENCE: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(50);
const PING_PATIENCE: Duration = Duration::from_secs(2);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const TAIL_LINES: usize = 15;
/// Engines before this take their identity from a key file that all engines of a machine would share.
const NO_KEY_FILE_SINCE: u32 = 23;

/// A node.
#[derive(Debug)]
pub struct Node {
    number: usize,
    names: Names,
    folder: PathBuf,
    engine: Option<Child>,
}

impl Node {
    pub(crate) fn new(names: Names, number: usize, root: &Path) -> Self {
        Self {
            number,
            names,
            folder: root.join(format!("n{number}")),
            engine: None,
        }
    }

    /// Its number, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its address on the lab's network.
    pub fn address(&self) -> Ipv4Addr {
        self.names.address(self.number)
    }

    /// Its folder; an agent may keep its data there too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The unix socket of its engine.
    pub fn docker_socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The same as a `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.docker_socket().display())
    }

    /// The path of its network namespace.
    pub fn netns(&self) -> PathBuf {
        self.names.namespace_path(self.number)
    }

    /// The engine's log file.
    pub fn engine_log(&self) -> PathBuf {
        self.folder.join("dockerd.log")
    }

    /// A command that will run inside the node's network.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        // Not `ip netns exec`: that mounts /sys anew, and the control groups vanish.
        command
            .arg(format!("--net={}", self.netns().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Starts a program, with the arguments, environment and folder of `command`, inside the node's network.
    /// Its output goes to `<name>.log` in the node's folder. It is killed when the lab ends.
    pub fn spawn_in(&self, name: &str, command: &Command) -> Result<Child, Error> {
        let mut inside = self.command(command.get_program());
        inside.args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        spawn_logged(inside, &self.folder.join(format!("{name}.log")))
    }

    /// Runs `docker` against this node's engine; its output.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, Error> {
        run("docker", &[&["-H", &self.docker_host()], arguments].concat())
    }

    /// Makes an image of the machine's static busybox, with a web server as its command.
    pub fn import_busybox(&self, name: &str) -> Result<(), Error> {
        image::import_busybox(&self.docker_host(), name)
    }

    /// Starts the engine and waits until it answers.
    pub fn start_engine(&mut self) -> Result<(), Error> {
        self.launch_engine()?;
        self.wait_engine()
    }

    pub(crate) fn launch_engine(&mut self) -> Result<(), Error> {
        self.reap();
        fs::create_dir_all(&self.folder).map_err(io_error("make the folder", &self.folder))?;
        let config = self.folder.join("daemon.json");
        fs::write(&config, self.engine_config()?).map_err(io_error("write", &config))?;
        // Dead processes that nobody reaps keep their numbers, and the engine would take them for alive.
        for stale in [self.pid_file(), self.containerd_pid_file(), self.docker_socket()] {
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", stale)(error));
                }
                _ => {}
            }
        }
        let mut command = self.command("dockerd");
        command.arg("--config-file").arg(config);
        command.arg("--data-root").arg(self.folder.join("data"));
        command.arg("--exec-root").arg(self.folder.join("exec"));
        command.arg("--pidfile").arg(self.pid_file());
        command.arg("-H").arg(self.docker_host());
        command.args(["--insecure-registry", &self.names.network()]);
        command.args(["--bip", &Names::engine_network(self.number)]);
        command.args([
            "--cgroup-parent",
            &format!("/{}", self.names.node_cgroup(self.number)),
        ]);
        command.args([
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            "--log-level",
            "warn",
        ]);
        self.engine = Some(spawn_logged(command, &self.engine_log())?);
        Ok(())
    }

    /// A file of its own keeps the machine's `/etc/docker/daemon.json` out.
    fn engine_config(&self) -> Result<String, Error> {
        if engine_major()? >= NO_KEY_FILE_SINCE {
            return Ok("{}\n".into());
        }
        let key = self.folder.join("key.json");
        Ok(format!("{{\"deprecated-key-path\": \"{}\"}}\n", key.display()))
    }

    pub(crate) fn wait_engine(&mut self) -> Result<(), Error> {
        let until = Instant::now() + READY_PATIENCE;
        while Instant::now() < until {
            if self.engine_answers() {
                return Ok(());
            }
            if self
                .engine
                .as_mut()
                .is_some_and(|engine| engine.try_wait().is_ok_and(|end| end.is_some()))
            {
                break;
            }
            std::thread::sleep(READY_POLL);
        }
        let log = self.engine_log();
        let tail = tail(&log, TAIL_LINES);
        Err(Error::EngineNotReady {
            node: self.number,
            waited: READY_PATIENCE,
            log,
            tail,
        })
    }

    /// Whether the engine answers now.
    pub fn engine_answers(&self) -> bool {
        ping(&self.docker_socket()).is_ok_and(|answered| answered)
    }

    /// The process id of the engine, while it runs.
    pub fn engine_pid(&self) -> Option<u32> {
        running(&self.pid_file())
    }

    /// Kills the engine; its containers go on without it until it starts again.
    pub fn kill_engine(&mut self) -> Result<(), Error> {
        self.end_engine(Signal::KILL)
    }

    /// Stops the engine in order, and its containers with it.
    pub fn stop_engine(&mut self) -> Result<(), Error> {
        self.end_engine(Signal::TERM)
    }

    fn end_engine(&mut self, signal: Signal) -> Result<(), Error> {
        end(self.engine_pid(), signal, || self.reap())?;
        // Started by the engine, it ends with it; but not at once, and the next engine must not meet it.
        end(running(&self.containerd_pid_file()), signal, || ())
    }

    /// The power goes out: engine, containers and everything else in the node end at once.
    pub fn power_off(&mut self) {
        clean::kill_node(self.names, self.number);
        self.reap();
    }

    /// Unplugs the node from the lab's network.
    pub fn cut_link(&self) -> Result<(), Error> {
        network::set_cable(self.names, self.number, "down")
    }

    /// Plugs it in again.
    pub fn join_link(&self) -> Result<(), Error> {
        network::set_cable(self.names, self.number, "up")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("dockerd.pid")
    }

    fn containerd_pid_file(&self) -> PathBuf {
        self.folder.join("exec/containerd/containerd.pid")
    }

    /// Takes note of the engine's end, so that it does not stay as a zombie.
    pub(crate) fn reap(&mut self) {
        if self
            .engine
            .as_mut()
            .is_some_and(|engine| engine.try_wait().is_ok_and(|end| end.is_some()))
        {
            self.engine = None;
        }
    }
}

/// The process that a pid file names, if it runs.
fn running(pid_file: &Path) -> Option<u32> {
    let text = fs::read_to_string(pid_file).ok()?;
    text.trim()
        .parse::<u32>()
        .ok()
        .filter(|pid| i32::try_from(*pid).is_ok_and(runs))
}

/// Sends a signal and waits for the end.
fn end(pid: Option<u32>, signal: Signal, mut reap: impl FnMut()) -> Result<(), Error> {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return Ok(());
    };
    let _ = kill_process(pid, signal);
    let until = Instant::now() + STOP_PATIENCE;
    while runs(pid.as_raw_nonzero().get()) {
        reap();
        if Instant::now() > until {
            return Err(Error::Leftovers(vec![format!("process {pid} of the engine")]));
        }
        std::thread::sleep(READY_POLL);
    }
    reap();
    Ok(())
}

fn spawn_logged(mut command: Command, log: &Path) -> Result<Child, Error> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(io_error("open", log))?;
    let copy = file.try_clone().map_err(io_error("open", log))?;
    // Its own process group: Ctrl-C at the terminal is not for it.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy);
    let program = PathBuf::from(command.get_program());
    command.spawn().map_err(io_error("run", program))
}

fn ping(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING_PATIENCE))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = [0_u8; 15];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b"200 OK"))
}

fn engine_major() -> Result<u32, Error> {
    let mut command = Command::new("dockerd");
    command.arg("--version");
    // "Docker version 20.10.24+dfsg1, build 297e128"
    let text = run_command(command)?;
    let version = text.split_whitespace().nth(2).unwrap_or_default();
    Ok(version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or(NO_KEY_FILE_SINCE))
}
