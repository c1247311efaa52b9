//! What the benchmarks of containers stand on: a platform with engines, and what is asked of it.

use crate::{
    client::{Client, Follower},
    engine::Engine,
};
use anyhow::{Context, Result};
use berth_e2e::{Form, IMAGE, Platform};
use std::time::Duration;

/// Label of every container of ours.
const LABEL: &str = "io.berth.allocation";
/// A network that is there before, so that both sides only create and start.
pub const NETWORK: &str = "berth-bench";
/// The longest wait for an event.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Quiet time between two measurements.
const PAUSE: Duration = Duration::from_millis(300);

/// A platform in one process, its engines, and the log from now on.
pub struct Site {
    /// The platform.
    pub platform: Platform,
    /// Its API.
    pub client: Client,
    /// Its log.
    pub log: Follower,
    /// Its engines, also for containers without Berth.
    pub engines: Vec<Engine>,
}

impl Site {
    /// Starts all of it.
    pub async fn start(nodes: usize) -> Result<Self> {
        let platform = tokio::task::block_in_place(|| Platform::start(Form::One, nodes))?;
        let client = Client::of(&platform)?;
        let log = client.follow().await?;
        let mut engines = Vec::new();
        for node in platform.lab.nodes() {
            let engine = Engine::of(node).await?;
            engine.make_network(NETWORK).await?;
            engines.push(engine);
        }
        Ok(Self {
            platform,
            client,
            log,
            engines,
        })
    }

    /// The only engine, or the first.
    pub fn engine(&self) -> Result<&Engine> {
        self.engines.first().context("at least one engine")
    }

    /// Removes an application, waits until its containers are gone, and lets the machine rest.
    pub async fn remove(&mut self, application: &str) -> Result<()> {
        self.client.remove(application).await?;
        for engine in &self.engines {
            engine.wait_empty(LABEL).await?;
        }
        self.log.until("application.removed", PATIENCE, |_| ()).await?;
        rest().await;
        Ok(())
    }
}

/// A Compose text with one service.
pub fn compose(replicas: usize, own_network: bool) -> String {
    let network = if own_network {
        String::new()
    } else {
        format!("networks:\n  default: {{ external: true, name: {NETWORK} }}\n")
    };
    format!("services:\n  web:\n    image: {IMAGE}\n    deploy: {{ replicas: {replicas} }}\n{network}")
}

/// Lets the machine finish what the last measurement left behind.
pub async fn rest() {
    tokio::time::sleep(PAUSE).await;
}

/// What else the machine has to do, as it says itself.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let loads: Vec<&str> = text.split_whitespace().take(3).collect();
    format!("{cores} cores, load {}", loads.join(" "))
}
