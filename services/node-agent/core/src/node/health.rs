//! Health: what the engine's check and the agent's own probe say together, and for how long it was bad.

use super::{Moment, Node};
use crate::seen::Seen;
use berth_events::spec::ContainerSpec;
use berth_ids::{AllocationId, Timestamp};
use std::{borrow::Cow, sync::Arc, time::Duration};

/// Labels of a container that is replaced when it was unhealthy for so many seconds.
const REPLACE_LABELS: [&str; 2] = ["berth.replace_unhealthy", "aliyun.replace_unhealthy"];

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Id of the container in the engine.
    pub container: String,
    /// It is well.
    pub healthy: bool,
    /// Why not.
    pub output: String,
}

/// A container to be probed.
#[derive(Debug, Clone)]
pub struct Probing {
    /// Id of the container in the engine.
    pub container: String,
    /// Addresses of the container; none: it shares the node's network.
    pub addresses: Vec<String>,
    /// With its probe.
    pub spec: Arc<ContainerSpec>,
}

impl Node {
    /// Every container that runs and has a probe.
    pub fn probing(&self) -> impl Iterator<Item = (AllocationId, Probing)> {
        let probed = self
            .assignment
            .wanted()
            .iter()
            .filter(|(_, wanted)| wanted.container.probe.is_some());
        probed.filter_map(|(id, wanted)| match self.seen.get(id) {
            Some(Seen::Running { container, .. }) => Some((
                *id,
                Probing {
                    container: container.id.clone(),
                    addresses: container.addresses.values().cloned().collect(),
                    spec: Arc::clone(&wanted.container),
                },
            )),
            Some(_) | None => None,
        })
    }

    /// A probe has something to say; of a container that is another by now, nobody listens.
    pub fn probed(&mut self, id: AllocationId, verdict: Verdict, moment: Moment) {
        let runs = match self.seen.get(&id) {
            Some(Seen::Running { container, .. }) => container.id == verdict.container,
            Some(_) | None => false,
        };
        if runs {
            self.probes.insert(id, verdict);
            self.note_health(id, moment);
            self.report(id, moment);
        }
    }

    /// Takes note of since when a container is unhealthy, after a look or a probe.
    pub(super) fn note_health(&mut self, id: AllocationId, moment: Moment) {
        if !self.seen.get(&id).is_some_and(Seen::is_running) {
            self.probes.remove(&id);
        }
        let ill = match self.shown(id).as_deref() {
            Some(Seen::Running { healthy, .. }) => *healthy == Some(false),
            Some(_) | None => false,
        };
        if let Some(track) = self.tracks.get_mut(&id) {
            track.unhealthy_since = track
                .unhealthy_since
                .filter(|_| ill)
                .or(ill.then_some(moment.now));
        }
    }

    /// A container as the engine shows it, with what its probe says.
    pub(super) fn shown(&self, id: AllocationId) -> Option<Cow<'_, Seen>> {
        let seen = self.seen.get(&id)?;
        let spec = self.assignment.wanted().get(&id).map(|wanted| &wanted.container);
        let (Some(spec), Seen::Running { .. }) = (spec.filter(|spec| spec.probe.is_some()), seen) else {
            return Some(Cow::Borrowed(seen));
        };
        let mut shown = seen.clone();
        if let Seen::Running {
            healthy,
            health_output,
            ..
        } = &mut shown
        {
            let probe = self.probes.get(&id);
            *healthy = match (*healthy, probe.map(|verdict| verdict.healthy)) {
                (Some(false), _) => Some(false),
                (_, Some(false)) => {
                    health_output
                        .clone_from(&probe.map(|verdict| verdict.output.clone()).unwrap_or_default());
                    Some(false)
                }
                (_, None) => None,
                (None, Some(true)) if spec.has_healthcheck() => None,
                (_, Some(true)) => Some(true),
            };
        }
        Some(Cow::Owned(shown))
    }

    /// When a container that stays unhealthy is given up, so that another takes its place; never unless its
    /// label says so.
    pub(super) fn replace_at(&self, id: AllocationId) -> Option<Timestamp> {
        let since = self.tracks.get(&id)?.unhealthy_since?;
        let labels = &self.assignment.wanted().get(&id)?.container.labels;
        let seconds = REPLACE_LABELS.iter().find_map(|name| labels.get(*name))?;
        let seconds: u64 = seconds.trim().parse().ok()?;
        (seconds > 0).then(|| since.plus(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seen::Container, step::Step};
    use berth_events::{
        FailureReason, ObservationKind, Observed, Placed, PlacementDecided, PlacementReason, ProjectSpec,
        spec::{HealthcheckSpec, ProbeCheck, ProbeSpec, RestartPolicy},
    };
    use berth_ids::{ApplicationId, ClusterId, NodeId, ReleaseId};
    use std::collections::BTreeMap;

    const ID: AllocationId = AllocationId::from_u128(1);

    fn at(seconds: u64) -> Moment {
        let now = Timestamp::from_millis(1_000_000).plus(Duration::from_secs(seconds));
        Moment { now, wall: now }
    }

    fn spec() -> ContainerSpec {
        ContainerSpec {
            probe: Some(ProbeSpec {
                check: ProbeCheck::Tcp { port: 80 },
                timeout_ms: 1_000,
                initial_delay_ms: 0,
            }),
            ..ContainerSpec::default()
        }
    }

    fn seen(healthy: Option<bool>) -> Seen {
        Seen::Running {
            container: Container {
                id: "c1".to_owned(),
                ..Container::default()
            },
            healthy,
            health_output: "the engine's check".to_owned(),
        }
    }

    fn node(spec: ContainerSpec) -> Node {
        let mut node = Node::new(NodeId::from_u128(2), ClusterId::from_u128(3), None, None, 1).unwrap();
        let application_id = ApplicationId::from_u128(4);
        let placed = Placed {
            allocation_id: ID,
            application_id,
            release_id: ReleaseId::from_u128(5),
            service: "web".into(),
            slot: 1,
            spec_hash: "h".into(),
            restart: RestartPolicy::default(),
            why: PlacementReason::default(),
            image_digest: None,
        };
        let change = PlacementDecided {
            cluster_id: ClusterId::from_u128(3),
            node_id: NodeId::from_u128(2),
            previous: 0,
            place: vec![placed],
            stop: vec![],
            containers: BTreeMap::from([("h".to_owned(), spec)]),
            projects: BTreeMap::from([(application_id, ProjectSpec::default())]),
            drop_volumes: Default::default(),
        };
        node.apply(&change, 10, None).unwrap();
        look(&mut node, seen(None), 0);
        node
    }

    fn look(node: &mut Node, seen: Seen, seconds: u64) {
        let look = node.begin_look();
        node.looked(look, BTreeMap::from([(ID, seen)]), at(seconds));
    }

    fn probe(node: &mut Node, container: &str, healthy: bool, seconds: u64) {
        let verdict = Verdict {
            container: container.to_owned(),
            healthy,
            output: "refused".to_owned(),
        };
        node.probed(ID, verdict, at(seconds));
    }

    fn told(node: &Node) -> Observed {
        let reports = node.reports_after(0);
        let last = reports
            .into_iter()
            .flat_map(|report| report.items)
            .last()
            .unwrap();
        match last.what {
            ObservationKind::Allocation { state, .. } => state,
            what => panic!("{what:?}"),
        }
    }

    fn health(node: &Node) -> (Option<bool>, String) {
        match told(node) {
            Observed::Running {
                healthy,
                health_output,
                ..
            } => (healthy, health_output),
            state => panic!("{state:?}"),
        }
    }

    #[test]
    fn a_probe_is_told_like_a_check_of_the_engine() {
        let mut node = node(spec());
        assert_eq!(health(&node), (None, String::new()));
        assert_eq!(node.probing().count(), 1);
        probe(&mut node, "c1", true, 1);
        assert_eq!(health(&node), (Some(true), String::new()));
        probe(&mut node, "c1", false, 2);
        assert_eq!(health(&node), (Some(false), "refused".to_owned()));
        probe(&mut node, "another", true, 3);
        assert_eq!(health(&node).0, Some(false), "the word of another container");
        look(&mut node, seen(None), 4);
        assert_eq!(
            health(&node).0,
            Some(false),
            "a look of the engine does not forget the probe"
        );
    }

    #[test]
    fn both_must_say_well() {
        let check = HealthcheckSpec {
            test: vec!["CMD".into(), "true".into()],
            ..HealthcheckSpec::default()
        };
        let mut node = node(ContainerSpec {
            healthcheck: Some(check),
            ..spec()
        });
        probe(&mut node, "c1", true, 1);
        assert_eq!(health(&node).0, None, "the engine's check has not spoken");
        look(&mut node, seen(Some(true)), 2);
        assert_eq!(health(&node).0, Some(true));
        look(&mut node, seen(Some(false)), 3);
        assert_eq!(health(&node), (Some(false), "the engine's check".to_owned()));
    }

    #[test]
    fn what_stays_unhealthy_is_replaced_if_its_label_says_so() {
        let labels = BTreeMap::from([("berth.replace_unhealthy".to_owned(), "30".to_owned())]);
        let mut replaced = node(ContainerSpec { labels, ..spec() });
        let mut kept = node(spec());
        for node in [&mut replaced, &mut kept] {
            probe(node, "c1", false, 0);
            probe(node, "c1", true, 10);
            probe(node, "c1", false, 20);
            assert_eq!(node.plan(at(49), true).steps, []);
        }
        assert_eq!(replaced.plan(at(49), true).wake_at, Some(at(50).now));
        assert_eq!(
            replaced.plan(at(51), false).steps,
            [],
            "nobody could place another"
        );
        let plan = replaced.plan(at(51), true);
        assert!(matches!(plan.steps[..], [(ID, Step::Stop { .. })]), "{plan:?}");
        match told(&replaced) {
            Observed::Failed { reason, message } => {
                assert_eq!(reason, FailureReason::Unhealthy);
                assert!(
                    message.contains("31 s") && message.contains("refused"),
                    "{message}"
                );
            }
            state => panic!("{state:?}"),
        }
        assert_eq!(kept.plan(at(1_000), true).steps, []);
    }
}
