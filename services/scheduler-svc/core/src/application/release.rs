//! Releases: how one goes live, is paused, confirmed, taken back.
//!
//! A rollback is a release of its own: the numbers go on, and it can be taken back like any other.

use super::{
    Application, PastRelease, Release,
    decide::{NewRelease, alive, known},
};
use crate::reject;
use berth_events::{
    ApplicationEvent, ApplicationStarted, DeployMethod, ImagesPinned, Rejection, RejectionKind,
    ReleaseMethod, ReleaseOutcome, ReleasePaused, ReleaseResumed, ReleaseSettled, ReleaseSource,
    ReleaseStarted, Retired, WeightsChanged, spec::ApplicationSpec,
};
use berth_ids::ReleaseId;
use std::collections::{BTreeMap, BTreeSet};

/// The largest weight of a service.
const MAX_WEIGHT: u8 = 100;

type Decision = Result<Vec<ApplicationEvent>, Rejection>;

impl Application {
    /// Folds the start of a release.
    pub(super) fn start(&mut self, started: &ReleaseStarted) {
        if let Some(before) = &self.release {
            self.past.insert(
                before.number,
                PastRelease {
                    outcome: before.outcome,
                    images: before.images.clone(),
                    spec: std::mem::take(&mut self.spec),
                    weights: self.weights.clone(),
                },
            );
        }
        self.release = Some(Release {
            release_id: started.release_id,
            number: started.number,
            method: started.method.clone(),
            paused: false,
            outcome: None,
            images: BTreeMap::new(),
        });
        self.spec = started.spec.clone();
        self.weights
            .retain(|name, _| started.spec.services.contains_key(name));
    }

    /// Folds which bytes a release runs.
    pub(super) fn pin(&mut self, pinned: &ImagesPinned) {
        if let Some(release) = &mut self.release
            && release.release_id == pinned.release_id
        {
            release.images.extend(pinned.images.clone());
        }
    }

    /// An earlier release is not what runs now: another file, or other bytes behind the same names.
    fn differs_from(&self, past: &PastRelease) -> bool {
        let now = self.release.as_ref().map(|release| &release.images);
        let other_bytes = |(image, digest): (&String, &String)| {
            let current = now.and_then(|images| images.get(image));
            current.is_some_and(|current| current != digest)
        };
        past.spec != self.spec || past.images.iter().any(other_bytes)
    }

    /// Folds the end of a release.
    pub(super) fn settle(&mut self, settled: &ReleaseSettled) {
        let Some(release) = &mut self.release else {
            return;
        };
        if release.release_id != settled.release_id {
            return;
        }
        release.outcome = Some(settled.outcome);
        release.paused = false;
        if let ReleaseMethod::BlueGreen { retires } = &release.method
            && settled.outcome == ReleaseOutcome::Running
        {
            retires.take_from(&mut self.spec);
            self.weights.retain(|name, _| !retires.services.contains(name));
        }
    }

    /// Folds a pause and its end.
    pub(super) fn pause(&mut self, release_id: ReleaseId, paused: bool) {
        if let Some(release) = &mut self.release
            && release.release_id == release_id
        {
            release.paused = paused;
        }
    }
}

pub(super) fn settled(release: &Release, outcome: ReleaseOutcome) -> ApplicationEvent {
    ApplicationEvent::ReleaseSettled(ReleaseSettled {
        release_id: release.release_id,
        outcome,
        failure: None,
    })
}

/// The start of the release that a deploy asks for.
pub(super) fn going_live(state: &Application, new: &NewRelease<'_>) -> Result<ReleaseStarted, Rejection> {
    let (spec, method) = match new.method {
        DeployMethod::Rolling => (new.spec.clone(), ReleaseMethod::Rolling),
        DeployMethod::Standard => (new.spec.clone(), ReleaseMethod::Standard),
        // There is nothing to stand beside yet.
        DeployMethod::BlueGreen if state.release.is_none() => (new.spec.clone(), ReleaseMethod::Rolling),
        DeployMethod::BlueGreen => both(&state.spec, new.spec)?,
    };
    Ok(ReleaseStarted {
        release_id: new.release_id,
        number: next_number(state),
        spec,
        source: new.source.clone(),
        warnings: new.warnings.to_vec(),
        method,
    })
}

fn next_number(state: &Application) -> u32 {
    state
        .release
        .as_ref()
        .map_or(1, |release| release.number.saturating_add(1))
}

/// Old and new side by side, and what goes at the end.
fn both(old: &ApplicationSpec, new: &ApplicationSpec) -> Result<(ApplicationSpec, ReleaseMethod), Rejection> {
    let services = differing(&old.services, &new.services);
    let volumes = differing(&old.volumes, &new.volumes);
    let networks = differing(&old.networks, &new.networks);
    for (what, names) in [("service", services), ("volume", volumes), ("network", networks)] {
        if let Some(name) = names.first() {
            return Err(reject(
                RejectionKind::Conflict,
                "release.same_name",
                format!("{what} `{name}` is in both versions and differs: the two cannot stand side by side"),
                format!(
                    "give the new one another name, such as `{name}-2`, or deploy without `--method blue-green`"
                ),
            ));
        }
    }
    let retires = Retired {
        services: gone(&old.services, &new.services),
        volumes: gone(&old.volumes, &new.volumes),
        networks: gone(&old.networks, &new.networks),
    };
    let mut spec = new.clone();
    spec.services.extend(old.services.clone());
    spec.volumes.extend(old.volumes.clone());
    spec.networks.extend(old.networks.clone());
    super::validate(&spec)?;
    Ok((spec, ReleaseMethod::BlueGreen { retires }))
}

fn differing<'a, T: PartialEq>(old: &BTreeMap<String, T>, new: &'a BTreeMap<String, T>) -> Vec<&'a str> {
    new.iter()
        .filter(|(name, spec)| old.get(*name).is_some_and(|before| before != *spec))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn gone<T>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> BTreeSet<String> {
    old.keys()
        .filter(|name| !new.contains_key(*name))
        .cloned()
        .collect()
}

/// New services of a blue-green release get no traffic until somebody says so.
pub(super) fn first_weights(
    state: &Application,
    new: &NewRelease<'_>,
    method: &ReleaseMethod,
) -> Option<ApplicationEvent> {
    let ReleaseMethod::BlueGreen { retires } = method else {
        return None;
    };
    let old = retires.services.iter().map(|name| (name.clone(), MAX_WEIGHT));
    let fresh = new.spec.services.keys();
    let fresh = fresh.filter(|name| !state.spec.services.contains_key(*name));
    let weights = old.chain(fresh.map(|name| (name.clone(), 0))).collect();
    Some(ApplicationEvent::WeightsChanged(WeightsChanged { weights }))
}

/// The release at hand, which must be going live.
fn unsettled(state: &Application) -> Result<&Release, Rejection> {
    let identity = alive(state)?;
    let release = state.release.as_ref().filter(|release| !release.is_settled());
    release.ok_or_else(|| {
        reject(
            RejectionKind::Conflict,
            "release.settled",
            format!("no release of `{}` is going live now", identity.name),
            format!(
                "`berth release ls {}` shows how the last one ended",
                identity.name
            ),
        )
    })
}

pub(super) fn pause(state: &Application) -> Decision {
    let release = unsettled(state)?;
    if release.paused {
        return Ok(vec![]);
    }
    Ok(vec![ApplicationEvent::ReleasePaused(ReleasePaused {
        release_id: release.release_id,
        failure: None,
    })])
}

pub(super) fn resume(state: &Application) -> Decision {
    let release = unsettled(state)?;
    if !release.paused {
        return Ok(vec![]);
    }
    Ok(vec![ApplicationEvent::ReleaseResumed(ReleaseResumed {
        release_id: release.release_id,
    })])
}

pub(super) fn confirm(state: &Application) -> Decision {
    let release = unsettled(state)?;
    let ReleaseMethod::BlueGreen { retires } = &release.method else {
        return Err(reject(
            RejectionKind::Conflict,
            "release.not_blue_green",
            format!(
                "release {} is no blue-green release: it comes to its end by itself",
                release.number
            ),
            "`berth release watch` shows how far it is",
        ));
    };
    let kept = state.spec.services.keys();
    let kept = kept.filter(|name| !retires.services.contains(*name));
    let weights = kept.map(|name| (name.clone(), MAX_WEIGHT)).collect();
    Ok(vec![
        settled(release, ReleaseOutcome::Running),
        ApplicationEvent::WeightsChanged(WeightsChanged { weights }),
    ])
}

pub(super) fn set_weights(state: &Application, weights: &BTreeMap<String, u8>) -> Decision {
    alive(state)?;
    for (name, weight) in weights {
        known(state, name)?;
        if *weight > MAX_WEIGHT {
            return Err(reject(
                RejectionKind::Invalid,
                "release.weight",
                format!("the weight of `{name}` is {weight}"),
                format!("weights go from 0 (no traffic) to {MAX_WEIGHT}"),
            ));
        }
    }
    if weights.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![ApplicationEvent::WeightsChanged(WeightsChanged {
        weights: weights.clone(),
    })])
}

/// What a second update is told while the first waits for its confirmation.
pub(super) fn unconfirmed(state: &Application, release: &Release) -> Rejection {
    let name = state
        .identity
        .as_ref()
        .map_or_else(String::new, |identity| identity.name.to_string());
    reject(
        RejectionKind::Conflict,
        "release.unconfirmed",
        format!(
            "Conflicts with unconfirmed updates for operation: release {} of `{name}` waits for its confirmation",
            release.number
        ),
        format!("`berth release confirm {name}` keeps the new version, `berth rollback {name}` the old one"),
    )
}

/// Brings an earlier release back.
pub(super) fn roll_back(
    state: &Application,
    release_id: ReleaseId,
    to: Option<u32>,
    unsettled_only: bool,
) -> Decision {
    let identity = alive(state)?;
    if unsettled_only {
        unsettled(state)?;
    }
    let Some(current) = &state.release else {
        return Ok(vec![]);
    };
    let target = match to {
        Some(number) if number == current.number => {
            return Err(reject(
                RejectionKind::Conflict,
                "release.current",
                format!("release {number} is the one that is live"),
                format!("`berth release ls {}` lists the earlier ones", identity.name),
            ));
        }
        Some(number) => state
            .past
            .get(&number)
            .map(|past| (number, past))
            .ok_or_else(|| {
                reject(
                    RejectionKind::NotFound,
                    "release.not_found",
                    format!("`{}` has no release {number}", identity.name),
                    format!("`berth release ls {}` lists them", identity.name),
                )
            })?,
        None => last_that_ran(state).ok_or_else(|| {
            reject(
                RejectionKind::Conflict,
                "release.no_earlier",
                format!(
                    "no earlier release of `{}` that ran differs from this one",
                    identity.name
                ),
                format!(
                    "deploy the wanted file, or name a release with `--to` (`berth release ls {}`)",
                    identity.name
                ),
            )
        })?,
    };
    let (number, past) = target;
    if !state.differs_from(past) {
        return Ok(vec![]);
    }
    let mut events = Vec::new();
    if !current.is_settled() {
        events.push(settled(current, ReleaseOutcome::Aborted));
    }
    events.push(ApplicationEvent::ReleaseStarted(ReleaseStarted {
        release_id,
        number: next_number(state),
        spec: past.spec.clone(),
        source: ReleaseSource::Rollback {
            to: number,
            of: current.number,
            automatic: false,
        },
        warnings: vec![],
        method: ReleaseMethod::Rolling,
    }));
    events.extend(pinned(release_id, &past.images));
    events.extend(weighed_again(&past.spec, &past.weights, &state.weights));
    if state.stopped {
        events.push(ApplicationEvent::Started(ApplicationStarted {}));
    }
    Ok(events)
}

/// A release that brings another back brings its bytes back, as far as they were known.
pub(crate) fn pinned(release_id: ReleaseId, images: &BTreeMap<String, String>) -> Option<ApplicationEvent> {
    let images = images.clone();
    let pinned = ImagesPinned { release_id, images };
    (!pinned.images.is_empty()).then_some(ApplicationEvent::ImagesPinned(pinned))
}

/// A release that brings another back brings its shares of the traffic back, where they are others now.
pub(crate) fn weighed_again(
    spec: &ApplicationSpec,
    past: &BTreeMap<String, u8>,
    now: &BTreeMap<String, u8>,
) -> Option<ApplicationEvent> {
    let of = |weights: &BTreeMap<String, u8>, name: &str| weights.get(name).copied().unwrap_or(MAX_WEIGHT);
    let weights: BTreeMap<String, u8> = spec
        .services
        .keys()
        .filter(|name| of(past, name) != of(now, name))
        .map(|name| (name.clone(), of(past, name)))
        .collect();
    (!weights.is_empty()).then_some(ApplicationEvent::WeightsChanged(WeightsChanged { weights }))
}

/// The newest earlier release that came to run and differs from what is live.
fn last_that_ran(state: &Application) -> Option<(u32, &PastRelease)> {
    let ran = |past: &PastRelease| past.outcome == Some(ReleaseOutcome::Running);
    state
        .past
        .iter()
        .rev()
        .find(|(_, past)| ran(past) && state.differs_from(past))
        .map(|(number, past)| (*number, past))
}
