//! Orders of a scenario about releases, and faults that are planted on their way.
//!
//! ```text
//! pause shop | resume shop | abort shop | rollback shop [to 1] | confirm shop [force] | weight shop web=50
//! zone a off | registry ok:2 off | harm n1 web 1 | scheduler off | scheduler on | rival 500ms
//! ```

use crate::{options::millis, script::Script};
use berth_events::SchedulerCommand;
use berth_ids::{NodeId, ReleaseId};
use std::collections::BTreeMap;

impl Script {
    /// An order about the release of an application; whether the words were one.
    pub(crate) fn release_order(&mut self, words: &[&str]) -> Result<bool, String> {
        let [verb, application, rest @ ..] = words else {
            return Ok(false);
        };
        if !["pause", "resume", "abort", "rollback", "confirm", "weight"].contains(verb) {
            return Ok(false);
        }
        let application_id = self.application(application)?;
        let release_id = ReleaseId::from_u128(self.sim.services.id());
        let back = |to, unsettled_only| SchedulerCommand::Rollback {
            application_id,
            release_id,
            to,
            unsettled_only,
            expected_version: None,
        };
        let command = match (*verb, rest) {
            ("pause", []) => SchedulerCommand::PauseRelease { application_id },
            ("resume", []) => SchedulerCommand::ResumeRelease { application_id },
            ("abort", []) => back(None, true),
            ("rollback", []) => back(None, false),
            ("rollback", ["to", number]) => {
                let number = number.parse().map_err(|_| format!("`{number}` is no number"))?;
                back(Some(number), false)
            }
            ("confirm", rest) => SchedulerCommand::ConfirmRelease {
                application_id,
                force: *rest == ["force"],
            },
            ("weight", weights) => SchedulerCommand::SetWeights {
                application_id,
                weights: shares(weights)?,
            },
            _ => return Ok(false),
        };
        self.ask(command)?;
        Ok(true)
    }

    /// Something goes wrong, or is well again; whether the words were that.
    pub(crate) fn fault(&mut self, words: &[&str]) -> Result<bool, String> {
        match words {
            ["zone", zone, state @ ("on" | "off")] => {
                let view = &self.sim.services.scheduler;
                let nodes = view.nodes_of(crate::sim::CLUSTER);
                let inside: Vec<NodeId> = nodes
                    .filter(|node| node.zone == *zone)
                    .map(|node| node.node_id)
                    .collect();
                for node in inside {
                    self.sim.link(node, *state == "on");
                }
            }
            ["registry", image, state @ ("on" | "off")] => {
                for agent in self.sim.agents.values_mut() {
                    match *state {
                        "off" => agent.engine.gone.insert((*image).to_owned()),
                        _ => agent.engine.gone.remove(*image),
                    };
                }
            }
            ["harm", node, service, slot] => self.harm(node, service, slot)?,
            ["scheduler", "off"] => self.sim.services.scheduler_off = true,
            ["scheduler", "on"] => self.sim.services.restart_scheduler(),
            ["rival", time] => self.sim.rival(millis(time)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A container is killed by hand.
    fn harm(&mut self, node: &str, service: &str, slot: &str) -> Result<(), String> {
        let node = self.node_id(node)?;
        let now = self.sim.now;
        let agent = self.sim.agents.get_mut(&node).ok_or("no agent")?;
        let found = agent
            .engine
            .running()
            .find(|(_, container)| container.service == service && container.slot.to_string() == slot)
            .map(|(id, _)| id);
        let id = found.ok_or_else(|| format!("no container of {service}.{slot} runs there"))?;
        agent.engine.end(id, None, 9, now);
        self.sim.wake(node);
        Ok(())
    }
}

fn shares(weights: &[&str]) -> Result<BTreeMap<String, u8>, String> {
    let share = |text: &&str| {
        let (name, weight) = text.split_once('=').ok_or("a share is `web=50`")?;
        let weight = weight.parse().map_err(|_| format!("`{weight}` is no weight"))?;
        Ok((name.to_owned(), weight))
    };
    weights.iter().map(share).collect()
}
