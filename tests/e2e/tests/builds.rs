//! Images that nodes build of what a Compose file says, on real engines and a real registry.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, binary, items, path, wait_for};
use berth_lab::{Registry, registry};
use serde_json::Value;
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

const SETTLE: Duration = Duration::from_secs(60);
const NODES: usize = 2;
/// An argument of the build, which nothing may keep.
const PLANTED: &str = "planted-argument-5c1";

fn compose(image: &str, steps: &str, replicas: usize) -> String {
    format!(
        "name: shop
services:
  web:
    image: {image}
    build:
      context: app
      args: {{ TOKEN: {PLANTED}, BASE: '{IMAGE}' }}
      target: web
      labels: {{ made.by: e2e }}
      extra_hosts: [ 'one.example:10.0.0.1', 'two.example:10.0.0.2' ]
      tags: [ '{image}-again' ]
      {steps}
    command: [httpd, -f, -p, \"80\", -h, /www]
    stop_grace_period: 1s
    deploy: {{ replicas: {replicas} }}
"
    )
}

const DOCKERFILE: &str = "ARG BASE
FROM $BASE AS tool
RUN echo made >/made
FROM $BASE AS web
ARG TOKEN
COPY . /www
COPY --from=tool /made /www/made
RUN test -n \"$TOKEN\" && grep -q 10.0.0.1 /etc/hosts && grep -q 10.0.0.2 /etc/hosts && test ! -e /www/left-out
FROM $BASE AS never
RUN false
";

/// A project with its folder `app`.
fn project(platform: &Platform, page: &str) -> Result<()> {
    let app = platform.folder().join("app");
    std::fs::create_dir_all(&app)?;
    std::fs::write(app.join("Dockerfile"), DOCKERFILE)?;
    std::fs::write(app.join("index.html"), page)?;
    std::fs::write(app.join("left-out"), "no")?;
    std::fs::write(app.join(".dockerignore"), "left-*\nDockerfile\n")?;
    Ok(())
}

fn failing(platform: &Platform, arguments: &[&str]) -> Result<String> {
    let output = platform.try_berth(arguments)?;
    ensure!(!output.status.success(), "{arguments:?} went well");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The digests of all containers that run, and a page that each of them gives.
fn running(platform: &Platform) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for node in platform.lab.nodes() {
        let format = "{{.Names}} {{.Label \"io.berth.image-digest\"}}";
        let shown = node.docker(&["ps", "--filter", "label=io.berth.allocation", "--format", format])?;
        for line in shown.lines() {
            let (name, digest) = line.split_once(' ').context("name and digest")?;
            let page = node.docker(&["exec", name, "cat", "/www/index.html"])?;
            found.push((digest.to_owned(), page.trim().to_owned()));
        }
    }
    Ok(found)
}

fn no_step_is_left(platform: &Platform) -> Result<()> {
    for node in platform.lab.nodes() {
        let all = node.docker(&[
            "ps",
            "-a",
            "--format",
            "{{.Names}} {{.Label \"io.berth.allocation\"}}",
        ])?;
        let steps: Vec<&str> = all
            .lines()
            .filter(|line| line.split_whitespace().count() < 2)
            .collect();
        ensure!(steps.is_empty(), "{steps:?}");
    }
    Ok(())
}

fn newest(platform: &Platform) -> Result<Value> {
    let builds = items(&platform.json(&["builds"])?);
    builds.last().cloned().context("a build")
}

#[test]
fn a_service_runs_the_image_that_a_node_has_built_and_pushed() -> Result<()> {
    let platform = Platform::start(Form::One, NODES)?;
    let registry = Registry::start_private(&platform.lab)?;
    let (image, host) = (registry.image("shop/web:1"), registry.host());
    project(&platform, "one")?;
    let file = path(&platform.file("shop.yml", &compose(&image, "pull: false", NODES))?);

    // Without a login the push is refused, with registry and cure, and nothing goes live.
    let refused = failing(&platform, &["deploy", &file])?;
    ensure!(
        refused.contains("none is stored") && refused.contains(&format!("berth registry login {host}")),
        "{refused}"
    );
    ensure!(
        items(&platform.json(&["apps"])?).is_empty(),
        "something was deployed"
    );
    platform.log_in(&host, registry::PASSWORD)?;

    // Whoever brings no files is told what to do, with the place.
    let sent = platform.json(&["check", &file])?;
    ensure!(sent.to_string().contains("compose.build_later"), "{sent}");
    let plan = platform.berth(&["plan", &file])?;
    ensure!(plan.contains(&image), "{plan}");

    platform.berth(&["deploy", &file, "--wait", "--timeout", "60s"])?;
    let build = newest(&platform)?;
    let digest = build["digest"].as_str().context("a digest")?.to_owned();
    ensure!(
        build["state"] == "succeeded" && build["service"] == "web",
        "{build}"
    );
    ensure!(running(&platform)? == vec![(digest.clone(), "one".to_owned()); NODES]);
    for name in ["shop/web", "shop/web"] {
        ensure!(registry.served(name) > 0, "{name} was fetched by nobody");
    }

    // The same files make the same image, so nothing changes; other files make another.
    let again = platform.berth(&["deploy", &file])?;
    ensure!(again.contains("already so"), "{again}");
    project(&platform, "two")?;
    platform.berth(&["deploy", &file, "--wait", "--timeout", "60s"])?;
    let second = newest(&platform)?["digest"]
        .as_str()
        .context("a digest")?
        .to_owned();
    ensure!(second != digest);
    ensure!(running(&platform)? == vec![(second, "two".to_owned()); NODES]);
    platform.berth(&["rollback", "shop", "--wait", "--timeout", "60s"])?;
    ensure!(running(&platform)? == vec![(digest, "one".to_owned()); NODES]);

    // A step that fails is told with its place and the last lines; what it printed of an argument is not stored.
    let app = platform.folder().join("app");
    std::fs::write(
        app.join("Dockerfile"),
        format!("FROM {IMAGE} AS web\nARG TOKEN\nRUN echo the word is $TOKEN && exit 7\n"),
    )?;
    let failed = failing(&platform, &["build", &file, "web"])?;
    for part in [
        "step 3/4 `RUN echo the word",
        "non-zero code: 7",
        "the word is ***",
    ] {
        ensure!(failed.contains(part), "{part}: {failed}");
    }
    let events = platform.berth(&["events", "-o", "json", "--limit", "500"])?;
    for part in ["build.requested", "build.succeeded", "build.failed"] {
        ensure!(events.contains(part), "{part} is not in the log");
    }
    no_step_is_left(&platform)?;
    nothing_holds(&platform, PLANTED)
}

/// No log, journal, stream or table of the platform or its agents has this text.
fn nothing_holds(platform: &Platform, text: &str) -> Result<()> {
    let mut search = Command::new("grep");
    search
        .args(["-rlaF", "--exclude=*.yml", text])
        .arg(platform.folder());
    for node in platform.lab.nodes() {
        search
            .arg(node.folder().join("agent"))
            .arg(node.folder().join("agent.log"));
    }
    let found = search.output()?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(found.is_empty(), "`{text}` is in {found}");
    Ok(())
}

/// A build whose step runs; a node that has just come back may take none yet.
fn building(platform: &Platform, file: &str) -> Result<Child> {
    wait_for("a step that runs", SETTLE, || {
        let mut child = Command::new(binary()?)
            .args(["build", file])
            .env("BERTH_CONFIG", platform.data().join("client.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        while child.try_wait()?.is_none() {
            let node = platform.lab.nodes().first().context("a node")?;
            let running = node.docker(&["ps", "--format", "{{.Command}}", "--no-trunc"])?;
            if running.contains("sleep 300") {
                return Ok(Some(child));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        told(child).map(|said| anyhow::bail!("{said}"))?
    })
}

fn told(child: Child) -> Result<String> {
    let output = child.wait_with_output()?;
    ensure!(!output.status.success(), "it went well");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_build_whose_agent_or_engine_or_client_dies_fails_and_leaves_nothing() -> Result<()> {
    let mut platform = Platform::start(Form::One, 1)?;
    let registry = Registry::start(&platform.lab)?;
    let image = registry.image("shop/slow:1");
    let inline = format!("FROM {IMAGE}\\nRUN sleep 300\\n");
    let text = format!(
        "name: slow\nservices:\n  web:\n    image: {image}\n    build:\n      context: app\n      \
         dockerfile_inline: \"{inline}\"\n"
    );
    project(&platform, "one")?;
    let file = path(&platform.file("slow.yml", &text)?);

    let child = building(&platform, &file)?;
    platform.agents.get_mut(&1).context("the agent runs")?.kill();
    let said = told(child)?;
    ensure!(said.contains("node `n1` has said nothing for"), "{said}");
    wait_for("nothing left", SETTLE, || no_step_is_left(&platform).map(Some))?;
    platform.start_agent(1)?;

    let child = building(&platform, &file)?;
    let node = platform.lab.node(1).context("the node")?;
    node.kill_engine()?;
    let said = told(child)?;
    ensure!(
        said.contains("step 2/2 `RUN sleep 300` failed: the engine"),
        "{said}"
    );
    platform.lab.node(1).context("the node")?.start_engine()?;
    wait_for("nothing left", SETTLE, || no_step_is_left(&platform).map(Some))?;

    let mut child = building(&platform, &file)?;
    child.kill()?;
    child.wait()?;
    wait_for("the end of the build", SETTLE, || {
        Ok((newest(&platform)?["state"] == "failed").then_some(()))
    })?;
    wait_for("nothing left", SETTLE, || no_step_is_left(&platform).map(Some))?;
    let builds = items(&platform.json(&["builds"])?);
    ensure!(
        builds.iter().all(|build| build["state"] == "failed"),
        "{builds:?}"
    );
    let tagged = platform.lab.nodes()[0].docker(&["images", "-q", &image])?;
    ensure!(tagged.trim().is_empty(), "{tagged}");
    Ok(())
}
