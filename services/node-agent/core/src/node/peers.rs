//! Containers that share a namespace of another service's container on this node (`network_mode`, `pid` and
//! `ipc: service:X`).

use super::Node;
use crate::seen::{Container, Seen};
use berth_events::spec::ContainerSpec;
use berth_ids::{AllocationId, ApplicationId};
use std::collections::{BTreeMap, BTreeSet};

/// What such a mode begins with.
const SERVICE: &str = "service:";

/// The services whose containers one joins.
pub fn joined_services(spec: &ContainerSpec) -> BTreeSet<&str> {
    let modes = [&spec.network_mode, &spec.pid_mode, &spec.ipc_mode];
    let modes = modes.into_iter().flatten();
    modes.filter_map(|mode| mode.strip_prefix(SERVICE)).collect()
}

impl Node {
    /// For each service that a container joins: the id of its container here, if one runs; of several the one
    /// of the same slot, else the first.
    pub fn peers(&self, id: AllocationId) -> BTreeMap<String, Option<String>> {
        let Some(wanted) = self.assignment.wanted().get(&id) else {
            return BTreeMap::new();
        };
        let services = joined_services(&wanted.container).into_iter();
        let peers = services.map(|service| {
            let mut running = self.running_of(wanted.placed.application_id, service);
            running.sort_by_key(|container| (container.slot != wanted.placed.slot, container.slot));
            (
                service.to_owned(),
                running.first().map(|container| container.id.clone()),
            )
        });
        peers.collect()
    }

    fn running_of(&self, application: ApplicationId, service: &str) -> Vec<&Container> {
        let wanted = self.assignment.wanted();
        let running = self.seen.iter().filter_map(|(id, seen)| match seen {
            Seen::Running { container, .. } if wanted.contains_key(id) => Some(container),
            _ => None,
        });
        running
            .filter(|container| container.application_id == application && container.service == service)
            .collect()
    }

    /// What it shares is not there any more: the other container is gone, or has been started since.
    pub(super) fn has_lost_peer(&self, id: AllocationId) -> bool {
        let own = match self.seen.get(&id) {
            Some(Seen::Running { container, .. }) => container,
            Some(Seen::Ended { container, .. }) => container,
            Some(_) | None => return false,
        };
        let runs = self.seen.get(&id).is_some_and(Seen::is_running);
        let all = || self.seen.values().filter_map(Seen::container);
        own.joined
            .iter()
            .any(|peer| match all().find(|other| other.id == *peer) {
                None => true,
                Some(other) => runs && other.started_at > own.started_at,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{node::Moment, step::Step};
    use berth_events::{
        FailureReason, ObservationKind, Observed, Placed, PlacementDecided, PlacementReason, ProjectSpec,
        spec::RestartPolicy,
    };
    use berth_ids::{ClusterId, NodeId, ReleaseId, Timestamp};
    use std::time::Duration;

    const APP: ApplicationId = ApplicationId::from_u128(9);

    fn at(seconds: u64) -> Moment {
        let now = Timestamp::from_millis(1_000_000).plus(Duration::from_secs(seconds));
        Moment { now, wall: now }
    }

    fn placed(id: u128, service: &str) -> Placed {
        Placed {
            allocation_id: AllocationId::from_u128(id),
            application_id: APP,
            release_id: ReleaseId::from_u128(5),
            service: service.into(),
            slot: 1,
            spec_hash: service.into(),
            restart: RestartPolicy::default(),
            why: PlacementReason::default(),
            image_digest: None,
        }
    }

    fn running(id: &str, service: &str, started: u64, joined: &[&str]) -> Seen {
        Seen::Running {
            container: Container {
                id: id.into(),
                application_id: APP,
                service: service.into(),
                slot: 1,
                started_at: at(started).now,
                joined: joined.iter().map(|id| (*id).to_owned()).collect(),
                ..Container::default()
            },
            healthy: None,
            health_output: String::new(),
        }
    }

    fn node() -> Node {
        let mut node = Node::new(NodeId::from_u128(2), ClusterId::from_u128(3), None, None, 1).unwrap();
        let side = ContainerSpec {
            network_mode: Some("service:web".into()),
            ..ContainerSpec::default()
        };
        let change = PlacementDecided {
            cluster_id: ClusterId::from_u128(3),
            node_id: NodeId::from_u128(2),
            previous: 0,
            place: vec![placed(1, "web"), placed(2, "side")],
            stop: vec![],
            containers: BTreeMap::from([("web".into(), ContainerSpec::default()), ("side".into(), side)]),
            projects: BTreeMap::from([(APP, ProjectSpec::default())]),
            drop_volumes: BTreeSet::new(),
        };
        node.apply(&change, 10, None).unwrap();
        node
    }

    fn look(node: &mut Node, web: Option<Seen>, side: Seen) {
        let look = node.begin_look();
        let side = (AllocationId::from_u128(2), side);
        let web = web.map(|seen| (AllocationId::from_u128(1), seen));
        node.looked(look, web.into_iter().chain([side]).collect(), at(100));
    }

    fn given_up(node: &mut Node) -> bool {
        let plan = node.plan(at(100), true);
        let reports = node.reports_after(0).into_iter().flat_map(|report| report.items);
        let failed = reports.into_iter().any(|item| {
            matches!(item.what, ObservationKind::Allocation {
                allocation_id, state: Observed::Failed { reason: FailureReason::Vanished, .. },
            } if allocation_id == AllocationId::from_u128(2))
        });
        let stops = plan
            .steps
            .iter()
            .any(|(id, step)| *id == AllocationId::from_u128(2) && matches!(step, Step::Stop { .. }));
        assert_eq!(failed, stops);
        failed
    }

    #[test]
    fn a_container_joins_the_one_that_runs_here() {
        let mut node = node();
        let id = AllocationId::from_u128(2);
        assert_eq!(node.peers(id), BTreeMap::from([("web".to_owned(), None)]));
        look(&mut node, Some(running("w1", "web", 0, &[])), Seen::Absent);
        assert_eq!(node.peers(id)["web"].as_deref(), Some("w1"));
        assert!(node.peers(AllocationId::from_u128(1)).is_empty());
    }

    #[test]
    fn it_is_placed_anew_when_the_other_is_gone_or_was_started_again() {
        let side = || running("s1", "side", 10, &["w1"]);
        let mut good = node();
        look(&mut good, Some(running("w1", "web", 0, &[])), side());
        assert!(!given_up(&mut good));
        look(&mut good, Some(running("w1", "web", 50, &[])), side());
        assert!(given_up(&mut good), "the other has a new network");
        let mut other = node();
        look(&mut other, Some(running("w2", "web", 0, &[])), side());
        assert!(given_up(&mut other), "the other is another container");
    }
}
