//! A client that requests all the time through the containers' own addresses.

use crate::platform::{Platform, items};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// Rounds of requests between two looks at who is there.
const ROUNDS: usize = 4;

/// Whom it asks, and how many must be there at any moment.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Name of the application.
    pub application: &'static str,
    /// Containers that must be ready at any moment.
    pub least: usize,
}

/// Where containers are, by id: number of the node, and address.
type Places = BTreeMap<String, (usize, String)>;

impl Client {
    /// Containers that are well and that nobody has told to end.
    fn ready(self, platform: &Platform) -> Result<Places> {
        let mut found = BTreeMap::new();
        let containers = items(&platform.json(&["ps", self.application])?);
        let well = |container: &&Value| {
            container["health"] == "healthy"
                && container["state"] == "running"
                && container["stop_reason"].is_null()
        };
        for container in containers.iter().filter(well) {
            let addresses = container["addresses"].as_object();
            let address = addresses.and_then(|addresses| addresses.values().find_map(Value::as_str));
            let address = address.with_context(|| format!("an address of {container}"))?;
            let node = container["node"].as_str().unwrap_or_default();
            let node = node.trim_start_matches('n').parse();
            let place = (node.context("the node's number")?, address.to_owned());
            found.insert(container["id"].to_string(), place);
        }
        Ok(found)
    }

    /// What every ready container answers now, sorted.
    ///
    /// # Errors
    /// Nobody knows which containers are ready.
    pub fn answers(self, platform: &Platform) -> Result<Vec<String>> {
        let mut answers: Vec<String> = ask_all(platform, &self.ready(platform)?).into_values().collect();
        answers.sort();
        Ok(answers)
    }

    /// Requests without a pause while something is done; how many.
    ///
    /// # Errors
    /// Too few containers were ready at some moment, or one that was ready before and after a request has not
    /// answered it; or what the deed says.
    pub fn asks_during(self, platform: &Platform, deed: impl FnOnce() -> Result<()>) -> Result<usize> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                let mut requests = 0;
                while !over.load(Ordering::Relaxed) {
                    requests += self.look(platform)?;
                }
                ensure!(requests > 0, "the client never asked");
                Ok(requests)
            });
            let done = deed();
            over.store(true, Ordering::Relaxed);
            let requests = client.join().map_err(|_| anyhow::anyhow!("the client broke"))?;
            done?;
            requests
        })
    }

    fn look(self, platform: &Platform) -> Result<usize> {
        let before = self.ready(platform)?;
        ensure!(
            before.len() >= self.least,
            "only {} containers were ready",
            before.len()
        );
        let mut failed = Vec::new();
        for _ in 0..ROUNDS {
            let answers = ask_all(platform, &before);
            failed.extend(before.keys().filter(|id| !answers.contains_key(*id)));
        }
        let after = self.ready(platform)?;
        let failed: Vec<_> = failed.into_iter().filter(|id| after.contains_key(*id)).collect();
        ensure!(
            failed.is_empty(),
            "{} requests to containers that stayed ready failed: {failed:?}",
            failed.len()
        );
        Ok(ROUNDS * before.len())
    }
}

fn ask_all(platform: &Platform, places: &Places) -> BTreeMap<String, String> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = places
            .iter()
            .map(|(id, (node, address))| (id, scope.spawn(|| ask(platform, *node, address))))
            .collect();
        let said = asked.into_iter();
        said.filter_map(|(id, thread)| Some((id.clone(), thread.join().ok()??)))
            .collect()
    })
}

/// What a container says to who asks it from its node.
fn ask(platform: &Platform, node: usize, address: &str) -> Option<String> {
    // Not busybox: its static build cannot look names up outside a container.
    let request = format!("exec 3<>/dev/tcp/{address}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let mut command = platform.lab.nodes()[node - 1].command("timeout");
    let output = command.args(["2", "bash", "-c", &request]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().map(|line| line.trim().to_owned());
    last.filter(|_| output.status.success())
}
