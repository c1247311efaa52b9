//! Releases: what happened to each, step by step.

use crate::{ApplicationRow, MAX_RELEASES, MAX_STEPS, ReleaseRow, StepRow};
use berth_api::{Release, ReleaseState};
use berth_events::{
    ApplicationEvent, ImagesPinned, Recorded, ReleaseFailure, ReleaseMethod, ReleaseOutcome, ReleaseSettled,
    ReleaseSource, ReleaseStarted, spec::ServiceMode,
};
use std::collections::BTreeMap;

/// Folds what an event means to the releases of an application.
pub(crate) fn change(row: &mut ApplicationRow, recorded: &Recorded, event: &ApplicationEvent) {
    match event {
        ApplicationEvent::ReleaseStarted(started) => start(row, recorded, started),
        ApplicationEvent::ImagesPinned(pinned) => pin(row, recorded, pinned),
        ApplicationEvent::ReleaseSettled(settled) => settle(row, recorded, settled),
        ApplicationEvent::ReleasePaused(paused) => {
            let what = match &paused.failure {
                Some(failure) => format!("paused: {}", words(failure)),
                None => "paused".to_owned(),
            };
            if let Some(release) = row.releases.last_mut() {
                release.paused = true;
                release.failure.clone_from(&paused.failure);
            }
            step(row, recorded, what);
        }
        ApplicationEvent::ReleaseResumed(_) => {
            if let Some(release) = row.releases.last_mut() {
                release.paused = false;
                release.failure = None;
            }
            step(row, recorded, "resumed".to_owned());
        }
        ApplicationEvent::WeightsChanged(changed) => {
            row.weights.extend(changed.weights.clone());
            let all: Vec<_> = changed
                .weights
                .iter()
                .map(|(name, weight)| format!("{name} {weight}"))
                .collect();
            step(row, recorded, format!("weights set: {}", all.join(", ")));
        }
        ApplicationEvent::Scaled(scaled) => {
            let mode = ServiceMode::Replicated {
                replicas: scaled.replicas,
            };
            let newest = row.releases.last_mut().map(|release| &mut release.spec);
            for spec in newest.into_iter().chain([&mut row.spec]) {
                if let Some(service) = spec.services.get_mut(&scaled.service) {
                    service.mode = mode;
                }
            }
            let what = format!(
                "{} scaled from {} to {}",
                scaled.service, scaled.previous, scaled.replicas
            );
            step(row, recorded, what);
        }
        ApplicationEvent::RestartRequested(restart) => {
            for name in row.spec.services.keys() {
                if restart.services.is_empty() || restart.services.contains(name) {
                    row.restarts.insert(name.clone(), recorded.position);
                }
            }
            let names: Vec<_> = restart.services.iter().map(String::as_str).collect();
            let what = if names.is_empty() {
                "all services".to_owned()
            } else {
                names.join(", ")
            };
            step(row, recorded, format!("restart of {what} asked"));
        }
        ApplicationEvent::Created(_)
        | ApplicationEvent::Stopped(_)
        | ApplicationEvent::Started(_)
        | ApplicationEvent::VolumeAbandoned(_)
        | ApplicationEvent::RemoveRequested(_)
        | ApplicationEvent::Removed(_) => {}
    }
}

fn start(row: &mut ApplicationRow, recorded: &Recorded, started: &ReleaseStarted) {
    if let Some(before) = row.releases.last_mut() {
        before.weights.clone_from(&row.weights);
    }
    row.weights
        .retain(|name, _| started.spec.services.contains_key(name));
    row.spec = started.spec.clone();
    row.warnings = started.warnings.clone();
    row.blocks
        .retain(|service, _| started.spec.services.contains_key(service));
    row.releases.push(ReleaseRow {
        id: started.release_id,
        number: started.number,
        source: started.source.clone(),
        method: started.method.clone(),
        spec: started.spec.clone(),
        digests: BTreeMap::new(),
        actor: recorded.meta().actor,
        started_at: recorded.recorded_at,
        paused: false,
        failure: None,
        settled: None,
        weights: BTreeMap::new(),
        steps: Vec::new(),
    });
    let surplus = row.releases.len().saturating_sub(MAX_RELEASES);
    row.releases.drain(..surplus);
    let what = match &started.source {
        ReleaseSource::Rollback { to, of, automatic } => {
            let by = if *automatic { "by its policy" } else { "by order" };
            format!("started: brings release {to} back in place of {of}, {by}")
        }
        ReleaseSource::Compose { .. } | ReleaseSource::Image { .. } => "started".to_owned(),
    };
    step(row, recorded, what);
}

fn pin(row: &mut ApplicationRow, recorded: &Recorded, pinned: &ImagesPinned) {
    let Some(at) = row.releases.iter().position(|r| r.id == pinned.release_id) else {
        return;
    };
    let (earlier, from) = row.releases.split_at_mut(at);
    let all: Vec<_> = pinned
        .images
        .iter()
        .map(|(image, digest)| {
            let before = earlier.iter().rev().find_map(|release| {
                let digest = release.digests.get(image)?;
                Some((release.number, digest))
            });
            match before.filter(|(_, before)| *before != digest) {
                Some((number, before)) => format!(
                    "{image} is {digest}: other content under the same name than in release {number}, which \
                     ran {before}"
                ),
                None => format!("{image} is {digest}"),
            }
        })
        .collect();
    let Some(release) = from.first_mut() else {
        return;
    };
    release.digests.extend(pinned.images.clone());
    let step = StepRow {
        at: recorded.recorded_at,
        actor: recorded.meta().actor,
        what: format!("images pinned: {}", all.join(", ")),
    };
    note(release, step);
}

fn settle(row: &mut ApplicationRow, recorded: &Recorded, settled: &ReleaseSettled) {
    let Some(release) = row.releases.iter_mut().find(|r| r.id == settled.release_id) else {
        return;
    };
    release.settled = Some((settled.outcome, recorded.recorded_at));
    release.paused = false;
    release.failure.clone_from(&settled.failure);
    let mut what = format!("ended: {}", word(settled.outcome));
    if let Some(failure) = &settled.failure {
        what.push_str(&format!(": {}", words(failure)));
    }
    let retires = match &release.method {
        ReleaseMethod::BlueGreen { retires } if settled.outcome == ReleaseOutcome::Running => {
            Some(retires.clone())
        }
        _ => None,
    };
    if let Some(retires) = retires {
        for spec in [&mut release.spec, &mut row.spec] {
            retires.take_from(spec);
        }
        row.blocks.retain(|name, _| !retires.services.contains(name));
        row.weights.retain(|name, _| !retires.services.contains(name));
    }
    let step = StepRow {
        at: recorded.recorded_at,
        actor: recorded.meta().actor,
        what,
    };
    if let Some(release) = row.releases.iter_mut().find(|r| r.id == settled.release_id) {
        note(release, step);
    }
}

fn step(row: &mut ApplicationRow, recorded: &Recorded, what: String) {
    if let Some(release) = row.releases.last_mut() {
        let step = StepRow {
            at: recorded.recorded_at,
            actor: recorded.meta().actor,
            what,
        };
        note(release, step);
    }
}

/// The first step and the newest ones are kept.
fn note(release: &mut ReleaseRow, step: StepRow) {
    if release.steps.len() >= MAX_STEPS {
        release.steps.remove(1);
    }
    release.steps.push(step);
}

fn word(outcome: ReleaseOutcome) -> &'static str {
    match outcome {
        ReleaseOutcome::Running => "running",
        ReleaseOutcome::Superseded => "superseded by the next",
        ReleaseOutcome::Failed => "failed",
        ReleaseOutcome::Aborted => "aborted",
    }
}

fn words(failure: &ReleaseFailure) -> String {
    format!(
        "{} of {} new containers of {} failed, the last: {}",
        failure.failed, failure.of, failure.service, failure.last
    )
}

impl ReleaseRow {
    /// It waits for somebody to confirm it.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.settled.is_none() && matches!(self.method, ReleaseMethod::BlueGreen { .. })
    }

    /// The answer about it.
    pub fn answer(&self) -> Release {
        let services = self.spec.services.iter();
        Release {
            id: self.id,
            number: self.number,
            state: match self.settled {
                None if self.paused => ReleaseState::Paused,
                None => ReleaseState::Deploying,
                Some((ReleaseOutcome::Running, _)) => ReleaseState::Running,
                Some((ReleaseOutcome::Superseded, _)) => ReleaseState::Superseded,
                Some((ReleaseOutcome::Failed, _)) => ReleaseState::Failed,
                Some((ReleaseOutcome::Aborted, _)) => ReleaseState::Aborted,
            },
            source: self.source.clone(),
            method: self.method.clone(),
            images: services
                .map(|(name, service)| (name.clone(), service.container.image.clone()))
                .collect::<BTreeMap<_, _>>(),
            digests: self.digests.clone(),
            failure: self.failure.as_ref().map(words),
            actor: self.actor.clone(),
            started_at: self.started_at,
            settled_at: self.settled.map(|(_, at)| at),
        }
    }
}
