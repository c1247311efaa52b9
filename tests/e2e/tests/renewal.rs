//! What an agent was given when it joined is renewed while it runs: rights on the bus, and the CAs by which it
//! checks the bus.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_e2e::{Form, IMAGE, Platform, expired_server, wait_for};
use nkeys::{KeyPair, KeyPairType};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{fs, path::PathBuf, time::Duration};

/// How long a renewal may take after a new connection.
const RENEWED: Duration = Duration::from_secs(20);

#[test]
fn rights_and_pins_reach_an_agent_while_it_runs() -> Result<()> {
    let mut platform = Platform::start(Form::One, 1)?;
    platform.agents.get_mut(&1).context("an agent")?.kill();
    take_a_right(&platform).context("take a right")?;
    platform.start_agent(1)?;
    wait_for("rights of today", RENEWED, || {
        let rights = rights(&token(&identity(&platform)?)?)?;
        Ok(rights.contains("\"met.").then_some(()))
    })
    .with_context(|| log_of(&platform))?;
    // Samples of what a node uses need the right that was missing.
    wait_for("samples of the node", RENEWED, || {
        let top = platform.json(&["top"])?;
        Ok(top.to_string().contains("n1").then_some(()))
    })?;
    platform.deploy("before", &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"))?;

    let (_, other, _) = expired_server()?;
    let own = fs::read_to_string(platform.data().join("ca/ca.pem"))?;
    // A change of the bus's CA begins so: the old one and the next are believed for a while.
    fs::write(platform.data().join("creds/nats-ca.pem"), format!("{own}{other}"))?;
    let server = platform.servers.get("server").context("a server")?.pid();
    let nats = child(server, "nats-server")?;
    berth_e2e::signal(nats, "KILL")?;
    wait_for("pins of today", RENEWED, || {
        let pins = fs::read_to_string(folder(&platform)?.join("ca.pem"))?;
        Ok(pins.contains(other.trim()).then_some(()))
    })?;
    let agent = platform.agents.get_mut(&1).context("an agent")?;
    ensure!(!agent.has_ended(), "the agent has run through it all");
    platform.deploy("after", &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"))
}

/// The agent's own folder.
fn folder(platform: &Platform) -> Result<PathBuf> {
    let node = platform.lab.nodes().first().context("a node")?;
    Ok(node.folder().join("agent/agent"))
}

/// What the agent says.
fn log_of(platform: &Platform) -> String {
    let node = platform.lab.nodes().first();
    let log = node.map(|node| fs::read_to_string(node.folder().join("agent.log")));
    log.and_then(Result::ok).unwrap_or_default()
}

fn identity(platform: &Platform) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(
        folder(platform)?.join("identity.json"),
    )?)?)
}

fn token(identity: &Value) -> Result<String> {
    let token = identity["membership"]["user_jwt"].as_str();
    Ok(token.context("a token")?.to_owned())
}

fn claims(token: &str) -> Result<Value> {
    let part = token.split('.').nth(1).context("claims")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

fn rights(token: &str) -> Result<String> {
    Ok(claims(token)?["nats"].to_string())
}

/// Gives the agent a token as an earlier release would have signed it: without the right to tell of its use.
fn take_a_right(platform: &Platform) -> Result<()> {
    let mut identity = identity(platform)?;
    let before = token(&identity)?;
    let mut claims = claims(&before)?;
    let publish = claims["nats"]["pub"]["allow"].as_array_mut().context("rights")?;
    publish.retain(|subject| !subject.as_str().is_some_and(|text| text.starts_with("met.")));
    claims["jti"] = "earlier".into();
    let head = before.split('.').next().context("a head")?;
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = account(platform, &identity)?.sign(signed.as_bytes())?;
    let earlier = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    ensure!(!rights(&earlier)?.contains("\"met."), "the right is gone");
    identity["membership"]["user_jwt"] = earlier.into();
    fs::write(
        folder(platform)?.join("identity.json"),
        serde_json::to_vec(&identity)?,
    )?;
    Ok(())
}

/// The key of the node's account, derived as the platform does.
fn account(platform: &Platform, identity: &Value) -> Result<KeyPair> {
    let seed = fs::read_to_string(platform.data().join("creds/account-services.seed"))?;
    let node = identity["node_id"].as_str().context("a node")?.replace('-', "");
    let derived = Sha256::new()
        .chain_update(b"berth account of a node\0")
        .chain_update(seed.trim().as_bytes())
        .chain_update(hex::decode(node)?)
        .finalize();
    Ok(KeyPair::new_from_raw(KeyPairType::Account, derived.into())?)
}

/// The child of a process that runs a program.
fn child(of: u32, program: &str) -> Result<u32> {
    let listed = std::process::Command::new("ps")
        .args(["--ppid", &of.to_string(), "-o", "pid=,comm="])
        .output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = listed.lines().find(|line| line.contains(program));
    let line = line.with_context(|| format!("{program} below process {of}: {listed}"))?;
    Ok(line.split_whitespace().next().context("an id")?.parse()?)
}
