//! Probes of containers, what becomes of one that stays unhealthy, and of one that shares its network.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, items, path, wait_for};
use std::time::Duration;

const SETTLE: Duration = Duration::from_secs(60);

fn compose(page: &str) -> String {
    format!(
        "name: health
services:
  web:
    image: {IMAGE}
    command: [sh, -c, 'mkdir /www; echo {page} >/www/index.html; exec httpd -f -p 8080 -h /www']
    labels:
      aliyun.probe.url: http://container:8080/index.html
      aliyun.probe.timeout_seconds: 2
      aliyun.probe.initial_delay_seconds: 1
      berth.replace_unhealthy: 4
  side:
    image: {IMAGE}
    network_mode: service:web
  tcp:
    image: {IMAGE}
    labels: {{ berth.probe.url: 'tcp://container:9' }}
  late:
    image: {IMAGE}
    stop_grace_period: 1s
    labels: {{ berth.probe.cmd: 'sleep 4321 & sleep 4322', berth.probe.timeout_seconds: 1 }}
"
    )
}

struct Lab(Platform);

impl Lab {
    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let node = self.0.lab.nodes().first().context("a node")?;
        Ok(node.docker(arguments)?.trim().to_owned())
    }

    /// Name of the running container of a service.
    fn name(&self, service: &str) -> Result<String> {
        let filter = format!("label=io.berth.service={service}");
        let names = self.docker(&["ps", "--format", "{{.Names}}", "--filter", &filter])?;
        names
            .lines()
            .next()
            .map(str::to_owned)
            .with_context(|| format!("no container of {service}"))
    }

    fn health(&self, service: &str) -> Result<String> {
        let rows = items(&self.0.json(&["ps", "health"])?);
        let row = rows
            .iter()
            .find(|row| row["service"] == service && row["state"] == "running");
        Ok(row.map(|row| row["health"].to_string()).unwrap_or_default())
    }

    /// The page of `web`, as the container beside it gets it from itself.
    fn page_beside(&self) -> Result<String> {
        let side = self.name("side")?;
        self.docker(&[
            "exec",
            &side,
            "wget",
            "-q",
            "-O",
            "-",
            "http://127.0.0.1:8080/index.html",
        ])
    }
}

/// Each check of `late` takes too long: of those before the one that runs, nothing runs any more.
fn nothing_is_left_of_late_checks(lab: &Lab) -> Result<()> {
    wait_for("a check that takes too long", SETTLE, || {
        Ok(lab.health("late")?.contains("unhealthy").then_some(()))
    })?;
    let running = lab.docker(&["top", &lab.name("late")?, "-o", "pid,args"])?;
    let left = running.lines().filter(|line| line.contains("sleep 432")).count();
    // Its shell's command line names both.
    ensure!(left <= 3, "{running}");
    let why = lab.0.berth(&["why", "health", "late"])?;
    ensure!(why.contains("no answer within 1 s"), "{why}");
    Ok(())
}

#[test]
fn probes_decide_over_health_and_replacement() -> Result<()> {
    let platform = Platform::start(Form::One, 1)?;
    let deploy = |page: &str| -> Result<()> {
        let file = path(&platform.file("health.yml", &compose(page))?);
        platform.berth(&["deploy", &file]).map(drop)
    };
    deploy("one")?;
    let lab = Lab(platform);
    wait_for("a good answer", SETTLE, || {
        Ok(lab.health("web")?.contains("healthy").then_some(()))
    })?;
    wait_for("a closed port", SETTLE, || {
        Ok(lab.health("tcp")?.contains("unhealthy").then_some(()))
    })?;
    ensure!(!lab.health("web")?.contains("unhealthy"));
    nothing_is_left_of_late_checks(&lab)?;
    let why = lab.0.berth(&["why", "health", "tcp"])?;
    ensure!(why.contains(":9: Connection refused"), "{why}");
    wait_for("the page beside", SETTLE, || {
        Ok((lab.page_beside().ok().as_deref() == Some("one")).then_some(()))
    })?;
    let (web, side) = (
        lab.name("web")?,
        lab.docker(&["ps", "-q", "--filter", "label=io.berth.service=side"])?,
    );
    let before = lab.docker(&["inspect", "-f", "{{.Id}}", &web])?;
    lab.docker(&["exec", &web, "rm", "/www/index.html"])?;
    wait_for("another container of web", SETTLE, || {
        let Ok(name) = lab.name("web") else {
            return Ok(None);
        };
        let id = lab.docker(&["inspect", "-f", "{{.Id}}", &name])?;
        Ok((id != before && lab.health("web")?.contains("\"healthy\"")).then_some(()))
    })?;
    let events = lab.0.berth(&["events", "-o", "json"])?;
    ensure!(
        events.contains("its check has failed for") && events.contains("404 Not Found"),
        "{events}"
    );
    wait_for("another container beside it", SETTLE, || {
        let now = lab.docker(&["ps", "-q", "--filter", "label=io.berth.service=side"])?;
        Ok((now != side && lab.page_beside().ok().as_deref() == Some("one")).then_some(()))
    })?;
    let file = path(&lab.0.file(
        "health.yml",
        &compose("two").replace("tcp://container:9", "tcp://container:8"),
    )?);
    lab.0.berth(&["deploy", &file])?;
    wait_for("the new page beside", SETTLE, || {
        Ok((lab.page_beside().ok().as_deref() == Some("two")).then_some(()))
    })?;
    Ok(())
}
