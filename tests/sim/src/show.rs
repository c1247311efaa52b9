//! Tells the log in words, one line an event, with names in place of ids.

use berth_events::{
    AllocationEvent, ApplicationEvent, ClusterEvent, Event, NameEvent, NodeEvent, PlacementDecided,
    PlacementEvent, Recorded, ReleaseFailure, ReleaseMethod, ReleaseSource, ReleaseStarted,
    spec::ServiceMode,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use berth_scheduler_core::{
    allocation::allocation_of,
    view::{ApplicationRow, Availability, SchedulerView},
};
use std::{collections::BTreeMap, fmt::Write};

/// Names of what has been met in the log so far.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    nodes: BTreeMap<NodeId, String>,
    applications: BTreeMap<ApplicationId, String>,
    allocations: BTreeMap<AllocationId, String>,
}

impl Teller {
    /// An event in one line; none for what only repeats another.
    pub(crate) fn line(&mut self, recorded: &Recorded) -> Option<String> {
        let words = match recorded.event().ok()? {
            Event::Cluster(event) => self.cluster(&event),
            Event::Node(event) => {
                let id = recorded.stream.key().parse().unwrap_or_default();
                self.node(id, &event)
            }
            Event::Application(event) => {
                let id = recorded.stream.key().parse().unwrap_or_default();
                self.application(id, &event)
            }
            Event::Placement(PlacementEvent::Decided(change)) => self.decided(&change),
            Event::Placement(PlacementEvent::Blocked(blocked)) => {
                let application = self.applications.get(&blocked.application_id);
                let application = application.map_or("?", String::as_str);
                let slots: Vec<_> = blocked.slots.iter().map(u32::to_string).collect();
                if slots.is_empty() {
                    format!("{application}/{} is no longer pending", blocked.service)
                } else {
                    let cure = blocked.report.cure.unwrap_or_default();
                    format!(
                        "{application}/{} slots {}: {} — {cure}",
                        blocked.service,
                        slots.join(","),
                        blocked.report.summary
                    )
                }
            }
            Event::Allocation(event) => self.allocation(&event),
            Event::Name(NameEvent::Claimed(_) | NameEvent::Released(_)) => return None,
            _ => String::new(),
        };
        Some(format!("{} {words}", recorded.type_name).trim_end().to_owned())
    }

    fn cluster(&self, event: &ClusterEvent) -> String {
        match event {
            ClusterEvent::Created(created) => created.name.to_string(),
            _ => String::new(),
        }
    }

    fn node(&mut self, id: NodeId, event: &NodeEvent) -> String {
        if let NodeEvent::Joined(joined) = event {
            self.nodes.insert(joined.node_id, joined.name.to_string());
        }
        let name = self.node_name(id);
        match event {
            NodeEvent::DrainExpired(expired) => format!("{name} with {} left", expired.remaining),
            _ => name,
        }
    }

    fn application(&mut self, id: ApplicationId, event: &ApplicationEvent) -> String {
        if let ApplicationEvent::Created(created) = event {
            self.applications.insert(id, created.name.to_string());
        }
        let name = self.applications.get(&id).cloned().unwrap_or_default();
        match event {
            ApplicationEvent::ReleaseStarted(started) => format!("{name} {}{}", started.number, how(started)),
            ApplicationEvent::ReleaseSettled(settled) => {
                let outcome = format!("{name} {:?}", settled.outcome).to_lowercase();
                format!("{outcome}{}", why(settled.failure.as_ref()))
            }
            ApplicationEvent::ReleasePaused(paused) => format!("{name}{}", why(paused.failure.as_ref())),
            ApplicationEvent::WeightsChanged(changed) => {
                let weights = changed.weights.iter();
                let weights = weights.map(|(name, weight)| format!(" {name}={weight}"));
                format!("{name}{}", weights.collect::<String>())
            }
            ApplicationEvent::Scaled(scaled) => {
                format!(
                    "{name}/{} {} → {}",
                    scaled.service, scaled.previous, scaled.replicas
                )
            }
            _ => name,
        }
    }

    fn decided(&mut self, change: &PlacementDecided) -> String {
        let mut text = self.node_name(change.node_id);
        for order in &change.stop {
            let reason = format!("{:?}", order.reason).to_lowercase();
            // Writing into a text cannot fail.
            let _ = write!(text, " -{} ({reason})", self.allocation_name(order.allocation_id));
        }
        for placed in &change.place {
            let application = self.applications.get(&placed.application_id);
            let name = format!(
                "{}/{}.{}",
                application.map_or("?", String::as_str),
                placed.service,
                placed.slot
            );
            let _ = write!(text, " +{name} ({})", placed.why.cause);
            self.allocations.insert(placed.allocation_id, name);
        }
        for volume in &change.drop_volumes {
            let _ = write!(text, " drop {volume}");
        }
        text
    }

    fn allocation(&self, event: &AllocationEvent) -> String {
        let name = allocation_of(event).map_or_else(String::new, |id| self.allocation_name(id));
        match event {
            AllocationEvent::Exited(exited) => format!("{name} with code {}", exited.exit_code),
            AllocationEvent::Failed(failed) => format!("{name}: {}", failed.message),
            AllocationEvent::Restarted(restarted) => format!("{name} for the {}. time", restarted.restarts),
            AllocationEvent::RetryScheduled(retry) => {
                let step = format!("{:?}", retry.step).to_lowercase();
                format!("{name} after {step} failed for the {}. time", retry.attempt)
            }
            AllocationEvent::VolumesDropped(dropped) => {
                let volumes: Vec<_> = dropped.volumes.iter().map(String::as_str).collect();
                volumes.join(" ")
            }
            _ => name,
        }
    }

    fn node_name(&self, id: NodeId) -> String {
        self.nodes.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn allocation_name(&self, id: AllocationId) -> String {
        self.allocations
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }
}

/// What is special about a release.
fn how(started: &ReleaseStarted) -> String {
    let method = match started.method {
        ReleaseMethod::Rolling => "",
        ReleaseMethod::Standard => ", all at once",
        ReleaseMethod::BlueGreen { .. } => ", beside the one before",
    };
    match started.source {
        ReleaseSource::Rollback { to, of, automatic } => {
            let by = if automatic { "its policy" } else { "order" };
            format!("{method}, brings {to} back in place of {of} by {by}")
        }
        ReleaseSource::Compose { .. } | ReleaseSource::Image { .. } => method.to_owned(),
    }
}

fn why(failure: Option<&ReleaseFailure>) -> String {
    failure.map_or_else(String::new, |failure| {
        let (failed, of) = (failure.failed, failure.of);
        format!(
            ": {failed} of {of} of {} failed, the last: {}",
            failure.service, failure.last
        )
    })
}

/// What an application is now: its release, the ready containers of each service by image, shares of the traffic.
pub(crate) fn release(view: &SchedulerView, application: &ApplicationRow) -> Vec<String> {
    let state = match (application.settled, application.paused) {
        (true, _) => "has come to its end",
        (false, true) => "is paused",
        (false, false) => "is going live",
    };
    let mut lines = vec![format!("release {} {state}", application.release_number)];
    for (name, spec) in &application.spec.services {
        let mut images: BTreeMap<String, u32> = BTreeMap::new();
        for row in view.allocations_of(application.application_id, name) {
            let reached = view.node(row.node_id).is_some_and(|node| !node.lost);
            if let Some(container) = view.container(&row.spec_hash).filter(|_| reached)
                && row.is_well(container)
            {
                *images.entry(container.image.clone()).or_default() += 1;
            }
        }
        let images: Vec<_> = images
            .iter()
            .map(|(image, count)| format!("{count} × {image}"))
            .collect();
        let weight = application.weights.get(name).copied();
        let weight = weight.map_or_else(String::new, |weight| format!(", weight {weight}"));
        let ready = if images.is_empty() {
            "none".to_owned()
        } else {
            images.join(", ")
        };
        let wanted = match spec.mode {
            ServiceMode::Replicated { replicas } => replicas.to_string(),
            ServiceMode::Global => "one a node".to_owned(),
        };
        lines.push(format!("{name} wants {wanted}, ready: {ready}{weight}"));
    }
    lines
}

/// Nodes, containers and what is pending, as the scheduler sees them.
pub(crate) fn table(view: &SchedulerView, cluster: ClusterId) -> Vec<String> {
    let mut lines = Vec::new();
    let mut nodes: Vec<_> = view.nodes_of(cluster).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in nodes {
        let state = match node.availability {
            _ if node.lost => "lost",
            Availability::Active => "active",
            Availability::Cordoned => "cordoned",
            Availability::Draining { .. } => "draining",
            Availability::Drained => "drained",
        };
        let drops = view.assigned(node.node_id).drop_volumes;
        let drops: Vec<_> = drops.iter().map(|name| format!(" dropping {name}")).collect();
        lines.push(format!("node {} {state}{}", node.name, drops.concat()));
        let mut rows: Vec<String> = view
            .allocations_on(node.node_id)
            .map(|row| {
                let application = view.application(row.application_id);
                let application = application.map_or("?", |application| application.name.as_str());
                let health = match row.healthy {
                    Some(true) => " healthy",
                    Some(false) => " unhealthy",
                    None => "",
                };
                let stop = row
                    .stop
                    .map_or_else(String::new, |reason| format!(" stop: {reason:?}").to_lowercase());
                let phase = row.phase.as_str();
                format!(
                    "  {application}/{}.{} {phase}{health}{stop}",
                    row.service, row.slot
                )
            })
            .collect();
        rows.sort();
        lines.extend(rows);
    }
    for application in view.applications_of(cluster) {
        for service in application.spec.services.keys() {
            if let Some(blocked) = view.blocked(application.application_id, service) {
                let slots: Vec<_> = blocked.slots.iter().map(u32::to_string).collect();
                let slots = slots.join(",");
                let summary = &blocked.report.summary;
                lines.push(format!("{}/{service}.{slots} {summary}", application.name));
            }
        }
    }
    lines
}
