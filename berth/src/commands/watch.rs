//! Watching a release, service by service and slot by slot.

use super::{
    Session,
    application::containers,
    release::{newest, path},
    wait::{self, Progress},
};
use crate::{
    cli::WatchRelease,
    exit::{Exit, Failure, Outcome},
    output::word,
};
use berth_api::{
    Application, ApplicationStatus, Container, ContainerHealth, ContainerState, Release, ReleaseState,
};
use berth_ids::ReleaseId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Slots shown at once on a terminal: more would not stay readable.
const MAX_SLOTS_SHOWN: usize = 30;

/// What a watched application shows: a line of its services, and one of each slot.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    head: String,
    slots: BTreeMap<(String, u32), String>,
}

impl View {
    fn new(application: &Application, release: &Release, containers: &[Container]) -> Self {
        Self {
            head: head(application, release),
            slots: slots(application, containers),
        }
    }

    /// All of it, for a place that is written over.
    fn all(&self) -> String {
        let mut lines = vec![self.head.clone()];
        lines.extend(
            self.slots
                .values()
                .take(MAX_SLOTS_SHOWN)
                .map(|slot| format!("  {slot}")),
        );
        let more = self.slots.len().saturating_sub(MAX_SLOTS_SHOWN);
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
        lines.join("\n")
    }

    /// What is not as it was, for a place to which lines are added.
    fn news(&self, before: &Self) -> Vec<String> {
        let head = (self.head != before.head).then(|| self.head.clone());
        let slots = self.slots.iter();
        let slots = slots.filter(|(slot, text)| before.slots.get(*slot) != Some(*text));
        head.into_iter()
            .chain(slots.map(|(_, text)| format!("  {text}")))
            .collect()
    }
}

fn head(application: &Application, release: &Release) -> String {
    let services: Vec<_> = application
        .services
        .iter()
        .map(|service| {
            let pending = service
                .pending
                .as_ref()
                .map(|report| format!(" [{}]", report.summary));
            let (name, running, wanted) = (&service.name, service.running, service.wanted);
            let healthy = match service.has_healthcheck {
                true => format!(", {} healthy", service.healthy),
                false => String::new(),
            };
            format!(
                "{name} {running}/{wanted}{healthy}{}",
                pending.unwrap_or_default()
            )
        })
        .collect();
    format!(
        "release {} of {} is {}: {}",
        release.number,
        application.name,
        word(&release.state),
        services.join("; ")
    )
}

/// Each slot with its containers, the newest first, each with the number of the release that placed it.
fn slots(application: &Application, containers: &[Container]) -> BTreeMap<(String, u32), String> {
    let numbers: BTreeMap<ReleaseId, u32> = application
        .releases
        .iter()
        .map(|release| (release.id, release.number))
        .collect();
    let mut by_slot: BTreeMap<(String, u32), Vec<&Container>> = BTreeMap::new();
    for container in containers {
        let slot = (container.service.clone(), container.slot);
        by_slot.entry(slot).or_default().push(container);
    }
    for service in &application.services {
        for slot in &service.pending_slots {
            by_slot.entry((service.name.clone(), *slot)).or_default();
        }
    }
    let known: BTreeSet<&str> = application.services.iter().map(|one| one.name.as_str()).collect();
    let shown = by_slot.into_iter().map(|((service, slot), mut all)| {
        all.sort_by_key(|container| std::cmp::Reverse((container.placed_at, container.id)));
        let texts: Vec<String> = all
            .iter()
            .map(|container| {
                let number = numbers.get(&container.release_id);
                let number = number.map_or_else(|| "an older release".to_owned(), |n| format!("release {n}"));
                format!("{} on {} ({number})", state(container), container.node)
            })
            .collect();
        let mut text = match texts.is_empty() {
            true => "waits for a place".to_owned(),
            false => texts.join(", before it "),
        };
        if !known.contains(service.as_str()) {
            text.push_str(", no longer wanted");
        }
        let line = format!("{service}.{slot} {text}");
        ((service, slot), line)
    });
    shown.collect()
}

fn state(container: &Container) -> String {
    match (container.state, container.health) {
        (ContainerState::Running, ContainerHealth::Unknown) => "running".to_owned(),
        (ContainerState::Running, health) => word(&health),
        (ContainerState::Pulling, _) => match container.pull_percent {
            Some(percent) => format!("pulling {percent}%"),
            None => "pulling".to_owned(),
        },
        (state, _) => word(&state),
    }
}

/// Carries out `berth release watch`.
///
/// # Errors
/// The release has failed, was taken back, is paused or has not come to its end in time.
pub async fn run(session: &Session, args: WatchRelease) -> Outcome {
    let release = newest(session, &args.app).await?;
    let ended = end_of(session, &args.app, release.id, args.timeout).await?;
    judge(&args.app, &ended)?;
    let line = format!(
        "release {} of {} is {}",
        ended.number,
        args.app,
        word(&ended.state)
    );
    session.printer.done(&ended, &line)
}

/// Waits for the end of a release, or until it waits for somebody.
///
/// # Errors
/// It has not come in time, or what the platform answered.
pub async fn end_of(session: &Session, app: &str, release: ReleaseId, limit: Duration) -> Outcome<Release> {
    let mut shown = Progress::start(session.printer);
    let mut last = View::default();
    let path = path(session, app, "");
    let found = wait::until(limit, async || {
        let application: Application = session.client.get(&path).await?;
        let Some(own) = application.releases.iter().find(|own| own.id == release) else {
            return Ok(None);
        };
        let containers = containers(session, Some(app), false).await?;
        let view = View::new(&application, own, &containers);
        shown.say_lines(view.all(), view.news(&last));
        last = view;
        let waits = application.status == ApplicationStatus::AwaitingConfirmation;
        let over = own.state != ReleaseState::Deploying || waits;
        Ok(over.then(|| own.clone()))
    })
    .await?;
    shown.end();
    found.ok_or_else(|| {
        let message = format!(
            "the release of {app} has not come to its end after {}s",
            limit.as_secs()
        );
        Failure::new(Exit::NotReady, message).cure(format!("see `berth why {app}`"))
    })
}

/// A release that has failed, was taken back or waits for help is no success.
///
/// # Errors
/// That.
pub fn judge(app: &str, release: &Release) -> Outcome {
    let cure = match release.state {
        ReleaseState::Deploying | ReleaseState::Running | ReleaseState::Superseded => return Ok(()),
        ReleaseState::Paused => format!(
            "`berth why {app}` tells more; then `berth release resume {app}`, `berth release abort {app}`, or deploy a better one"
        ),
        ReleaseState::Failed | ReleaseState::Aborted => {
            format!(
                "`berth release show {app} {}` tells what happened",
                release.number
            )
        }
    };
    let why = release
        .failure
        .as_deref()
        .map_or_else(String::new, |why| format!(": {why}"));
    let message = format!(
        "release {} of {app} is {}{why}",
        release.number,
        word(&release.state)
    );
    Err(Failure::new(Exit::NotReady, message).cure(cure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_api::ContainerCounts;
    use berth_ids::Timestamp;
    use serde_json::json;

    fn release(number: u32) -> Release {
        let id = ReleaseId::from_u128(u128::from(number));
        serde_json::from_value(json!({
            "id": id, "number": number, "state": "deploying", "source": { "kind": "image", "image": "i" },
            "method": { "kind": "rolling" }, "images": {}, "actor": "a", "started_at": Timestamp::default(),
        }))
        .unwrap()
    }

    fn application() -> Application {
        let service = json!({
            "name": "web", "image": "i", "mode": { "kind": "global" }, "status": "running", "wanted": 3,
            "running": 2, "healthy": 1, "unhealthy": 0, "completed": 0, "has_healthcheck": true,
            "ports": [], "pending_slots": [3],
        });
        Application {
            id: berth_ids::ApplicationId::from_u128(1),
            name: "shop".into(),
            cluster_id: berth_ids::ClusterId::from_u128(1),
            cluster: "main".into(),
            status: ApplicationStatus::Deploying,
            services: vec![serde_json::from_value(service).unwrap()],
            containers: ContainerCounts::default(),
            volumes: BTreeSet::new(),
            networks: BTreeSet::new(),
            warnings: Vec::new(),
            releases: vec![release(2), release(1)],
            weights: BTreeMap::new(),
            waits_for: Vec::new(),
            image_news: Vec::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            version: 1,
        }
    }

    fn container(slot: u32, number: u32, state: &str, health: &str) -> Container {
        let id = berth_ids::AllocationId::from_u128(u128::from(number * 10 + slot));
        serde_json::from_value(json!({
            "id": id, "name": "c", "application_id": berth_ids::ApplicationId::from_u128(1),
            "application": "shop", "service": "web", "slot": slot,
            "node_id": berth_ids::NodeId::from_u128(1), "node": format!("n{slot}"),
            "cluster_id": berth_ids::ClusterId::from_u128(1),
            "release_id": ReleaseId::from_u128(u128::from(number)), "image": "i", "state": state,
            "health": health, "restarts": 0, "addresses": {}, "ports": [],
            "placed_at": Timestamp::from_millis(i64::from(number)),
            "why": { "cause": "new", "candidates": 1 },
        }))
        .unwrap()
    }

    #[test]
    fn each_slot_shows_its_containers_newest_first() {
        let containers = [
            container(1, 1, "running", "healthy"),
            container(1, 2, "running", "unknown"),
            container(2, 1, "running", "unhealthy"),
        ];
        let view = View::new(&application(), &release(2), &containers);
        assert_eq!(
            view.all(),
            "release 2 of shop is deploying: web 2/3, 1 healthy\n  \
             web.1 running on n1 (release 2), before it healthy on n1 (release 1)\n  \
             web.2 unhealthy on n2 (release 1)\n  \
             web.3 waits for a place"
        );
    }

    #[test]
    fn only_news_are_added_where_lines_stay() {
        let before = [
            container(1, 1, "running", "healthy"),
            container(2, 1, "running", "healthy"),
        ];
        let before = View::new(&application(), &release(2), &before);
        let after = [
            container(1, 2, "pulling", "unknown"),
            container(2, 1, "running", "healthy"),
        ];
        let after = View::new(&application(), &release(2), &after);
        assert_eq!(after.news(&before), ["  web.1 pulling on n1 (release 2)"]);
        assert!(after.news(&after).is_empty());
    }
}
