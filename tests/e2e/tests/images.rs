//! Images of a private registry on real engines: logins, pinned digests, newer content behind the same tag.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, items, path, wait_for};
use berth_lab::{Registry, registry};
use serde_json::Value;
use std::{process::Command, time::Duration};

/// How long containers may take to become what they should be.
const SETTLE: Duration = Duration::from_secs(60);
const NODES: usize = 3;

fn file(image: &str, replicas: usize, more: &str) -> String {
    format!(
        "services:
  web:
    image: {image}
    command: [httpd, -f, -p, \"80\"]
    stop_grace_period: 1s
{more}    deploy: {{ replicas: {replicas} }}
"
    )
}

/// Puts new content into the registry under a name, from the first node; gives its digest. The node does not
/// keep it.
fn push(platform: &Platform, image: &str, content: &str, megabytes: u32) -> Result<String> {
    let node = &platform.lab.nodes()[0];
    let config = platform.lab.root().join("docker-config").display().to_string();
    let docker = |arguments: &[&str]| node.docker(arguments);
    let host = image.split('/').next().unwrap_or_default();
    let login = ["login", "-u", registry::USER, "-p", registry::PASSWORD, host];
    docker(&[&["--config", &config], &login[..]].concat())?;
    let fill = format!("dd if=/dev/urandom of=/filling bs=1M count={megabytes} 2>/dev/null");
    docker(&["run", "--name", content, IMAGE, "sh", "-c", &fill])?;
    docker(&["commit", "-m", content, content, image])?;
    docker(&["rm", content])?;
    docker(&["--config", &config, "push", "-q", image])?;
    let known = docker(&["inspect", "-f", "{{range .RepoDigests}}{{.}} {{end}}", image])?;
    let own = known.split_whitespace().find(|known| known.starts_with(host));
    let digest = own.and_then(|known| known.split_once('@'));
    let digest = digest
        .with_context(|| format!("a digest in {known}"))?
        .1
        .to_owned();
    docker(&["rmi", image])?;
    Ok(digest)
}

/// The digests of all containers that run, as the engines' labels say.
fn digests(platform: &Platform) -> Result<Vec<String>> {
    let mut digests = Vec::new();
    for node in platform.lab.nodes() {
        let format = "{{.Label \"io.berth.image-digest\"}}";
        let shown = node.docker(&["ps", "--filter", "label=io.berth.allocation", "--format", format])?;
        digests.extend(shown.lines().map(str::to_owned));
    }
    digests.sort();
    Ok(digests)
}

fn all_run(platform: &Platform, digest: &str, count: usize) -> Result<()> {
    let wanted = vec![digest.to_owned(); count];
    wait_for(&format!("{count} containers of {digest}"), SETTLE, || {
        Ok((digests(platform)? == wanted).then_some(()))
    })
}

/// What is told of a container that failed.
fn told(platform: &Platform, words: &str) -> Result<String> {
    wait_for(&format!("a container that says `{words}`"), SETTLE, || {
        let containers = items(&platform.json(&["ps", "shop", "--all"])?);
        let mut messages = containers
            .iter()
            .filter_map(|container| container["message"].as_str());
        Ok(messages
            .find(|message| message.contains(words))
            .map(str::to_owned))
    })
}

fn deploy(platform: &Platform, compose: &str, wait: bool) -> Result<()> {
    if wait {
        return platform.deploy("shop", compose);
    }
    let file = platform.file("shop.yml", compose)?;
    platform.berth(&["deploy", &path(&file), "--name", "shop"])?;
    Ok(())
}

#[test]
fn a_private_image_runs_the_same_bytes_everywhere_and_comes_back_with_its_release() -> Result<()> {
    let platform = Platform::start(Form::One, NODES)?;
    let registry = Registry::start_private(&platform.lab)?;
    let (image, host) = (registry.image("shop/web:1"), registry.host());
    let old = push(&platform, &image, "old", 1)?;

    // Nobody has a login, then a wrong one: both are told with registry and cure.
    deploy(&platform, &file(&image, NODES, ""), false)?;
    let none = told(&platform, "none is stored")?;
    ensure!(none.contains(&format!("berth registry login {host}")), "{none}");
    platform.log_in(&host, "wrong-word-31")?;
    told(&platform, "refused the login of user `ada`")?;
    platform.log_in(&host, registry::PASSWORD)?;
    all_run(&platform, &old, NODES)?;
    let stored = platform.json(&["registry", "ls"])?;
    ensure!(
        stored[0]["registry"] == host.as_str() && stored[0]["username"] == registry::USER,
        "{stored}"
    );

    // The tag gets other content: what is scaled or placed later runs what the release ran.
    let new = push(&platform, &image, "new", 1)?;
    ensure!(old != new, "the same content");
    platform.berth(&["scale", "shop", "web=5"])?;
    all_run(&platform, &old, 5)?;
    let shown = platform.json(&["release", "show", "shop"])?;
    ensure!(shown["digests"][&image] == old.as_str(), "{shown}");
    told_of_news(&platform, &image, (&old, &new))?;

    // The newest content on request, and then nothing more to do for the same file and content.
    let newest = file(&image, 5, "    pull_policy: always\n");
    deploy(&platform, &newest, true)?;
    all_run(&platform, &new, 5)?;
    let newer = push(&platform, &image, "newer", 1)?;
    deploy(&platform, &newest, true)?;
    all_run(&platform, &newer, 5)?;
    platform.berth(&["rollback", "shop", "--wait", "--timeout", "60s"])?;
    all_run(&platform, &new, 5)?;

    platform.berth(&["registry", "logout", &host])?;
    let left = platform.json(&["registry", "ls"])?;
    ensure!(left == Value::Array(vec![]), "{left}");
    for secret in [registry::PASSWORD, "wrong-word-31"] {
        nothing_holds(&platform, secret)?;
    }
    Ok(())
}

/// What runs is not what the registry has under the name by now.
fn told_of_news(platform: &Platform, image: &str, (running, registry): (&str, &str)) -> Result<()> {
    let shown = platform.json(&["app", "show", "shop"])?;
    let news = &shown["image_news"][0];
    ensure!(
        news["image"] == image && news["running"] == running && news["registry"] == registry,
        "{shown}"
    );
    let file = path(&platform.file("shop.yml", &file(image, 5, ""))?);
    let planned = platform.json(&["plan", &file, "--name", "shop"])?;
    let text = format!("registry has new content for {image}: {registry} (running {running})");
    ensure!(planned["warnings"].to_string().contains(&text), "{planned}");
    Ok(())
}

/// No log, journal, stream or table of the platform or its agents has this text.
fn nothing_holds(platform: &Platform, text: &str) -> Result<()> {
    let mut search = Command::new("grep");
    search.args(["-rlaF", text]).arg(platform.folder());
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

#[test]
fn content_that_the_registry_has_deleted_is_told_with_its_cure() -> Result<()> {
    let platform = Platform::start(Form::One, 2)?;
    let registry = Registry::start(&platform.lab)?;
    let image = registry.image("shop/gone:1");
    let digest = push(&platform, &image, "gone", 1)?;
    deploy(&platform, &file(&image, 1, ""), true)?;
    let shown = platform.json(&["release", "show", "shop"])?;
    ensure!(shown["digests"][&image] == digest.as_str(), "{shown}");
    registry.delete("shop/gone", &digest)?;
    platform.berth(&["scale", "shop", "web=2"])?;
    let said = told(&platform, "no longer has the content")?;
    for part in [
        registry.host().as_str(),
        digest.as_str(),
        image.as_str(),
        "deploy anew",
    ] {
        ensure!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

#[test]
fn how_far_an_image_is_that_is_pulled_is_seen() -> Result<()> {
    let platform = Platform::start(Form::One, 1)?;
    let registry = Registry::start_private(&platform.lab)?;
    let (image, host) = (registry.image("shop/large:1"), registry.host());
    push(&platform, &image, "large", 300)?;
    platform.log_in(&host, registry::PASSWORD)?;
    deploy(&platform, &file(&image, 1, ""), false)?;
    let mut shares = Vec::new();
    wait_for("the container", SETTLE, || {
        let containers = items(&platform.json(&["ps", "shop"])?);
        shares.extend(containers.iter().filter_map(|one| one["pull_percent"].as_u64()));
        Ok(containers
            .iter()
            .any(|one| one["state"] == "running")
            .then_some(()))
    })?;
    ensure!(!shares.is_empty(), "nothing was told while it was pulled");
    ensure!(
        shares.is_sorted() && shares.iter().all(|share| *share <= 100),
        "{shares:?}"
    );
    Ok(())
}
