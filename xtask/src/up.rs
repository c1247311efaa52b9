//! Brings the platform up on this machine, with the sample shop running in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use berth_lab::{Lab, LabOptions, Node, image};

use crate::down::ENGINE_CGROUP;
use crate::process::{Background, capture, capture_with, step, tail, wait_until};
use crate::state::State;
use crate::{client, firewall, install, place};

/// The engine of this machine.
const ENGINE_SOCKET: &str = "/var/run/docker.sock";
const CLUSTER: &str = "dev";
const TOKEN_TTL: &str = "1h";
const PORT: u16 = 7443;
const ENGINE_PATIENCE: Duration = Duration::from_secs(60);
const SERVER_PATIENCE: Duration = Duration::from_secs(120);
const NODE_PATIENCE: Duration = Duration::from_secs(30);

/// What `up` is asked for.
pub(crate) struct Options {
    /// Engines in namespaces instead of this machine's.
    pub nodes: Option<usize>,
    /// The folder of everything.
    pub data: PathBuf,
    /// Build with optimisation.
    pub release: bool,
}

/// A machine that joins.
struct Member {
    name: String,
    docker_host: String,
    /// The lab's node to run in; this machine itself if none.
    node: Option<usize>,
    /// Where this machine reaches its published ports.
    address: String,
}

/// Does all of it; what is made is noted for `down`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(state) = State::load(&options.data)? {
        let running = state.processes.iter().filter(|process| process.runs()).count();
        bail!(
            "`{}` is in use ({running} processes running); `./dev down` first",
            options.data.display()
        );
    }
    install::run_missing()?;
    let berth = build(options.release)?;
    fs::create_dir_all(&options.data)
        .with_context(|| format!("could not make `{}`", options.data.display()))?;
    let mut state = State::new(&options.data);
    state.berth = berth;
    state.save()?;
    let up = start_all(options, &mut state);
    if up.is_err() {
        eprintln!(
            "`up` failed half way; logs are in {}, `./dev down` removes what was made",
            options.data.display()
        );
    }
    up
}

fn start_all(options: &Options, state: &mut State) -> Result<()> {
    let lab = make_nodes(options, state)?;
    let members = members(lab.as_ref());
    let host = lab.as_ref().map(|lab| lab.host_address().to_string());
    start_server(options, state, host.as_deref())?;
    let token = make_cluster(state, members.len())?;
    for member in &members {
        join(options, state, lab.as_ref(), member, &token)?;
    }
    wait_for_nodes(options, state, members.len())?;
    for member in &members {
        step(&format!(
            "make the sample images in the engine of {}",
            member.name
        ));
        make_images(&member.docker_host)?;
    }
    step("deploy the sample shop");
    let file = place::sample().join("compose.yml");
    client::run(state, &["deploy", &file.to_string_lossy(), "--wait"])?;
    // Everything stands: the lab must outlive this process.
    if let Some(lab) = lab {
        lab.keep()?;
    }
    tell(options, state, &members)
}

fn build(release: bool) -> Result<PathBuf> {
    step("build berth");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "-p", "berth"])
        .current_dir(place::repository());
    if release {
        cargo.arg("--release");
    }
    crate::process::run(&mut cargo)?;
    let berth = place::target()
        .join(if release { "release" } else { "debug" })
        .join("berth");
    berth
        .canonicalize()
        .with_context(|| format!("the build made no `{}`", berth.display()))
}

/// Engines: those of a lab, or the one of this machine, started if there is none.
fn make_nodes(options: &Options, state: &mut State) -> Result<Option<Lab>> {
    if let Some(nodes) = options.nodes {
        step(&format!("start {nodes} engines in network namespaces"));
        let lab = Lab::start_with(&LabOptions {
            nodes,
            root: Some(options.data.join("lab")),
        })?;
        state.lab = Some(lab.number());
        state.save()?;
        return Ok(Some(lab));
    }
    state.engines.push(format!("unix://{ENGINE_SOCKET}"));
    if !engine_answers() {
        if !berth_lab::is_root() {
            bail!("no Docker Engine answers at {ENGINE_SOCKET}, and to start one takes root");
        }
        step("start a Docker Engine on this machine");
        state.firewall = Some(firewall::look());
        state.save()?;
        let log = options.data.join("dockerd.log");
        let mut dockerd = Command::new("dockerd");
        dockerd.args(["--cgroup-parent", &format!("/{ENGINE_CGROUP}")]);
        dockerd.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
        dockerd.args(["--log-level", "warn", "-H", &format!("unix://{ENGINE_SOCKET}")]);
        dockerd.arg("--data-root").arg(options.data.join("engine"));
        dockerd.arg("--exec-root").arg(options.data.join("engine-run"));
        dockerd.arg("--pidfile").arg(options.data.join("dockerd.pid"));
        let engine = Background::start("the Docker Engine", dockerd, &log)?;
        state.started(engine.clone())?;
        wait_until("the Docker Engine does not answer", ENGINE_PATIENCE, &log, || {
            if !engine.runs() {
                bail!(
                    "the Docker Engine ended; the end of `{}`:\n{}",
                    log.display(),
                    tail(&log)
                );
            }
            Ok(engine_answers())
        })?;
    }
    Ok(None)
}

fn engine_answers() -> bool {
    let mut docker = Command::new("docker");
    docker.args([
        "-H",
        &format!("unix://{ENGINE_SOCKET}"),
        "version",
        "--format",
        "{{.Server.Version}}",
    ]);
    capture(&mut docker).is_ok()
}

fn members(lab: Option<&Lab>) -> Vec<Member> {
    let Some(lab) = lab else {
        let docker_host = format!("unix://{ENGINE_SOCKET}");
        return vec![Member {
            name: "this machine".into(),
            docker_host,
            node: None,
            address: "127.0.0.1".into(),
        }];
    };
    let member = |node: &Node| Member {
        name: format!("node-{}", node.number()),
        docker_host: node.docker_host(),
        node: Some(node.number()),
        address: node.address().to_string(),
    };
    lab.nodes().iter().map(member).collect()
}

fn start_server(options: &Options, state: &mut State, host: Option<&str>) -> Result<()> {
    step("start berth server");
    let (data, log) = (options.data.join("server"), options.data.join("server.log"));
    let mut server = Command::new(&state.berth);
    server
        .arg("server")
        .arg("--data")
        .arg(&data)
        .env("BERTH_BUNDLE", place::bundle());
    if let Some(host) = host {
        server.args(["--advertise", host]);
    }
    let process = Background::start("berth server", server, &log)?;
    state.client = data.join("client.toml");
    state.started(process.clone())?;
    let client = state.client.clone();
    wait_until("berth server is not ready", SERVER_PATIENCE, &log, || {
        if !process.runs() {
            bail!(
                "berth server ended; the end of `{}`:\n{}",
                log.display(),
                tail(&log)
            );
        }
        Ok(client.exists())
    })?;
    capture(client::berth(state).args(["status", "--wait-ready"])).map(drop)
}

/// Makes the cluster; a token with which so many nodes can join it.
fn make_cluster(state: &mut State, nodes: usize) -> Result<String> {
    step(&format!("make the cluster `{CLUSTER}`"));
    let cluster = client::json(state, &["cluster", "create", CLUSTER])?;
    state.cluster = cluster.get("id").and_then(|id| id.as_str()).map(str::to_owned);
    state.save()?;
    let mut token = client::berth(state);
    token.args([
        "token",
        "create",
        "--join",
        "--quiet",
        "--ttl",
        TOKEN_TTL,
        "--cluster",
        CLUSTER,
    ]);
    let token = capture(token.args(["--max-uses", &nodes.to_string()]))?;
    Ok(token.trim().to_owned())
}

/// Joins a member and starts its agent.
fn join(options: &Options, state: &mut State, lab: Option<&Lab>, member: &Member, token: &str) -> Result<()> {
    step(&format!("join {}", member.name));
    let number = member.node.unwrap_or(0);
    let data = options.data.join(format!("agent-{number}"));
    let log = options.data.join(format!("agent-{number}.log"));
    let agent = |verb: &str| {
        let mut command = match member.node.and_then(|number| lab?.nodes().get(number - 1)) {
            Some(node) => node.command(&state.berth),
            None => Command::new(&state.berth),
        };
        command
            .args(["agent", verb, "--docker-host", &member.docker_host, "--data"])
            .arg(&data);
        command
    };
    let host = lab.map_or_else(|| "127.0.0.1".to_owned(), |lab| lab.host_address().to_string());
    let mut join = agent("join");
    join.arg("--no-run");
    if member.node.is_some() {
        join.args(["--name", &member.name]);
    }
    // Words of a command are seen by everybody on the machine: the token comes on standard input.
    capture_with(join.args([&format!("https://{host}:{PORT}"), "-"]), token)?;
    let process = Background::start(&format!("the agent of {}", member.name), agent("run"), &log)?;
    state.started(process)
}

fn wait_for_nodes(options: &Options, state: &State, wanted: usize) -> Result<()> {
    let log = options.data.join("server.log");
    wait_until("not all nodes are ready", NODE_PATIENCE, &log, || {
        let nodes = client::json(state, &["node", "ls"])?;
        let list = nodes.as_array().or_else(|| nodes.get("items")?.as_array());
        let ready = |node: &&serde_json::Value| node.get("status").is_some_and(|status| status == "ready");
        Ok(list.is_some_and(|list| list.iter().filter(ready).count() >= wanted))
    })
}

/// Makes the images of the sample in an engine.
pub(crate) fn make_images(docker_host: &str) -> Result<()> {
    for sample in image::samples(&place::sample())? {
        image::import(docker_host, &sample)?;
    }
    Ok(())
}

fn tell(options: &Options, state: &State, members: &[Member]) -> Result<()> {
    println!();
    client::run(state, &["node", "ls"])?;
    println!();
    client::run(state, &["ps"])?;
    let url = client::url(&state.client)?;
    let shop = members.iter().find_map(Member::shop);
    println!(
        "\nThe shop       {}",
        shop.unwrap_or_else(|| "see the table above".into())
    );
    println!("The API        {url}/docs");
    println!("The command    export BERTH_CONFIG={}", state.client.display());
    println!("               alias berth={}", state.berth.display());
    println!("               berth ps; berth events --follow; berth scale shop api 5; berth why shop api");
    println!("Logs and data  {}", options.data.display());
    println!("End            ./dev down");
    Ok(())
}

impl Member {
    /// Where the shop's page answers, if it runs on this member.
    fn shop(&self) -> Option<String> {
        let mut docker = Command::new("docker");
        docker.args([
            "-H",
            &self.docker_host,
            "ps",
            "--filter",
            "label=com.docker.compose.service=web",
        ]);
        let ports = capture(docker.args(["--format", "{{.Ports}}"])).ok()?;
        // "0.0.0.0:8088->80/tcp, :::8088->80/tcp"
        let port = ports
            .split("->")
            .next()?
            .rsplit(':')
            .next()?
            .trim()
            .parse::<u16>()
            .ok()?;
        Some(format!("http://{}:{port}/", self.address))
    }
}
