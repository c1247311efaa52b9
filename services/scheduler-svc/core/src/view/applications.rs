//! Folds applications.

use super::{ApplicationRow, Cause, GoodRelease, SchedulerView, SlotKey, blocked_key, kind, slot_key};
use crate::spec_hash;
use berth_events::{
    ApplicationCreated, ApplicationEvent, ProjectSpec, Recorded, ReleaseMethod, ReleaseOutcome,
    ReleaseSettled, ReleaseSource, ReleaseStarted, spec::ServiceMode,
};
use berth_eventsourcing::RowKey;
use berth_ids::{ApplicationId, ReleaseId, Timestamp};
use std::{collections::BTreeSet, sync::Arc};

impl SchedulerView {
    pub(super) fn apply_application(&mut self, recorded: &Recorded, event: &ApplicationEvent) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse::<ApplicationId>() else {
            return vec![];
        };
        let mut touched = vec![RowKey::new(kind::APPLICATION, id)];
        if let ApplicationEvent::Created(created) = event {
            let mut row = new_row(created, recorded.version);
            row.cause = cause(recorded);
            self.applications.insert(id, row);
            return touched;
        }
        if matches!(event, ApplicationEvent::Removed(_)) {
            self.applications.remove(&id);
            touched.extend(self.forget_slots_of(id));
            return touched;
        }
        let Some(row) = self.applications.get_mut(&id) else {
            return vec![];
        };
        row.version = recorded.version;
        let by_planner = matches!(
            event,
            ApplicationEvent::ReleaseSettled(_) | ApplicationEvent::ImagesPinned(_)
        );
        if !by_planner {
            row.cause = cause(recorded);
        }
        match event {
            ApplicationEvent::ReleaseStarted(started) => {
                start_release(row, started, recorded.recorded_at);
                touched.extend(self.forget_blocks_of_others(id));
            }
            ApplicationEvent::ImagesPinned(pinned) if pinned.release_id == row.release_id => {
                row.images.extend(pinned.images.clone());
                if let Some(good) = row.good.as_mut().filter(|good| good.number == row.release_number) {
                    good.images.clone_from(&row.images);
                }
            }
            ApplicationEvent::ReleaseSettled(settled) => settle_release(row, settled),
            ApplicationEvent::ReleasePaused(_) => row.paused = true,
            ApplicationEvent::ReleaseResumed(_) => {
                row.paused = false;
                row.judged_from = recorded.recorded_at;
            }
            ApplicationEvent::Scaled(scaled) => {
                row.scaled.insert(scaled.service.clone());
                if let Some(service) = Arc::make_mut(&mut row.spec).services.get_mut(&scaled.service) {
                    service.mode = ServiceMode::Replicated {
                        replicas: scaled.replicas,
                    };
                }
                if row.settled {
                    remember_good(row);
                }
            }
            ApplicationEvent::Stopped(_) => row.stopped = true,
            ApplicationEvent::Started(_) => {
                row.stopped = false;
                row.started_at = recorded.position;
            }
            ApplicationEvent::RestartRequested(restart) => {
                let all = row.spec.services.keys();
                let named = restart.services.iter();
                let services: Vec<_> = if restart.services.is_empty() {
                    all.cloned().collect()
                } else {
                    named.cloned().collect()
                };
                for service in services {
                    row.restarts.insert(service, recorded.position);
                }
            }
            ApplicationEvent::VolumeAbandoned(abandoned) => {
                touched.extend(self.abandon_homes(id, &abandoned.service, &abandoned.slots));
            }
            ApplicationEvent::RemoveRequested(requested) => {
                row.removing = Some(requested.volumes || row.removing == Some(true));
            }
            ApplicationEvent::WeightsChanged(changed) => {
                row.weights.extend(changed.weights.clone());
                if let Some(good) = row.good.as_mut().filter(|good| good.number == row.release_number) {
                    good.weights.clone_from(&row.weights);
                }
            }
            ApplicationEvent::ImagesPinned(_)
            | ApplicationEvent::Created(_)
            | ApplicationEvent::Removed(_) => {}
        }
        touched
    }

    fn slots_of(&self, id: ApplicationId) -> Vec<SlotKey> {
        let from = SlotKey {
            application_id: id,
            service: String::new(),
            slot: 0,
        };
        self.slots
            .range(from..)
            .take_while(|(key, _)| key.application_id == id)
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn forget_slots_of(&mut self, id: ApplicationId) -> Vec<RowKey> {
        let mut touched = Vec::new();
        for key in self.slots_of(id) {
            self.slots.remove(&key);
            touched.push(slot_key(&key));
        }
        touched.extend(self.forget_blocks(id, |_| true));
        touched
    }

    fn forget_blocks_of_others(&mut self, id: ApplicationId) -> Vec<RowKey> {
        let known: BTreeSet<String> = self
            .applications
            .get(&id)
            .map(|row| row.spec.services.keys().cloned().collect())
            .unwrap_or_default();
        self.forget_blocks(id, |service| !known.contains(service))
    }

    fn forget_blocks(&mut self, id: ApplicationId, which: impl Fn(&str) -> bool) -> Vec<RowKey> {
        let keys: Vec<_> = self
            .blocked
            .range((id, String::new())..)
            .take_while(|(key, _)| key.0 == id)
            .filter(|(key, _)| which(&key.1))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            self.blocked.remove(key);
        }
        keys.iter().map(blocked_key).collect()
    }

    fn abandon_homes(&mut self, id: ApplicationId, service: &str, slots: &BTreeSet<u32>) -> Vec<RowKey> {
        let mut touched = Vec::new();
        for key in self.slots_of(id) {
            if key.service == service
                && (slots.is_empty() || slots.contains(&key.slot))
                && let Some(row) = self.slots.get_mut(&key)
            {
                row.home = None;
                touched.push(slot_key(&key));
            }
        }
        touched
    }
}

fn cause(recorded: &Recorded) -> Cause {
    let meta = recorded.meta();
    Cause {
        event_id: recorded.id,
        correlation_id: meta.correlation_id,
        traceparent: meta.traceparent,
    }
}

fn new_row(created: &ApplicationCreated, version: u64) -> ApplicationRow {
    ApplicationRow {
        application_id: created.application_id,
        cluster_id: created.cluster_id,
        name: created.name.clone(),
        version,
        release_id: ReleaseId::default(),
        release_number: 0,
        settled: true,
        method: ReleaseMethod::Rolling,
        paused: false,
        rolling_back: false,
        judged_from: Timestamp::default(),
        good: None,
        spec: Arc::default(),
        hashes: Default::default(),
        images: Default::default(),
        weights: Default::default(),
        project: ProjectSpec {
            name: created.name.to_string(),
            ..ProjectSpec::default()
        },
        stopped: false,
        started_at: 0,
        restarts: Default::default(),
        scaled: BTreeSet::new(),
        removing: None,
        volume_nodes: BTreeSet::new(),
        cause: Cause::default(),
    }
}

fn settle_release(row: &mut ApplicationRow, settled: &ReleaseSettled) {
    if settled.release_id != row.release_id {
        return;
    }
    row.settled = true;
    row.paused = false;
    if settled.outcome != ReleaseOutcome::Running {
        return;
    }
    if let ReleaseMethod::BlueGreen { retires } = &row.method {
        retires.take_from(Arc::make_mut(&mut row.spec));
        row.hashes.retain(|name, _| !retires.services.contains(name));
        row.weights.retain(|name, _| !retires.services.contains(name));
    }
    remember_good(row);
}

fn remember_good(row: &mut ApplicationRow) {
    row.good = Some(GoodRelease {
        number: row.release_number,
        spec: Arc::clone(&row.spec),
        images: row.images.clone(),
        weights: row.weights.clone(),
    });
}

fn start_release(row: &mut ApplicationRow, started: &ReleaseStarted, at: Timestamp) {
    row.release_id = started.release_id;
    row.release_number = started.number;
    row.settled = false;
    row.method = started.method.clone();
    row.paused = false;
    row.rolling_back = matches!(started.source, ReleaseSource::Rollback { .. });
    row.judged_from = at;
    row.scaled.clear();
    row.images.clear();
    row.weights
        .retain(|name, _| started.spec.services.contains_key(name));
    row.hashes = started
        .spec
        .services
        .iter()
        .map(|(name, service)| (name.clone(), spec_hash(&service.container)))
        .collect();
    row.project.volumes.extend(started.spec.volumes.clone());
    row.project.networks.extend(started.spec.networks.clone());
    row.spec = Arc::new(started.spec.clone());
}
