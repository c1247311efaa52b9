//! Every part is killed while applications are being deployed; nothing is lost, doubled or left behind.

use anyhow::{Context, Result, bail};
use berth_e2e::{Form, IMAGE, Platform, SERVICES, engines_equal_desired, signal, wait_for};
use std::{collections::BTreeMap, time::Duration};

/// How long healing may take.
const HEAL: Duration = Duration::from_secs(90);
/// How long a part stays dead.
const DEAD: Duration = Duration::from_millis(700);
/// Time between the start of a deploy and the kill: in the middle of it.
const INTO_DEPLOY: Duration = Duration::from_millis(120);

fn compose() -> String {
    format!("services:\n  web:\n    image: {IMAGE}\n    deploy: {{ replicas: 3 }}\n")
}

/// Deploys an application while `harm` is done, heals, and holds the engines against what should be.
fn deploy_during(
    platform: &mut Platform,
    name: &str,
    wanted: &mut BTreeMap<String, u32>,
    harm: impl FnOnce(&mut Platform) -> Result<()>,
) -> Result<()> {
    let file = platform.file(&format!("{name}.yml"), &compose())?;
    let mut deploy = std::process::Command::new(berth_e2e::binary()?)
        .args([
            "deploy",
            &file.display().to_string(),
            "--name",
            name,
            "--wait",
            "--timeout",
            "90s",
        ])
        .env("BERTH_CONFIG", platform.data().join("client.toml"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    std::thread::sleep(INTO_DEPLOY);
    harm(platform).with_context(|| format!("harm during the deploy of {name}"))?;
    if !deploy.wait()?.success() {
        // The door itself was dead: what a user does is deploy again, and that must be harmless.
        let arguments = [
            "deploy",
            &file.display().to_string(),
            "--name",
            name,
            "--wait",
            "--timeout",
            "90s",
        ];
        wait_for("a second deploy", HEAL, || platform.berth(&arguments).map(Some))?;
    }
    wanted.insert(format!("{name}/web"), 3);
    let healed = wait_for("engines as they should be", HEAL, || {
        engines_equal_desired(platform, wanted).map(Some)
    });
    healed.with_context(|| format!("after the deploy of {name}"))
}

fn kill_and_restart(platform: &mut Platform, service: &str) -> Result<()> {
    platform
        .servers
        .get_mut(service)
        .context("the service runs")?
        .kill();
    std::thread::sleep(DEAD);
    platform.start_server(service, &["--only", service])
}

/// The process of a server that the platform supervises, found by its command line.
fn child_with(platform: &Platform, program: &str) -> Result<u32> {
    let data = platform.data().display().to_string();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let ours = words.iter().any(|word| word.contains(&data));
        if ours && words.first().is_some_and(|word| word.ends_with(program)) {
            return Ok(pid);
        }
    }
    bail!("no {program} of {data} runs")
}

#[test]
fn any_part_may_die_during_a_deploy() -> Result<()> {
    let mut platform = Platform::start(Form::Split, 3)?;
    let mut wanted = BTreeMap::new();
    for service in SERVICES {
        let name = format!("kill-{service}");
        deploy_during(&mut platform, &name, &mut wanted, |platform| {
            kill_and_restart(platform, service)
        })?;
    }
    for program in ["nats-server", "postgres"] {
        let name = format!("kill-{program}");
        deploy_during(&mut platform, &name, &mut wanted, |platform| {
            // Its supervisor starts it again.
            signal(child_with(platform, program)?, "KILL")
        })?;
    }
    deploy_during(&mut platform, "kill-agent", &mut wanted, |platform| {
        platform.agents.get_mut(&2).context("the agent runs")?.kill();
        std::thread::sleep(DEAD);
        platform.start_agent(2)
    })?;
    deploy_during(&mut platform, "kill-engine", &mut wanted, |platform| {
        let node = platform.lab.node(3).context("the node")?;
        node.kill_engine()?;
        std::thread::sleep(DEAD);
        node.start_engine()?;
        Ok(())
    })?;
    deploy_during(&mut platform, "kill-node", &mut wanted, |platform| {
        let node = platform.lab.node(1).context("the node")?;
        node.cut_link()?;
        std::thread::sleep(Duration::from_secs(4));
        node.join_link()?;
        Ok(())
    })?;
    for name in wanted.keys() {
        platform.berth(&["rm", name.trim_end_matches("/web")])?;
    }
    wait_for("empty engines", HEAL, || {
        engines_equal_desired(&platform, &BTreeMap::new()).map(Some)
    })
}
