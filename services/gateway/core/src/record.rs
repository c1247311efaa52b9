//! The record of a release: everything that belongs to it, tied together.

use crate::{AllocationRow, ApiView, ApplicationRow, ReleaseRow};
use berth_api::{ReleaseContainer, ReleaseDetail, ReleaseStep, StateChange};
use berth_events::spec::{ApplicationSpec, EnvironmentValue};
use std::collections::BTreeMap;

/// Containers named in a record, the newest.
const MAX_CONTAINERS: usize = 500;
/// Steps of a record, the newest.
const MAX_TIMELINE: usize = 500;
/// All of the traffic.
const MAX_WEIGHT: u8 = 100;

impl ApiView {
    /// The record of a release; the texts of its file are left to whoever writes them.
    pub fn record(&self, row: &ApplicationRow, release: &ReleaseRow) -> ReleaseDetail {
        let newest = row.releases.last().is_some_and(|last| last.id == release.id);
        let belongs = |container: &&AllocationRow| {
            let stays = || !container.state.ended() && release.spec.services.contains_key(&container.service);
            container.release_id == release.id || (newest && stays())
        };
        let mut containers: Vec<&AllocationRow> = self.allocations_of(row.id).filter(belongs).collect();
        containers.sort_by_key(|container| (container.placed_position, container.id));
        containers.drain(..containers.len().saturating_sub(MAX_CONTAINERS));
        let mut timeline = timeline(release, &containers);
        timeline.drain(..timeline.len().saturating_sub(MAX_TIMELINE));
        containers.sort_by(|a, b| {
            let place = |one: &&AllocationRow| (one.slot, one.placed_position, one.id);
            (a.service.as_str(), place(a)).cmp(&(b.service.as_str(), place(b)))
        });
        let shares = if newest { &row.weights } else { &release.weights };
        let share = |name: &String| shares.get(name).copied().unwrap_or(MAX_WEIGHT);
        ReleaseDetail {
            release: release.answer(),
            template: String::new(),
            difference: String::new(),
            values: values(&release.spec),
            containers: containers
                .into_iter()
                .map(|container| self.placement(release, container))
                .collect(),
            weights: release
                .spec
                .services
                .keys()
                .map(|name| (name.clone(), share(name)))
                .collect(),
            timeline,
        }
    }

    fn placement(&self, release: &ReleaseRow, row: &AllocationRow) -> ReleaseContainer {
        ReleaseContainer {
            id: row.id,
            service: row.service.clone(),
            slot: row.slot,
            node: row.node_name.clone(),
            kept: row.release_id != release.id,
            state: self.shown_state(row),
            health: row.health,
            restarts: row.restarts,
            image_digest: row.image_digest.clone(),
            cause: row.why.cause.clone(),
            placed_at: row.placed_at,
            ready_at: ready_at(row),
            ended_at: row.ended_at,
            stop_reason: row.stop_reason,
            message: row.message.clone(),
        }
    }
}

fn ready_at(row: &AllocationRow) -> Option<berth_ids::Timestamp> {
    let sign = if row.has_healthcheck {
        "allocation.healthy"
    } else {
        "allocation.running"
    };
    let first = row.history.iter().find(|change| change.event == sign);
    first.map(|change| change.at)
}

/// Versions of the values that the vault keeps, by service and name.
fn values(spec: &ApplicationSpec) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for (service, spec) in &spec.services {
        let environment = spec.container.environment.iter();
        let files = spec.container.files.iter();
        let named = environment.map(|(name, value)| (name.clone(), value));
        let named = named.chain(files.map(|file| (file.target.clone(), &file.content)));
        let kept: BTreeMap<String, u64> = named
            .filter_map(|(name, value)| match value {
                EnvironmentValue::Secret(reference) => Some((name, reference.version)),
                EnvironmentValue::Plain(_) => None,
            })
            .collect();
        if !kept.is_empty() {
            all.insert(service.clone(), kept);
        }
    }
    all
}

/// What happened to a release and to the containers that it placed, oldest first.
fn timeline(release: &ReleaseRow, containers: &[&AllocationRow]) -> Vec<ReleaseStep> {
    let own = release.steps.iter().map(|step| ReleaseStep {
        at: step.at,
        actor: step.actor.clone(),
        what: step.what.clone(),
    });
    let placed = containers
        .iter()
        .filter(|container| container.release_id == release.id);
    let seen = placed.flat_map(|container| {
        let steps = container.history.iter();
        steps.filter_map(|change| {
            Some(ReleaseStep {
                at: change.at,
                actor: format!("node:{}", container.node_name),
                what: format!("{}.{} {}", container.service, container.slot, words(change)?),
            })
        })
    });
    let mut steps: Vec<ReleaseStep> = own.chain(seen).collect();
    steps.sort_by_key(|step| step.at);
    steps
}

/// A state in words; none for what is only on the way to the next.
fn words(change: &StateChange) -> Option<String> {
    let state = match change.event.as_str() {
        "placement.decided" => "placed",
        "allocation.running" => "runs",
        "allocation.healthy" => "is healthy",
        "allocation.unhealthy" => "is unhealthy",
        "allocation.restarted" => "was started again",
        "allocation.retry_scheduled" => "is tried again",
        "allocation.stopping" => "is stopping",
        "allocation.exited" => "has ended",
        "allocation.failed" => "has failed",
        "allocation.lost" => "is lost with its node",
        "allocation.removed" => "is gone",
        _ => return None,
    };
    Some(match change.detail.as_str() {
        "" => state.to_owned(),
        detail => format!("{state}: {detail}"),
    })
}
