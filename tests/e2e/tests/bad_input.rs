//! Bad input of every kind: each gives a clear error, and nothing is lost or half done.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, engines_equal_desired, items, path, wait_for};
use std::{collections::BTreeMap, fs, process::Output, time::Duration};

/// Five restarts with doubling waits take 31 s before an agent gives up, and a failed pull is tried four times.
const CRASH_LOOP: Duration = Duration::from_secs(120);
/// How long a deploy may take on a busy machine.
const DEPLOYED: &str = "40s";
const SETTLE: Duration = Duration::from_secs(40);
/// What the issue calls a 10 MB file.
const BIG_BYTES: usize = 10 << 20;
/// Exit codes, as `berth --help` tells them.
const USAGE: i32 = 2;
const REFUSED: i32 = 4;
const NOT_READY: i32 = 6;

#[test]
fn bad_input_is_named_and_leaves_nothing() -> Result<()> {
    let mut platform = Platform::start(Form::One, 1)?;
    platform.deploy("good", &service("good", "ports: [\"29300:80\"]"))?;
    refuses_bad_files(&platform)?;
    refuses_ways_out_of_the_project(&platform)?;
    refuses_bad_tokens(&platform)?;
    joins_only_once(&mut platform)?;
    lets_one_of_two_deploys_win(&platform)?;
    heals_when_a_port_is_free(&platform)?;
    tells_what_has_no_room(&platform)?;
    tells_how_containers_fail(&platform)?;
    let wanted = BTreeMap::from([("good/good".to_owned(), 1)]);
    wait_for("the good application alone", SETTLE, || {
        engines_equal_desired(&platform, &wanted).map(Some)
    })
}

fn service(name: &str, keys: &str) -> String {
    format!("services:\n  {name}:\n    image: {IMAGE}\n    {keys}\n")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// The command ends with this code and says all of this.
fn fails(platform: &Platform, arguments: &[&str], code: i32, parts: &[&str]) -> Result<()> {
    let output = platform.try_berth(arguments)?;
    let said = said(&output);
    ensure!(
        output.status.code() == Some(code),
        "{arguments:?} ended with {}: {said}",
        output.status
    );
    for part in parts {
        ensure!(
            said.contains(part),
            "{arguments:?} says nothing of `{part}`: {said}"
        );
    }
    Ok(())
}

fn alias_bomb() -> String {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (before, name) in ('a'..='i').zip('b'..='j') {
        let many = vec![format!("*{before}"); 9].join(", ");
        text.push_str(&format!("{name}: &{name} [{many}]\n"));
    }
    text + "services: { x: { image: web, labels: *j } }\n"
}

fn refuses_bad_files(platform: &Platform) -> Result<()> {
    let cycle = "services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [a] }\n";
    let deep = format!("services: {}", "{a: ".repeat(5_000));
    let cases: [(&str, String, &[&str]); 8] = [
        (
            "broken",
            "services:\n  a:\n    image: x\n   b: [".into(),
            &["broken.yml:4:4", "not YAML"],
        ),
        ("big", "a".repeat(BIG_BYTES), &["big.yml", "more than"]),
        ("cycle", cycle.into(), &["cycle.yml:2:", "a → b → a"]),
        ("bomb", alias_bomb(), &["bomb.yml:", "aliases"]),
        ("deep", deep, &["deep.yml:1:", "nested deeper"]),
        (
            "twice",
            "services:\n  a: { image: x }\n  a: { image: x }\n".into(),
            &["twice.yml:3:3", "`a`"],
        ),
        (
            "unset",
            service("a", "user: ${WHO:?say who}"),
            &["unset.yml:4:", "say who"],
        ),
        (
            "value",
            service("a", "cpus: -1"),
            &["value.yml:4:11", "write a number of cores"],
        ),
    ];
    for (name, text, parts) in cases {
        let file = path(&platform.file(&format!("{name}.yml"), &text)?);
        fails(platform, &["deploy", &file, "--name", name], USAGE, parts)?;
    }
    only_good_is_there(platform)
}

fn only_good_is_there(platform: &Platform) -> Result<()> {
    let apps = items(&platform.json(&["apps"])?);
    let names: Vec<_> = apps.iter().filter_map(|app| app["name"].as_str()).collect();
    ensure!(names == ["good"], "there are {names:?}");
    Ok(())
}

fn refuses_ways_out_of_the_project(platform: &Platform) -> Result<()> {
    let folder = platform.folder().join("project");
    fs::create_dir_all(&folder)?;
    fs::write(platform.folder().join("secret.env"), "SECRET=planted\n")?;
    std::os::unix::fs::symlink("../secret.env", folder.join("link.env"))?;
    let refuses = |keys: &str, code: i32, parts: &[&str]| -> Result<()> {
        let file = folder.join("out.yml");
        fs::write(&file, service("a", keys))?;
        fails(platform, &["deploy", &path(&file), "--name", "out"], code, parts)
    };
    refuses(
        "env_file: ../secret.env",
        USAGE,
        &["out.yml:4:15", "not inside the project folder"],
    )?;
    refuses(
        "env_file: /etc/passwd",
        USAGE,
        &["out.yml:4:15", "not inside the project folder"],
    )?;
    refuses(
        "env_file: link.env",
        USAGE,
        &["link.env", "out of the project folder"],
    )?;
    refuses(
        "volumes: [\"./data:/data\"]",
        USAGE,
        &["out.yml:4:15", "named volume"],
    )?;
    refuses(
        "volumes: [\"../..:/data\"]",
        USAGE,
        &["out.yml:4:15", "named volume"],
    )?;
    refuses(
        "volumes: [\"/:/host\"]",
        REFUSED,
        &["out.yml:4:15", "administrator"],
    )?;
    only_good_is_there(platform)
}

fn refuses_bad_tokens(platform: &Platform) -> Result<()> {
    let scoped =
        |scope: &str, ttl: &str| platform.berth(&["token", "create", "--scope", scope, "--ttl", ttl, "-q"]);
    fails(
        platform,
        &["--token", "nonsense", "ps"],
        REFUSED,
        &["shape of an API token"],
    )?;
    let reader = scoped("read", "1h")?;
    let wrong = format!("{}0", reader.trim());
    fails(platform, &["--token", &wrong, "ps"], REFUSED, &["access.token"])?;
    fails(
        platform,
        &["--token", reader.trim(), "rm", "good"],
        REFUSED,
        &["access.scope"],
    )?;
    let short = scoped("read", "1s")?;
    std::thread::sleep(Duration::from_secs(2));
    fails(platform, &["--token", short.trim(), "ps"], REFUSED, &["expired"])
}

fn join_token(platform: &Platform, ttl: &str) -> Result<String> {
    let token = platform.berth(&[
        "token",
        "create",
        "--join",
        "--cluster",
        "main",
        "--ttl",
        ttl,
        "-q",
    ])?;
    Ok(token.trim().to_owned())
}

fn joins_only_once(platform: &mut Platform) -> Result<()> {
    let url = platform.https();
    let socket = platform.lab.node(1).context("a node")?.docker_host();
    let joined = path(&platform.lab.node(1).context("a node")?.folder().join("agent"));
    let fresh = path(&platform.folder().join("another-agent"));
    let refuses = |platform: &Platform, token: &str, data: &str, name: &str, part: &str| {
        let end = [
            "--data",
            data,
            "--docker-host",
            &socket,
            "--no-run",
            "--name",
            name,
        ];
        fails(
            platform,
            &[&["agent", "join", &url, token][..], &end].concat(),
            REFUSED,
            &[part],
        )
    };
    let (good, used) = (join_token(platform, "1h")?, join_token(platform, "1h")?);
    refuses(platform, &good, &joined, "n9", "already")?;
    refuses(platform, &used, &fresh, "n1", "choose another name")?;
    let expired = join_token(platform, "1s")?;
    std::thread::sleep(Duration::from_secs(2));
    refuses(platform, &expired, &fresh, "n9", "expired")?;
    let nodes = items(&platform.json(&["node", "ls"])?).len();
    ensure!(nodes == 1, "there are {nodes} nodes");
    Ok(())
}

fn lets_one_of_two_deploys_win(platform: &Platform) -> Result<()> {
    let file = |mark: &str| {
        platform.file(
            &format!("{mark}.yml"),
            &service("a", &format!("hostname: {mark}")),
        )
    };
    let (one, two) = (path(&file("one")?), path(&file("two")?));
    let deploy = |file: &str| platform.try_berth(&["deploy", file, "--name", "race"]);
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| deploy(&one));
        let second = deploy(&two);
        (first.join(), second)
    });
    let first = first.ok().context("the thread")??;
    let outputs = [first, second?];
    for output in &outputs {
        let code = output.status.code();
        ensure!(code == Some(0) || code == Some(REFUSED), "{}", said(output));
    }
    ensure!(
        outputs.iter().any(|output| output.status.success()),
        "both were refused"
    );
    wait_for("one container of the last release", SETTLE, || {
        engines_equal_desired(
            platform,
            &BTreeMap::from([("good/good".to_owned(), 1), ("race/a".to_owned(), 1)]),
        )
        .map(Some)
    })?;
    platform.berth(&["rm", "race"])?;
    Ok(())
}

fn heals_when_a_port_is_free(platform: &Platform) -> Result<()> {
    let file = path(&platform.file("port.yml", &service("a", "ports: [\"29300:80\"]"))?);
    let deploy = ["deploy", &file, "--name", "port", "--wait", "--timeout"];
    fails(
        platform,
        &[&deploy[..], &["5s"]].concat(),
        NOT_READY,
        &["29300", "good_good_1"],
    )?;
    platform.berth(&["stop", "good"])?;
    platform.berth(&[&deploy[..], &[DEPLOYED]].concat())?;
    platform.berth(&["rm", "port"])?;
    platform.berth(&["start", "good"])?;
    Ok(())
}

fn tells_what_has_no_room(platform: &Platform) -> Result<()> {
    let keys = "deploy: { resources: { reservations: { memory: 900G } } }";
    platform.berth(&[
        "deploy",
        &path(&platform.file("huge.yml", &service("a", keys))?),
        "--name",
        "huge",
    ])?;
    let why = wait_for("the reason", SETTLE, || {
        let why = platform.berth(&["why", "huge"])?;
        Ok(why.contains("pending: ").then_some(why))
    })?;
    for part in ["no node has 900", "n1: needs 900", "help: add a node"] {
        ensure!(why.contains(part), "no `{part}` in {why}");
    }
    platform.berth(&["rm", "huge"])?;
    Ok(())
}

fn tells_how_containers_fail(platform: &Platform) -> Result<()> {
    let file = "services:
  unknown: { image: \"localhost:1/no/such:1\" }
  absent: { image: IMAGE, command: [no-such-command] }
  crashing: { image: IMAGE, command: [sh, -c, \"echo boom; exit 3\"] }
  job: { image: IMAGE, command: [\"true\"], restart: \"no\" }
";
    let file = path(&platform.file("fails.yml", &file.replace("IMAGE", IMAGE))?);
    platform.berth(&["deploy", &file, "--name", "fails"])?;
    let expected = [
        ("unknown", "localhost:1/no/such:1"),
        ("absent", "no-such-command"),
        ("crashing", "restarts"),
        ("job", "exited (0)"),
    ];
    for (service, part) in expected {
        wait_for(&format!("`{part}` in why {service}"), CRASH_LOOP, || {
            let why = platform.berth(&["why", "fails", service])?;
            let restarts = items(&platform.json(&["ps", "fails", "--all"])?)
                .iter()
                .any(|row| row["service"] == service && row["restarts"].as_u64().is_some_and(|n| n > 0));
            Ok((why.contains(part) || part == "restarts" && restarts).then_some(()))
        })?;
    }
    // Not by its name: after half a minute it is given up, and the name of the next one has more to it while the
    // first one still has it.
    wait_for("its output", SETTLE, || {
        let rows = items(&platform.json(&["ps", "fails", "--all"])?);
        for row in rows.iter().filter(|row| row["service"] == "crashing") {
            let id = row["id"].as_str().context("an id")?;
            let logs = platform.try_berth(&["logs", id, "--tail", "1"])?;
            if said(&logs).contains("boom") {
                return Ok(Some(()));
            }
        }
        Ok(None)
    })?;
    // One that cannot be started is tried again and again: until when it waits is told.
    wait_for("the next attempt in why", CRASH_LOOP, || {
        let why = platform.berth(&["why", "fails", "absent"])?;
        let told = why.contains("next attempt at") && why.contains("no-such-command");
        let listed = platform.berth(&["ps", "fails"])?;
        Ok((told && listed.contains("waiting")).then_some(()))
    })?;
    platform.berth(&["rm", "fails"])?;
    Ok(())
}
