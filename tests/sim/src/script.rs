//! Scenarios as text: one order a line; the answer is what the log says after it.
//!
//! ```text
//! node n1 cpu=4 memory=8GiB zone=a label.disk=ssd
//! service db image=ok:db volume=data check
//! service web image=ok:1 replicas=3 memory=1GiB port=80 after=db
//! deploy shop
//! wait 10s
//! show
//! ```
//!
//! Images: `ok`, `crash` (ends with 1 soon after each start), `job` (ends with 0), `flaky`, `missing`, `sick` (a
//! check never passes). Options of a service are in `options.rs`, orders about releases and faults in `orders.rs`.

use crate::{
    check,
    options::{amount, millis, service_spec},
    show::release,
    sim::{CLUSTER, Sim, name},
};
use berth_events::{
    ClusterCommand, CommandOutcome, DeployMethod, NodeFacts, ReleaseSource, SchedulerCommand,
    spec::{ApplicationSpec, ServiceSpec},
};
use berth_ids::{ApplicationId, ReleaseId};
use std::{collections::BTreeMap, time::Duration};

/// A line that is no order, or an order that could not be.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What is the matter.
    pub what: String,
}

/// Runs a scenario; the text that tells what happened.
///
/// # Errors
/// [`ScriptError`] names the line.
pub fn run_script(text: &str) -> Result<String, ScriptError> {
    let mut script = Script {
        sim: Sim::new(1),
        told: 0,
        services: BTreeMap::new(),
    };
    script.told = script.sim.story().len();
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        let order = line.split('#').next().unwrap_or_default().trim();
        if order.is_empty() {
            continue;
        }
        let answer = script.order(order).map_err(|what| ScriptError {
            line: number + 1,
            what,
        })?;
        out.push_str(&format!("> {order}\n"));
        for line in answer {
            out.push_str(&format!("  {line}\n"));
        }
    }
    Ok(out)
}

pub(crate) struct Script {
    pub(crate) sim: Sim,
    /// Lines of the story told so far.
    told: usize,
    /// Services of the next deploy.
    services: BTreeMap<String, ServiceSpec>,
}

impl Script {
    fn order(&mut self, order: &str) -> Result<Vec<String>, String> {
        let words: Vec<&str> = order.split_whitespace().collect();
        match words.as_slice() {
            ["node", node, rest @ ..] => self.node(node, rest)?,
            ["service", service, rest @ ..] => {
                let spec = service_spec(rest)?;
                self.services.insert((*service).to_owned(), spec);
            }
            ["deploy", application] => self.deploy(application, DeployMethod::Rolling)?,
            ["deploy", application, "standard"] => self.deploy(application, DeployMethod::Standard)?,
            ["deploy", application, "blue-green"] => self.deploy(application, DeployMethod::BlueGreen)?,
            ["refused", rest @ ..] => {
                let refusal = self.order(&rest.join(" ")).err();
                return refusal
                    .map(|refusal| vec![refusal])
                    .ok_or_else(|| "nobody refused it".to_owned());
            }
            ["release", application] => {
                let id = self.application(application)?;
                let view = &self.sim.services.scheduler;
                return Ok(view
                    .application(id)
                    .map_or_else(Vec::new, |row| release(view, row)));
            }
            ["scale", application, service, count] => self.scale(application, service, count)?,
            ["abandon", application, service] => {
                let application_id = self.application(application)?;
                self.ask(SchedulerCommand::AbandonVolume {
                    application_id,
                    service: (*service).to_owned(),
                    slots: Default::default(),
                })?;
            }
            ["remove", application, rest @ ..] => {
                let application_id = self.application(application)?;
                let volumes = rest.contains(&"volumes");
                self.ask(SchedulerCommand::Remove {
                    application_id,
                    volumes,
                })?;
            }
            ["power", node, state @ ("on" | "off")] => {
                let node = self.node_id(node)?;
                self.sim.power(node, *state == "on");
            }
            ["link", node, state @ ("on" | "off")] => {
                let node = self.node_id(node)?;
                self.sim.link(node, *state == "on");
            }
            ["drain", node, time, rest @ ..] => self.drain(node, time, rest.contains(&"force"))?,
            ["uncordon", node] => {
                let node_id = self.node_id(node)?;
                self.ask_cluster(ClusterCommand::UncordonNode { node_id })?;
            }
            ["wait", time] => {
                let time = Duration::from_millis(millis(time)?);
                self.sim.run(time).map_err(|fault| fault.to_string())?;
            }
            ["show"] => return Ok(self.sim.table()),
            ["rest"] => {
                check::at_rest(&self.sim).map_err(|fault| fault.to_string())?;
                return Ok(vec!["engines run what the log says, and nothing else".to_owned()]);
            }
            words => {
                if !self.release_order(words)? && !self.fault(words)? {
                    return Err(format!("`{order}` is no order"));
                }
            }
        }
        self.sim.plan();
        self.sim.publish();
        Ok(self.news())
    }

    /// What the log says since the last answer.
    fn news(&mut self) -> Vec<String> {
        let story = self.sim.story();
        let news = story[self.told..]
            .iter()
            .map(|line| line[5..].trim_start().to_owned());
        let news = news.collect();
        self.told = story.len();
        news
    }

    fn node(&mut self, node: &str, options: &[&str]) -> Result<(), String> {
        let mut facts = NodeFacts {
            hostname: node.to_owned(),
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            cpu_millis: 4_000,
            memory_bytes: 8 << 30,
            ..NodeFacts::default()
        };
        let (mut zone, mut labels) = ("default".to_owned(), BTreeMap::new());
        for option in options {
            match option.split_once('=') {
                Some(("cpu", value)) => {
                    facts.cpu_millis = 1_000 * value.parse::<u64>().map_err(|error| error.to_string())?;
                }
                Some(("memory", value)) => facts.memory_bytes = amount(value)?,
                Some(("zone", value)) => zone = value.to_owned(),
                Some(("gpu", value)) => {
                    let count = value.parse().map_err(|_| format!("`{value}` is no number"))?;
                    facts.generic_resources.insert("gpu".to_owned(), count);
                }
                Some((key, value)) if key.starts_with("label.") => {
                    labels.insert(key[6..].to_owned(), value.to_owned());
                }
                _ => return Err(format!("`{option}` says nothing of a node")),
            }
        }
        accepted(self.sim.join(node, &zone, labels, facts))
    }

    fn deploy(&mut self, application: &str, method: DeployMethod) -> Result<(), String> {
        let services = std::mem::take(&mut self.services);
        let volumes = services
            .values()
            .flat_map(|service| service.container.named_volumes())
            .map(|volume| (volume.to_owned(), Default::default()))
            .collect();
        let (application_id, release_id) = (self.sim.services.id(), self.sim.services.id());
        self.ask(SchedulerCommand::Deploy {
            cluster_id: CLUSTER,
            name: name(application),
            application_id: ApplicationId::from_u128(application_id),
            release_id: ReleaseId::from_u128(release_id),
            spec: Box::new(ApplicationSpec {
                services,
                volumes,
                networks: BTreeMap::new(),
                ..ApplicationSpec::default()
            }),
            source: ReleaseSource::Image {
                image: "scenario".to_owned(),
            },
            warnings: vec![],
            method,
            must_exist: None,
            expected_version: None,
        })
    }

    fn scale(&mut self, application: &str, service: &str, count: &str) -> Result<(), String> {
        let application_id = self.application(application)?;
        let replicas = count.parse().map_err(|_| format!("`{count}` is no number"))?;
        self.ask(SchedulerCommand::Scale {
            application_id,
            service: service.to_owned(),
            replicas,
            expected_version: None,
        })
    }

    fn drain(&mut self, node: &str, time: &str, force: bool) -> Result<(), String> {
        let node_id = self.node_id(node)?;
        let millis = millis(time)?;
        let deadline_at = self.sim.now.plus(Duration::from_millis(millis));
        self.ask_cluster(ClusterCommand::DrainNode {
            node_id,
            deadline_at,
            force,
        })
    }

    pub(crate) fn ask(&mut self, command: SchedulerCommand) -> Result<(), String> {
        accepted(self.sim.scheduler(command))
    }

    fn ask_cluster(&mut self, command: ClusterCommand) -> Result<(), String> {
        accepted(self.sim.cluster(command))
    }

    pub(crate) fn node_id(&self, name: &str) -> Result<berth_ids::NodeId, String> {
        self.sim
            .node_named(name)
            .ok_or_else(|| format!("there is no node `{name}`"))
    }

    pub(crate) fn application(&self, application: &str) -> Result<ApplicationId, String> {
        self.sim
            .services
            .scheduler
            .application_named(CLUSTER, &name(application))
            .map(|row| row.application_id)
            .ok_or_else(|| format!("there is no application `{application}`"))
    }
}

fn accepted(outcome: CommandOutcome) -> Result<(), String> {
    match outcome {
        CommandOutcome::Accepted { .. } => Ok(()),
        CommandOutcome::Rejected(rejection) => Err(rejection.message),
    }
}
