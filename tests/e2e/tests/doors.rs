//! The doors of a running platform: TLS, join tokens, API tokens. Whoever is refused is told why.

use anyhow::{Context, Result, ensure};
use berth_e2e::{
    Connection, Form, IMAGE, Platform, expired_server, in_the_clear, items, path, port_of, wait_for,
};
use serde_json::Value;
use std::time::Duration;

/// The life of a certificate in the test of renewals: renewed after two thirds of it.
const LIFE: &str = "12s";
/// How long a renewal may take.
const RENEWED: Duration = Duration::from_secs(20);
/// A revoked API token is refused after five seconds at the latest.
const REVOKED: Duration = Duration::from_secs(7);

#[test]
fn only_who_may_comes_in() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let platform = Platform::start(Form::One, 1)?;
    plaintext_is_refused(&platform).context("plaintext")?;
    foreign_certificates_are_refused(&platform).context("foreign certificates")?;
    expired_certificates_are_refused(&platform).context("expired certificates")?;
    join_tokens_open_as_far_as_they_say(&platform).context("join tokens")?;
    scopes_are_kept(&platform).context("scopes")?;
    clusters_are_kept(&platform).context("clusters")?;
    ended_tokens_open_nothing(&platform).context("ended tokens")
}

#[test]
fn certificates_renew_themselves_under_open_connections() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    // Every service has its own process: the gateway renews its certificate, and who runs NATS the one of the bus.
    let platform = Platform::start_with(Form::Split, 1, &[("BERTH_CERT_LIFETIME", LIFE)])?;
    let ca = platform.data().join("ca/ca.pem");
    let ports = [
        (port_of(&platform.https())?, false),
        (port_of(&platform.nats())?, true),
    ];
    let mut open = Connection::open(ports[0].0, &ca, false)?;
    ensure!(open.get("/v1/openapi.json")? < 500, "the API answers");
    for round in 1..=2 {
        for (port, greeted) in ports {
            let before = Connection::open(port, &ca, greeted)?.certificate()?;
            wait_for(&format!("renewal {round} on port {port}"), RENEWED, || {
                // Asked meanwhile: the gateway closes a connection that asks for nothing.
                ensure!(
                    open.get("/v1/openapi.json")? < 500,
                    "the connection from before the renewal still serves"
                );
                let now = Connection::open(port, &ca, greeted)?.certificate()?;
                Ok((now != before).then_some(()))
            })?;
        }
        let nodes = items(&platform.json(&["node", "ls"])?);
        ensure!(nodes[0]["status"] == "ready", "the node is {}", nodes[0]);
    }
    ensure!(
        open.get("/v1/openapi.json")? < 500,
        "the connection from before all renewals still serves"
    );
    // The first certificate has ended by now; the agent's connection was never cut, and orders still come.
    let log = std::fs::read_to_string(platform.lab.nodes()[0].folder().join("agent.log"))?;
    let cuts = log.matches("the bus is away").count();
    ensure!(cuts <= 1, "the agent lost the bus {cuts} times:\n{log}");
    platform.deploy("after", &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"))
}

/// What a command that fails says.
fn refusal(platform: &Platform, arguments: &[&str]) -> Result<String> {
    let output = platform.try_berth(arguments)?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        !output.status.success(),
        "`berth {}` works: {said}",
        arguments.join(" ")
    );
    Ok(said)
}

fn says(said: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(said.contains(word), "`{word}` is missing in: {said}");
    }
    Ok(())
}

/// `berth agent join` of a fresh folder.
fn join(platform: &Platform, url: &str, token: &str, folder: &str) -> Result<String> {
    let node = platform.lab.nodes().first().context("a node")?;
    let (data, engine) = (path(&platform.folder().join(folder)), node.docker_host());
    let name = folder.to_owned();
    let arguments = [
        "agent",
        "join",
        url,
        token,
        "--no-run",
        "--name",
        &name,
        "--data",
        &data,
        "--docker-host",
        &engine,
    ];
    let output = platform.try_berth(&arguments)?;
    Ok(format!(
        "{}: {}{}",
        if output.status.success() {
            "joined"
        } else {
            "refused"
        },
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn join_token(platform: &Platform, more: &[&str]) -> Result<Value> {
    platform.json(&[&["token", "create", "--join", "--cluster", "main"], more].concat())
}

fn text_of(minted: &Value) -> Result<String> {
    Ok(minted["token"].as_str().context("a token")?.to_owned())
}

fn plaintext_is_refused(platform: &Platform) -> Result<()> {
    let said = in_the_clear(
        port_of(&platform.https())?,
        "GET /v1/clusters HTTP/1.1\r\nhost: x\r\n\r\n",
    )?;
    says(&said, &["400", "request.plaintext", "https"])?;
    let said = in_the_clear(
        port_of(&platform.nats())?,
        "CONNECT {\"verbose\":true,\"tls_required\":false}\r\nPING\r\n",
    )?;
    says(&said, &["\"tls_required\":true"])?;
    ensure!(
        !said.contains("PONG") && !said.contains("+OK"),
        "NATS speaks in the clear: {said}"
    );
    let token = text_of(&join_token(platform, &["--ttl", "1h"])?)?;
    let url = platform.https().replace("https://", "http://");
    let said = join(platform, &url, &token, "plain")?;
    says(&said, &["refused", "https"])?;
    // The bus lets nobody in without a user, TLS or not.
    let ca = platform.data().join("ca/ca.pem");
    let mut stranger = Connection::open(port_of(&platform.nats())?, &ca, true)?;
    says(
        &stranger.say("CONNECT {}\r\nPING\r\n")?,
        &["Authorization Violation"],
    )
}

fn foreign_certificates_are_refused(platform: &Platform) -> Result<()> {
    let token = text_of(&join_token(platform, &["--ttl", "1h"])?)?;
    let (rest, pin) = token.rsplit_once('.').context("a pin")?;
    let wrong = format!("{rest}.{}", "ab".repeat(pin.len() / 2));
    let said = join(platform, &platform.https(), &wrong, "foreign")?;
    says(
        &said,
        &[
            "refused",
            "not the platform that made the token",
            "its CA is not the one",
        ],
    )?;
    let (_, other_ca, _) = expired_server()?;
    let file = path(&platform.file("other.pem", &other_ca)?);
    let said = refusal(platform, &["apps", "--url", &platform.https(), "--ca", &file])?;
    says(&said, &["certificate", "UnknownIssuer", "--ca"])
}

fn expired_certificates_are_refused(platform: &Platform) -> Result<()> {
    let (port, ca, fingerprint) = expired_server()?;
    let url = format!("https://127.0.0.1:{port}");
    let file = path(&platform.file("expired.pem", &ca)?);
    let said = refusal(platform, &["apps", "--url", &url, "--ca", &file])?;
    says(&said, &["its certificate has expired"])?;
    let token = text_of(&join_token(platform, &["--ttl", "1h"])?)?;
    let (rest, _) = token.rsplit_once('.').context("a pin")?;
    let said = join(platform, &url, &format!("{rest}.{fingerprint}"), "expired")?;
    says(&said, &["refused", "its certificate has expired"])
}

fn join_tokens_open_as_far_as_they_say(platform: &Platform) -> Result<()> {
    let https = platform.https();
    let good = text_of(&join_token(platform, &["--ttl", "1h"])?)?;
    let (id, rest) = good.split_once('.').context("a secret")?;
    let (_, pin) = rest.split_once('.').context("a pin")?;
    let wrong = format!("{id}.d3Jvbmc.{pin}");
    says(&join(platform, &https, &wrong, "wrong")?, &["refused", "token"])?;
    let brief = text_of(&join_token(platform, &["--ttl", "1s"])?)?;
    std::thread::sleep(Duration::from_millis(1_500));
    says(&join(platform, &https, &brief, "late")?, &["refused", "expired"])?;
    let revoked = join_token(platform, &["--ttl", "1h"])?;
    platform.berth(&["token", "revoke", revoked["id"].as_str().context("an id")?])?;
    says(
        &join(platform, &https, &text_of(&revoked)?, "revoked")?,
        &["refused", "revoked"],
    )?;
    // A wrong secret before does not spoil the right one.
    says(&join(platform, &https, &good, "guest")?, &["joined"])?;
    says(&join(platform, &https, &good, "second")?, &["refused", "used"])?;
    same_identity_joins_once(platform, &good)
}

/// The same folder again: no second node, and the user is told which node it is.
fn same_identity_joins_once(platform: &Platform, used: &str) -> Result<()> {
    let said = join(platform, &platform.https(), used, "guest")?;
    ensure!(said.contains("guest"), "the second join says {said}");
    let identity = platform.folder().join("guest/agent/identity.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&identity)?)?;
    // As after a crash before the answer was written down: the same keys, no membership.
    let before = kept["membership"].take();
    std::fs::write(&identity, serde_json::to_vec(&kept)?)?;
    says(&join(platform, &platform.https(), used, "guest")?, &["joined"])?;
    let after: Value = serde_json::from_slice(&std::fs::read(&identity)?)?;
    ensure!(
        after["membership"]["cluster_id"] == before["cluster_id"],
        "the same cluster"
    );
    let nodes = items(&platform.json(&["node", "ls"])?);
    let count = nodes.iter().filter(|node| node["name"] == "guest").count();
    ensure!(count == 1 && nodes.len() == 2, "nodes are {nodes:?}");
    Ok(())
}

fn api_token(platform: &Platform, more: &[&str]) -> Result<Value> {
    platform.json(&[&["token", "create"], more].concat())
}

fn scopes_are_kept(platform: &Platform) -> Result<()> {
    let compose = platform.file(
        "small.yml",
        &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"),
    )?;
    let deploy =
        |token: &str| platform.try_berth(&["deploy", &path(&compose), "--name", "small", "--token", token]);
    let read = text_of(&api_token(platform, &["--scope", "read"])?)?;
    let deployer = text_of(&api_token(platform, &["--scope", "deploy"])?)?;
    let operator = text_of(&api_token(platform, &["--scope", "nodes"])?)?;
    for token in [&read, &operator] {
        let refused = deploy(token)?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success(), "a token without `deploy` deploys");
        says(&said, &["access.scope"])?;
    }
    let deployed = deploy(&deployer)?;
    ensure!(
        deployed.status.success(),
        "{}",
        String::from_utf8_lossy(&deployed.stderr)
    );
    for token in [&read, &deployer] {
        says(
            &refusal(platform, &["cluster", "create", "mine", "--token", token])?,
            &["access.scope"],
        )?;
        refusal(
            platform,
            &["token", "create", "--join", "--cluster", "main", "--token", token],
        )?;
        refusal(platform, &["node", "cordon", "n1", "--token", token])?;
    }
    for token in [&read, &deployer, &operator] {
        says(
            &refusal(
                platform,
                &["token", "create", "--scope", "admin", "--token", token],
            )?,
            &["access.scope"],
        )?;
        refusal(platform, &["token", "ls", "--token", token])?;
        platform.berth(&["apps", "--token", token])?;
    }
    platform.berth(&["cluster", "create", "mine", "--token", &operator])?;
    refusal(platform, &["apps", "--token", "berth-nonsense"])?;
    Ok(())
}

fn clusters_are_kept(platform: &Platform) -> Result<()> {
    platform.berth(&["cluster", "create", "apart"])?;
    let token = text_of(&api_token(
        platform,
        &[
            "--scope",
            "read",
            "--scope",
            "deploy",
            "--scope",
            "nodes",
            "--cluster",
            "apart",
        ],
    )?)?;
    let seen = items(&platform.json(&["cluster", "ls", "--token", &token])?);
    let names: Vec<&str> = seen
        .iter()
        .filter_map(|cluster| cluster["name"].as_str())
        .collect();
    ensure!(names == ["apart"], "a token for `apart` sees {names:?}");
    ensure!(
        items(&platform.json(&["node", "ls", "--token", &token])?).is_empty(),
        "it sees nodes"
    );
    ensure!(
        items(&platform.json(&["apps", "--token", &token])?).is_empty(),
        "it sees applications"
    );
    ensure!(
        items(&platform.json(&["ps", "--token", &token])?).is_empty(),
        "it sees containers"
    );
    let events = platform.berth(&["events", "-o", "json", "--token", &token])?;
    ensure!(
        !events.contains("small"),
        "it sees events of another cluster: {events}"
    );
    for arguments in [
        &["cluster", "show", "main"][..],
        &["app", "show", "small", "--cluster", "main"],
        &["rm", "small", "--cluster", "main"],
        &["scale", "small", "web", "3", "--cluster", "main"],
        &["node", "cordon", "n1", "--cluster", "main"],
        &["token", "create", "--join", "--cluster", "main"],
        &["cluster", "rm", "main", "--force"],
    ] {
        refusal(platform, &[arguments, &["--token", &token]].concat())?;
    }
    Ok(())
}

fn ended_tokens_open_nothing(platform: &Platform) -> Result<()> {
    let brief = text_of(&api_token(platform, &["--scope", "read", "--ttl", "2s"])?)?;
    platform.berth(&["apps", "--token", &brief])?;
    wait_for("the end of a token", REVOKED, || {
        Ok((!platform.try_berth(&["apps", "--token", &brief])?.status.success()).then_some(()))
    })?;
    says(&refusal(platform, &["apps", "--token", &brief])?, &["expired"])?;
    let minted = api_token(platform, &["--scope", "read"])?;
    let token = text_of(&minted)?;
    platform.berth(&["apps", "--token", &token])?;
    platform.berth(&["token", "revoke", minted["id"].as_str().context("an id")?])?;
    wait_for("the end of a revoked token", REVOKED, || {
        Ok((!platform.try_berth(&["apps", "--token", &token])?.status.success()).then_some(()))
    })?;
    says(&refusal(platform, &["apps", "--token", &token])?, &["revoked"])?;
    Ok(())
}
