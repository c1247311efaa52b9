//! What a user has: a server, engines as nodes, an agent on each, and `berth`.

use crate::{
    IMAGE,
    ports::Ports,
    process::{Process, binary, wait_for},
};
use anyhow::{Context, Result, bail};
use berth_lab::Lab;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;

/// The services of the platform.
pub const SERVICES: &[&str] = &[
    "ledger",
    "gateway",
    "cluster",
    "scheduler",
    "access",
    "lb",
    "log",
    "monitor",
];
/// How long the platform may take to be ready.
const READY_WAIT: Duration = Duration::from_secs(90);
/// Lines of a server's log that a failed start tells.
const LAST_LINES: usize = 20;
/// How long a node may take to join: the product promises 10 s.
const JOIN_WAIT: Duration = Duration::from_secs(10);

/// How the services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All in one process.
    One,
    /// One process a service.
    Split,
}

/// A running platform. Dropping it ends and removes everything.
pub struct Platform {
    /// The engines.
    pub lab: Lab,
    /// Processes of the server, by service; `server` for the one process.
    pub servers: BTreeMap<String, Process>,
    /// Agents, by number of the node from 1.
    pub agents: BTreeMap<usize, Process>,
    form: Form,
    environment: Vec<(String, String)>,
    folder: TempDir,
    ports: Ports,
}

impl Platform {
    /// Starts a platform with a cluster `main` and this many nodes `n1`, `n2` … whose engines have [`IMAGE`].
    ///
    /// # Errors
    /// Something did not start; the logs' place is named.
    pub fn start(form: Form, nodes: usize) -> Result<Self> {
        Self::start_with(form, nodes, &[])
    }

    /// The same, with environment variables for the server and the agents.
    ///
    /// # Errors
    /// Something did not start; the logs' place is named.
    pub fn start_with(form: Form, nodes: usize, environment: &[(&str, &str)]) -> Result<Self> {
        let mut platform = Self {
            lab: Lab::start(nodes.max(1)).context("start engines")?,
            servers: BTreeMap::new(),
            agents: BTreeMap::new(),
            form,
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            folder: tempfile::Builder::new().prefix("berth-e2e-").tempdir()?,
            ports: Ports::find()?,
        };
        // Postgres runs as another user and must be able to pass through.
        open_folder(platform.folder.path())?;
        platform.start_servers()?;
        platform.berth(&["cluster", "create", "main"])?;
        for number in 1..=nodes {
            platform
                .lab
                .node(number)
                .context("a node")?
                .import_busybox(IMAGE)?;
            platform.join(number)?;
        }
        Ok(platform)
    }

    /// Starts what is not running of the server.
    ///
    /// # Errors
    /// It did not become ready.
    pub fn start_servers(&mut self) -> Result<()> {
        match self.form {
            Form::One => self.start_server("server", &[])?,
            Form::Split => {
                self.start_server("embedded", &["--embedded-only"])?;
                for service in SERVICES {
                    self.start_server(service, &["--only", service])?;
                }
            }
        }
        self.wait_ready()
    }

    /// Starts one process of the server, if it does not run.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_server(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        if self
            .servers
            .get_mut(name)
            .is_some_and(|process| !process.has_ended())
        {
            return Ok(());
        }
        let mut command = Command::new(binary()?);
        let address = self.lab.host_address();
        command.arg("server").arg("--data").arg(self.data());
        command.args(["--listen", &format!("0.0.0.0:{}", self.ports.https)]);
        command.args(["--http", &format!("127.0.0.1:{}", self.ports.http)]);
        command.args(["--nats", &format!("0.0.0.0:{}", self.ports.nats)]);
        command.args(["--advertise", &format!("127.0.0.1,localhost,{address}")]);
        let metrics = match (self.form, name) {
            (Form::One, _) => format!("127.0.0.1:{}", self.ports.metrics),
            (Form::Split, _) => "off".into(),
        };
        command.args(["--metrics", &metrics]).args(arguments);
        command.envs(self.environment.iter().cloned());
        let log = self.folder.path().join(format!("{name}.log"));
        self.servers
            .insert(name.to_owned(), Process::start(name, command, &log)?);
        if name == "embedded" {
            let data = self.data();
            wait_for("credentials of services", READY_WAIT, || {
                Ok(data.join("creds").is_dir().then_some(()))
            })?;
        }
        Ok(())
    }

    /// Waits until every service is well and the command line is served.
    ///
    /// # Errors
    /// It took too long, or a server ended; the last lines of the logs are told, since the logs go with the platform.
    fn wait_ready(&mut self) -> Result<()> {
        let ready = wait_for("ready platform", READY_WAIT, || {
            if self.servers.values_mut().any(Process::has_ended) {
                return Ok(Some(false));
            }
            if !self.data().join("client.toml").is_file() {
                return Ok(None);
            }
            self.berth(&["status", "--wait-ready"])?;
            Ok(Some(true))
        });
        match ready {
            Ok(true) => Ok(()),
            Ok(false) => bail!("a server ended while starting:\n{}", self.last_lines()),
            Err(error) => Err(error.context(self.last_lines())),
        }
    }

    /// The last lines of each server's log.
    fn last_lines(&self) -> String {
        let mut told = String::new();
        for name in self.servers.keys() {
            let log =
                std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines
                .get(lines.len().saturating_sub(LAST_LINES)..)
                .unwrap_or_default();
            told += &format!("{name}:\n{}\n", last.join("\n"));
        }
        told
    }

    /// Joins the engine of a node and starts its agent.
    ///
    /// # Errors
    /// It did not become a node in time.
    pub fn join(&mut self, number: usize) -> Result<()> {
        let token = self.json(&["token", "create", "--join", "--cluster", "main", "--ttl", "1h"])?;
        let token = token["token"]
            .as_str()
            .context("the answer has a token")?
            .to_owned();
        let name = format!("n{number}");
        let url = format!("https://{}:{}", self.lab.host_address(), self.ports.https);
        let node = self.lab.node(number).context("a node of the lab")?;
        let mut command = Command::new(binary()?);
        command.args([
            "agent",
            "join",
            &url,
            &token,
            "--name",
            &name,
            "--zone",
            &format!("z{number}"),
        ]);
        command.arg("--data").arg(node.folder().join("agent"));
        command.args(["--docker-host", &node.docker_host()]);
        command.envs(self.environment.iter().cloned());
        let child = node.spawn_in("agent", &command)?;
        self.agents.insert(number, Process::adopt(&name, child));
        wait_for(&format!("node {name}"), JOIN_WAIT, || {
            let nodes = self.json(&["node", "ls"])?;
            Ok(items(&nodes)
                .iter()
                .any(|node| node["name"] == name.as_str() && node["status"] == "ready")
                .then_some(()))
        })
    }

    /// Starts the agent of a node that has joined.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_agent(&mut self, number: usize) -> Result<()> {
        let node = self.lab.node(number).context("a node of the lab")?;
        let mut command = Command::new(binary()?);
        command.args(["agent", "run", "--docker-host", &node.docker_host()]);
        command.arg("--data").arg(node.folder().join("agent"));
        command.envs(self.environment.iter().cloned());
        let child = node.spawn_in("agent", &command)?;
        self.agents
            .insert(number, Process::adopt(&format!("n{number}"), child));
        Ok(())
    }

    /// Runs `berth` as a user would; its output if it succeeded.
    ///
    /// # Errors
    /// It failed; what it said is in the error.
    pub fn berth(&self, arguments: &[&str]) -> Result<String> {
        let output = self.try_berth(arguments)?;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if !output.status.success() {
            bail!(
                "`berth {}` ended with {}: {out}{err}",
                arguments.join(" "),
                output.status
            );
        }
        Ok(out)
    }

    /// Runs `berth`, whatever comes of it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn try_berth(&self, arguments: &[&str]) -> Result<Output> {
        Command::new(binary()?)
            .args(arguments)
            .env("BERTH_CONFIG", self.data().join("client.toml"))
            .env("NO_COLOR", "1")
            .output()
            .context("run berth")
    }

    /// Runs `berth … -o json`.
    ///
    /// # Errors
    /// It failed, or its output is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let out = self.berth(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&out).with_context(|| format!("`berth {}` printed {out}", arguments.join(" ")))
    }

    /// Writes a file beside the platform's data.
    ///
    /// # Errors
    /// It could not be written.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Deploys a Compose text and waits until it runs.
    ///
    /// # Errors
    /// It did not.
    pub fn deploy(&self, name: &str, compose: &str) -> Result<()> {
        let file = self.file(&format!("{name}.yml"), compose)?;
        self.berth(&[
            "deploy",
            &path(&file),
            "--name",
            name,
            "--wait",
            "--timeout",
            "90s",
        ])?;
        Ok(())
    }

    /// Folder of the server's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Folder of everything, logs among them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Base URL of the API on loopback.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// URL of the bus on loopback.
    pub fn nats(&self) -> String {
        format!("tls://127.0.0.1:{}", self.ports.nats)
    }

    /// Base URL of the API with TLS, as nodes reach it.
    pub fn https(&self) -> String {
        format!("https://{}:{}", self.lab.host_address(), self.ports.https)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // Agents first: they must not see the end of the platform as a fault.
        self.agents.clear();
        let mut last = None;
        for (name, mut process) in std::mem::take(&mut self.servers) {
            if name == "embedded" {
                last = Some(process);
            } else if let Err(error) = process.stop() {
                eprintln!("{error:#}");
            }
        }
        if let Some(Err(error)) = last.map(|mut process| process.stop()) {
            eprintln!("{error:#}");
        }
        if std::thread::panicking() || std::env::var_os("BERTH_E2E_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("logs are kept in {}", self.folder.path().display());
        }
    }
}

/// The list in an answer, bare or in `items`.
pub fn items(answer: &Value) -> Vec<Value> {
    answer
        .as_array()
        .or_else(|| answer["items"].as_array())
        .cloned()
        .unwrap_or_default()
}

/// A path as an argument.
pub fn path(path: &Path) -> String {
    path.display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn open_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
