//! Letting go of local volumes that hold containers to nodes.

use super::{Session, application::containers};
use crate::exit::Outcome;
use berth_api::{AbandonVolume, Application, Written};
use std::collections::{BTreeMap, BTreeSet};

/// Lets go of the local volumes of services that are named; of the others, only of those that hold slots
/// which wait: what runs keeps its data.
///
/// # Errors
/// What the platform answered.
pub async fn abandon_of(session: &Session, app: &str, services: &BTreeSet<String>) -> Outcome {
    let application: Application = session.client.get(&session.path("applications", app, "")).await?;
    for service in application.services {
        let named = services.contains(&service.name);
        let waits = services.is_empty() && !service.pending_slots.is_empty();
        if named || (waits && !service.volumes.is_empty()) {
            let slots = if named {
                BTreeSet::new()
            } else {
                service.pending_slots
            };
            abandon(session, app, &service.name, slots).await?;
        }
    }
    Ok(())
}

/// Lets go of the local volumes of the containers on a node.
///
/// # Errors
/// What the platform answered.
pub async fn abandon_on(session: &Session, node: &str) -> Outcome {
    let mut held: BTreeMap<(String, String), BTreeSet<u32>> = BTreeMap::new();
    for container in containers(session, None, false).await? {
        if container.node == node || container.node_id.to_string() == node {
            let key = (container.application_id.to_string(), container.service);
            held.entry(key).or_default().insert(container.slot);
        }
    }
    for ((app, service), slots) in held {
        let path = session.path("applications", &app, "");
        let application: Application = session.client.get(&path).await?;
        let uses = |found: &&berth_api::Service| found.name == service && !found.volumes.is_empty();
        if application.services.iter().find(uses).is_some() {
            abandon(session, &app, &service, slots).await?;
        }
    }
    Ok(())
}

/// Lets go of the local volumes of some slots of a service; none named: of all.
///
/// # Errors
/// What the platform answered.
pub async fn abandon(session: &Session, app: &str, service: &str, slots: BTreeSet<u32>) -> Outcome<Written> {
    let body = AbandonVolume {
        service: service.to_owned(),
        slots,
    };
    let path = session.path("applications", app, "/abandon-volume");
    let written = session.client.post(&path, &body).await?;
    session.printer.note(&format!(
        "{app}/{service} may start elsewhere with an empty volume"
    ));
    Ok(written)
}
