//! What the engines really have, held against what should be.

use crate::platform::{Platform, items};
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// A container of ours on an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// Number of the node.
    pub node: usize,
    /// Name on the engine.
    pub name: String,
    /// Allocation that it belongs to.
    pub allocation: String,
    /// Application, service and slot.
    pub slot: String,
    /// `running`, `exited` …
    pub state: String,
}

/// Everything of ours on every engine that answers.
///
/// # Errors
/// An engine does not answer.
pub fn on_engines(platform: &Platform) -> Result<Vec<Running>> {
    let mut found = Vec::new();
    for node in platform.lab.nodes() {
        let format = "{{.Names}}\t{{.Label \"io.berth.allocation\"}}\t{{.Label \"io.berth.application-name\"}}/\
                      {{.Label \"io.berth.service\"}}/{{.Label \"io.berth.slot\"}}\t{{.State}}";
        let out = node.docker(&[
            "ps",
            "-a",
            "--filter",
            "label=io.berth.allocation",
            "--format",
            format,
        ])?;
        for line in out.lines() {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            found.push(Running {
                node: node.number(),
                name: next(),
                allocation: next(),
                slot: next(),
                state: next(),
            });
        }
    }
    found.sort();
    Ok(found)
}

/// Every slot runs exactly once on the engines, and these are the containers that the platform shows.
///
/// # Errors
/// What differs.
pub fn engines_equal_desired(platform: &Platform, wanted: &BTreeMap<String, u32>) -> Result<()> {
    let found = on_engines(platform)?;
    let mut slots: BTreeMap<&str, u32> = BTreeMap::new();
    let mut services: BTreeMap<String, u32> = BTreeMap::new();
    for container in &found {
        if container.state != "running" {
            bail!("{container:?} is left behind");
        }
        *slots.entry(container.slot.as_str()).or_default() += 1;
        let service = container.slot.rsplit_once('/').map_or("", |(service, _)| service);
        *services.entry(service.to_owned()).or_default() += 1;
    }
    if let Some((slot, count)) = slots.iter().find(|(_, count)| **count != 1) {
        bail!("slot {slot} runs {count} times");
    }
    if services != *wanted {
        bail!("engines run {services:?}, wanted are {wanted:?}");
    }
    let shown = items(&platform.json(&["ps"])?);
    let mut shown: Vec<String> = shown
        .iter()
        .filter_map(|container| container["id"].as_str().map(str::to_owned))
        .collect();
    let mut real: Vec<String> = found
        .iter()
        .map(|container| container.allocation.clone())
        .collect();
    shown.sort();
    real.sort();
    if shown != real {
        bail!("`berth ps` shows {shown:?}, engines run {real:?}");
    }
    Ok(())
}
