//! Templates as their users meet them: stored, deployed with values, taken elsewhere with their secrets.

use age::{secrecy::ExposeSecret, x25519::Identity};
use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, path, wait_for};
use std::time::Duration;

const DEPLOYED: &str = "60s";
const GONE: Duration = Duration::from_secs(40);
const USAGE: i32 = 2;
const TEMPLATE: &str = "\
x-parameters:
  GREETING: { description: What it says, default: hello }
  PASSWORD: { generate: 24, description: A password }
  COPIES: { type: integer, min: 1, max: 3, default: 1, description: How many }
services:
  web:
    image: IMAGE
    environment: { GREETING: \"${GREETING}\", PASSWORD: \"${PASSWORD}\" }
    deploy: { replicas: \"${COPIES}\" }
";

#[test]
fn templates_are_stored_deployed_and_taken_elsewhere() -> Result<()> {
    let platform = Platform::start(Form::One, 1)?;
    stores_versions(&platform)?;
    deploys_with_values(&platform)?;
    takes_applications_elsewhere(&platform)?;
    offers_a_gallery(&platform)
}

fn stores_versions(platform: &Platform) -> Result<()> {
    let text = TEMPLATE.replace("IMAGE", IMAGE);
    let file = path(&platform.file("web.yml", &text)?);
    let saved = platform.berth(&["template", "save", "web", &file, "--description", "A greeter"])?;
    ensure!(saved.contains("web@1"), "{saved}");
    let again = platform.berth(&["template", "save", "web", &file])?;
    ensure!(
        again.contains("web@1"),
        "the same text is no new version: {again}"
    );
    let second = path(&platform.file("web2.yml", &text.replace("hello", "good day"))?);
    let saved = platform.berth(&["template", "save", "web", &second])?;
    ensure!(saved.contains("web@2"), "{saved}");
    let shown = platform.berth(&["template", "show", "web@1"])?;
    for part in [
        "A greeter",
        "GREETING",
        "hello",
        "(made up)",
        "integer 1..3",
        "2, 1",
    ] {
        ensure!(shown.contains(part), "nothing of `{part}`: {shown}");
    }
    let wrong = path(&platform.file(
        "wrong.yml",
        "x-parameters: { A: { type: color } }\nservices: {}\n",
    )?);
    let refused = platform.try_berth(&["template", "save", "wrong", &wrong])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("1:"), "{said}");
    Ok(())
}

/// What a command says within the only container of an application.
fn within(platform: &Platform, application: &str, command: &[&str]) -> Result<String> {
    let node = platform.lab.nodes().first().context("no node")?;
    let filter = format!("name=^{application}_");
    let found = node.docker(&["ps", "-q", "--filter", &filter])?;
    let container = found
        .lines()
        .next()
        .with_context(|| format!("{application} does not run"))?;
    Ok(node.docker(&[&["exec", container], command].concat())?)
}

fn environment(platform: &Platform, application: &str) -> Result<String> {
    within(platform, application, &["env"])
}

fn value<'t>(environment: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = environment.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

fn deploys_with_values(platform: &Platform) -> Result<()> {
    let deploy = |values: &[&str]| {
        let fixed = [
            "deploy",
            "--template",
            "web",
            "--name",
            "greeter",
            "--wait",
            "--timeout",
            DEPLOYED,
        ];
        platform.try_berth(&[fixed.as_slice(), values].concat())
    };
    let wrong = deploy(&["-e", "COPIES=9", "-e", "GRETING=x"])?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(
        wrong.status.code() == Some(USAGE) || !wrong.status.success(),
        "{said}"
    );
    for part in ["`GREETING`", "from 1 to 3"] {
        ensure!(said.contains(part), "nothing of `{part}`: {said}");
    }
    let done = deploy(&["-e", "GREETING=planted"])?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let first = environment(platform, "greeter")?;
    let password = value(&first, "PASSWORD").unwrap_or_default();
    ensure!(password.len() == 24, "a password was made up: {first}");
    ensure!(value(&first, "GREETING") == Some("planted"), "{first}");
    let done = deploy(&["-e", "GREETING=other"])?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let second = environment(platform, "greeter")?;
    ensure!(value(&second, "GREETING") == Some("other"), "{second}");
    ensure!(
        value(&second, "PASSWORD") == Some(password),
        "the password stays: {second}"
    );
    let events = platform.berth(&["events", "-o", "json"])?;
    ensure!(!events.contains(password), "the log has no secret in it");
    Ok(())
}

fn takes_applications_elsewhere(platform: &Platform) -> Result<()> {
    let password = environment(platform, "greeter")?;
    let password = value(&password, "PASSWORD").unwrap_or_default().to_owned();
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let plain = platform.berth(&["app", "export", "greeter"])?;
    let sealed = platform.berth(&["app", "export", "greeter", "--secrets-for", &recipient])?;
    ensure!(
        !plain.contains(&password) && !sealed.contains(&password),
        "no secret is in the open"
    );
    platform.berth(&[
        "app",
        "clone",
        "greeter",
        "--name",
        "twin",
        "--wait",
        "--timeout",
        DEPLOYED,
    ])?;
    let twin = environment(platform, "twin")?;
    ensure!(value(&twin, "PASSWORD") == Some(password.as_str()), "{twin}");
    let itself = platform.try_berth(&["app", "clone", "greeter"])?;
    ensure!(!itself.status.success(), "a clone of the same name is refused");

    let export = path(&platform.file("greeter.json", &sealed)?);
    let key = path(&platform.file("key.txt", identity.to_string().expose_secret())?);
    let taken = platform.try_berth(&["app", "import", &export, "--identity", &key])?;
    ensure!(!taken.status.success(), "the name is taken");
    platform.berth(&["rm", "greeter"])?;
    wait_for("greeter to be gone", GONE, || {
        let gone = !platform.try_berth(&["app", "show", "greeter"])?.status.success();
        Ok(gone.then_some(()))
    })?;
    let missing = platform.try_berth(&["app", "import", &path(&platform.file("plain.json", &plain)?)])?;
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    ensure!(
        said.contains("-e GREETING=VALUE"),
        "the missing value and its cure are named: {said}"
    );
    platform.berth(&[
        "app",
        "import",
        &export,
        "--identity",
        &key,
        "--wait",
        "--timeout",
        DEPLOYED,
    ])?;
    let back = environment(platform, "greeter")?;
    ensure!(value(&back, "PASSWORD") == Some(password.as_str()), "{back}");
    Ok(())
}

fn offers_a_gallery(platform: &Platform) -> Result<()> {
    let list = platform.berth(&["template", "ls"])?;
    for name in [
        "postgres",
        "redis",
        "static-site",
        "web",
        "wordpress",
        "worker-queue",
    ] {
        ensure!(list.contains(name), "{name} is missing: {list}");
    }
    let image = format!("IMAGE={IMAGE}");
    let page = "PAGE=<p>from a template</p>";
    let arguments = [
        "deploy",
        "--template",
        "static-site",
        "-e",
        &image,
        "-e",
        "PORT=29480",
        "-e",
        page,
    ];
    platform.berth(&[arguments.as_slice(), &["--wait", "--timeout", DEPLOYED]].concat())?;
    let page = within(platform, "static-site", &["cat", "/tmp/site/index.html"])?;
    ensure!(page.contains("from a template"), "{page}");
    let removed = platform.try_berth(&["template", "rm", "wordpress"])?;
    let said = String::from_utf8_lossy(&removed.stderr).into_owned();
    ensure!(said.contains("comes with Berth"), "{said}");
    platform.berth(&["template", "rm", "web"])?;
    ensure!(
        !platform.try_berth(&["template", "show", "web"])?.status.success(),
        "it is forgotten"
    );
    Ok(())
}
