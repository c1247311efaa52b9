//! Where the time of a deploy goes, by the moments that the events carry.

use crate::{
    client::{Seen, Sent},
    moment::millis,
    statistics::Millis,
};
use anyhow::{Context, Result, bail};
use berth_events::{AllocationEvent, Event};
use berth_ids::Timestamp;

/// From each moment to the next.
const STAGES: [&str; 10] = [
    "POST sent → release_started recorded",
    "→ placement.decided recorded",
    "→ placement.decided at a client",
    "→ agent saw the container created",
    "→ allocation.created recorded",
    "→ process began (engine)",
    "→ agent saw it run",
    "→ allocation.running recorded",
    "→ allocation.running at a client",
    "(POST sent → answer)",
];

/// The moments of one deploy.
pub struct Moments {
    asked: Timestamp,
    answered: Timestamp,
    release: Option<Timestamp>,
    decided: Option<(Timestamp, Timestamp)>,
    created: Option<(Timestamp, Timestamp)>,
    running: Option<(Timestamp, Timestamp, Timestamp)>,
    container: Option<String>,
}

impl Moments {
    /// Of a deploy that was just sent.
    pub fn new(sent: &Sent) -> Self {
        Self {
            asked: sent.asked,
            answered: sent.answered,
            release: None,
            decided: None,
            created: None,
            running: None,
            container: None,
        }
    }

    /// Takes what an event tells.
    pub fn take(&mut self, seen: &Seen) {
        let recorded = seen.event.recorded_at;
        match &*seen.event.type_name {
            "application.release_started" => self.release = Some(recorded),
            "placement.decided" => self.decided = Some((recorded, seen.arrived)),
            _ => {}
        }
        match seen.event.event() {
            Ok(Event::Allocation(AllocationEvent::ContainerCreated(created))) => {
                self.created = Some((created.report.seen_at, recorded));
            }
            Ok(Event::Allocation(AllocationEvent::Running(running))) => {
                self.running = Some((running.report.seen_at, recorded, seen.arrived));
                self.container = Some(running.container_id);
            }
            _ => {}
        }
    }

    /// Id of the container in the engine.
    pub fn container(&self, last: &Seen) -> Result<&str> {
        match &self.container {
            Some(id) => Ok(id),
            None => bail!(
                "{} at {} names no container",
                last.event.type_name,
                last.event.position
            ),
        }
    }

    /// Durations of the stages.
    pub fn finish(&self, began: Timestamp) -> Result<[f64; STAGES.len()]> {
        let release = self.release.context("application.release_started was seen")?;
        let (decided, decided_here) = self.decided.context("placement.decided was seen")?;
        // Created and running may come in one report: then the first was never news.
        let (created, created_recorded) = self.created.unwrap_or((decided_here, decided_here));
        let (running, recorded, here) = self.running.context("allocation.running was seen")?;
        Ok([
            millis(self.asked, release),
            millis(release, decided),
            millis(decided, decided_here),
            millis(decided_here, created),
            millis(created, created_recorded),
            millis(created, began),
            millis(began, running),
            millis(running, recorded),
            millis(recorded, here),
            millis(self.asked, self.answered),
        ])
    }
}

/// Of many deploys.
#[derive(Default)]
pub struct Stages([Vec<f64>; STAGES.len()]);

impl Stages {
    /// Takes those of one deploy.
    pub fn take(&mut self, values: &[f64; STAGES.len()]) {
        for (all, value) in self.0.iter_mut().zip(values) {
            all.push(*value);
        }
    }

    /// Prints them.
    pub fn print(self) {
        println!("    where it goes:");
        for (stage, values) in STAGES.iter().zip(self.0) {
            println!("      {stage:<40} {}", Millis::new(values));
        }
    }
}
