//! A fake engine: containers that run, end and fail as their image says.

use crate::rng::Rng;
use berth_agent_core::{Container, Failure, Seen, Step, Wanted, names};
use berth_events::{ExitStatus, FailureReason, PortBinding};
use berth_ids::{AllocationId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Exit code of a container that was killed.
const KILLED: i64 = 137;
/// How long a container runs before its check passes.
const HEALTHY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct Run {
    started_at: Timestamp,
    ended: Option<(Timestamp, ExitStatus)>,
}

#[derive(Debug, Clone)]
struct Boxed {
    container: Container,
    image: String,
    checked: bool,
    run: Option<Run>,
    runs: u64,
}

/// One engine. Its disk survives a power cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Engine {
    boxes: BTreeMap<AllocationId, Boxed>,
    images: BTreeSet<String>,
    /// Images that no registry has any more.
    pub(crate) gone: BTreeSet<String>,
    pub(crate) volumes: BTreeSet<String>,
    made: u64,
}

/// A container was started and will end by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WillEnd {
    pub(crate) run: u64,
    pub(crate) after_ms: u64,
    pub(crate) code: i64,
}

impl Engine {
    pub(crate) fn look(&self, now: Timestamp) -> BTreeMap<AllocationId, Seen> {
        self.boxes
            .iter()
            .map(|(id, boxed)| (*id, boxed.seen(now)))
            .collect()
    }

    pub(crate) fn seen(&self, id: AllocationId, now: Timestamp) -> Seen {
        self.boxes.get(&id).map_or(Seen::Absent, |boxed| boxed.seen(now))
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = (AllocationId, &Container)> {
        self.boxes
            .iter()
            .filter(|(_, boxed)| boxed.is_running())
            .map(|(id, boxed)| (*id, &boxed.container))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = AllocationId> {
        self.boxes.keys().copied()
    }

    /// How long a step takes.
    pub(crate) fn duration_ms(&self, step: &Step, wanted: Option<&Wanted>, rng: &mut Rng) -> u64 {
        match step {
            Step::Pull if wanted.is_some_and(|wanted| self.images.contains(&wanted.container.image)) => 1,
            Step::Pull => rng.between(100, 2_000),
            Step::Stop { .. } => rng.between(10, 500),
            _ => rng.between(5, 50),
        }
    }

    /// Takes a step; what it started may end by itself.
    pub(crate) fn take(
        &mut self,
        id: AllocationId,
        step: &Step,
        wanted: Option<&Wanted>,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<Option<WillEnd>, Failure> {
        match (step, wanted) {
            (Step::Pull, Some(wanted)) => self.pull(wanted).map(|()| None),
            (Step::Create, Some(wanted)) => {
                self.create(id, wanted);
                Ok(None)
            }
            (Step::Start | Step::Restart, Some(_)) => self.start(id, now, rng),
            (Step::Stop { .. } | Step::Kill, _) => {
                self.end(id, None, KILLED, now);
                Ok(None)
            }
            (Step::Remove, _) => {
                self.boxes.remove(&id);
                Ok(None)
            }
            // What is no longer wanted is neither pulled nor made nor started.
            _ => Ok(None),
        }
    }

    fn pull(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        let image = &wanted.container.image;
        let gone = self.gone.contains(image) && !self.images.contains(image);
        if gone || image.starts_with("missing") {
            return Err(Failure::Final {
                reason: FailureReason::Pull,
                message: format!("no such image: {image}"),
            });
        }
        self.images.insert(image.clone());
        Ok(())
    }

    fn create(&mut self, id: AllocationId, wanted: &Wanted) {
        self.made += 1;
        let placed = &wanted.placed;
        let volumes = names::mounted_volumes(wanted);
        self.volumes.extend(volumes.iter().cloned());
        let ports = wanted.container.ports.iter().filter_map(|port| {
            port.published.map(|host_port| PortBinding {
                target: port.target,
                protocol: port.protocol.clone(),
                host_ip: "0.0.0.0".to_owned(),
                host_port,
            })
        });
        let container = Container {
            id: format!("c{}", self.made),
            name: names::container_name(wanted, false),
            image_id: wanted.container.image.clone(),
            image_digest: None,
            application_id: placed.application_id,
            service: placed.service.clone(),
            slot: placed.slot,
            grace: Duration::from_secs(10),
            addresses: BTreeMap::new(),
            ports: ports.collect(),
            started_at: Timestamp::default(),
            joined: BTreeSet::new(),
            volumes,
        };
        let boxed = Boxed {
            container,
            image: wanted.container.image.clone(),
            checked: wanted.container.healthcheck.is_some(),
            run: None,
            runs: 0,
        };
        self.boxes.insert(id, boxed);
    }

    fn start(&mut self, id: AllocationId, now: Timestamp, rng: &mut Rng) -> Result<Option<WillEnd>, Failure> {
        let missing = || Failure::Passing {
            reason: FailureReason::Start,
            message: "no such container".to_owned(),
        };
        let wanted: Vec<_> = self.boxes.get(&id).ok_or_else(missing)?.container.ports.clone();
        let taken = self
            .running()
            .filter(|(other, _)| *other != id)
            .flat_map(|(_, container)| &container.ports)
            .find(|port| wanted.iter().any(|mine| mine.host_port == port.host_port))
            .map(|port| port.host_port);
        if let Some(port) = taken {
            return Err(Failure::Passing {
                reason: FailureReason::Start,
                message: format!("port {port} is taken"),
            });
        }
        let boxed = self.boxes.get_mut(&id).ok_or_else(missing)?;
        boxed.runs += 1;
        boxed.run = Some(Run {
            started_at: now,
            ended: None,
        });
        let run = boxed.runs;
        let will_end = |after_ms, code| Some(WillEnd { run, after_ms, code });
        Ok(if boxed.image.starts_with("crash") {
            will_end(300, 1)
        } else if boxed.image.starts_with("job") {
            will_end(2_000, 0)
        } else if boxed.image.starts_with("flaky") && rng.chance(30) {
            will_end(rng.between(100, 5_000), 2)
        } else {
            None
        })
    }

    /// A container ends. `run`: only if it is still that run.
    pub(crate) fn end(&mut self, id: AllocationId, run: Option<u64>, exit_code: i64, now: Timestamp) -> bool {
        let Some(boxed) = self.boxes.get_mut(&id) else {
            return false;
        };
        if run.is_some_and(|run| run != boxed.runs) || !boxed.is_running() {
            return false;
        }
        if let Some(current) = &mut boxed.run {
            let oom_killed = false;
            current.ended = Some((
                now,
                ExitStatus {
                    exit_code,
                    oom_killed,
                },
            ));
        }
        true
    }

    /// Somebody removes a container by hand.
    pub(crate) fn snatch(&mut self, id: AllocationId) {
        self.boxes.remove(&id);
    }

    /// The engine or its machine stops: so does all that runs.
    pub(crate) fn cut(&mut self, now: Timestamp) {
        let running: Vec<_> = self.running().map(|(id, _)| id).collect();
        for id in running {
            self.end(id, None, KILLED, now);
        }
    }

    pub(crate) fn drop_volumes(&mut self, volumes: &BTreeSet<String>) {
        self.volumes.retain(|name| !volumes.contains(name));
    }
}

impl Boxed {
    fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.ended.is_none())
    }

    fn seen(&self, now: Timestamp) -> Seen {
        let container = self.container.clone();
        match &self.run {
            None => Seen::Created(container),
            Some(Run {
                started_at,
                ended: None,
            }) => Seen::Running {
                container,
                healthy: (self.checked && now.since(*started_at) >= HEALTHY_AFTER)
                    .then_some(!self.image.starts_with("sick")),
                health_output: String::new(),
            },
            Some(Run {
                started_at,
                ended: Some((finished_at, exit)),
            }) => Seen::Ended {
                container,
                exit: *exit,
                started_at: *started_at,
                finished_at: *finished_at,
                output: String::new(),
            },
        }
    }
}
