//! Answers about applications.

use crate::{ApiView, ApplicationRow, ReleaseRow};
use berth_api::{Application, Service, ServiceWhy, Why};
use berth_events::spec::{PortSpec, ServiceSpec};

impl ApiView {
    /// The answer about an application.
    pub fn application(&self, row: &ApplicationRow) -> Application {
        let services = row.spec.services.iter();
        Application {
            id: row.id,
            name: row.name.to_string(),
            cluster_id: row.cluster_id,
            cluster: self.cluster_name(row.cluster_id),
            status: self.application_status(row),
            services: services
                .map(|(name, spec)| self.service(row, name, spec))
                .collect(),
            containers: self.counts(self.allocations_of(row.id)),
            volumes: row.spec.volumes.keys().cloned().collect(),
            networks: row.spec.networks.keys().cloned().collect(),
            warnings: row.warnings.clone(),
            releases: row.releases.iter().rev().map(ReleaseRow::answer).collect(),
            weights: row.weights.clone(),
            waits_for: self.remains_of(row),
            image_news: Vec::new(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        }
    }

    fn service(&self, row: &ApplicationRow, name: &str, spec: &ServiceSpec) -> Service {
        let tally = self.tally(row, name, spec);
        let block = row.blocks.get(name);
        let check = spec.container.healthcheck.as_ref();
        Service {
            name: name.to_owned(),
            image: spec.container.image.clone(),
            mode: spec.mode,
            status: self.service_status(row, name, &tally),
            wanted: tally.wanted,
            running: tally.running,
            healthy: tally.healthy,
            unhealthy: tally.unhealthy,
            completed: tally.completed,
            has_healthcheck: check.is_some_and(|check| check.test != ["NONE"]),
            ports: spec.container.ports.iter().map(port).collect(),
            volumes: spec.container.named_volumes().map(str::to_owned).collect(),
            pending_slots: block.map(|block| block.slots.clone()).unwrap_or_default(),
            pending: block.map(|block| block.report.clone()),
        }
    }

    /// Why an application, or one service of it, is as it is.
    pub fn why(&self, row: &ApplicationRow, only: Option<&str>) -> Why {
        let services = row.spec.services.iter();
        let wanted = services.filter(|(name, _)| only.is_none_or(|only| only == *name));
        Why {
            application_id: row.id,
            name: row.name.to_string(),
            status: self.application_status(row),
            waits_for: self.remains_of(row),
            services: wanted
                .map(|(name, spec)| self.service_why(row, name, spec))
                .collect(),
        }
    }

    fn service_why(&self, row: &ApplicationRow, name: &str, spec: &ServiceSpec) -> ServiceWhy {
        let tally = self.tally(row, name, spec);
        let block = row.blocks.get(name);
        let newest = self.newest(row, name);
        let stopped = |slot: &u32| match spec.mode {
            berth_events::spec::ServiceMode::Replicated { replicas } => *slot > replicas,
            berth_events::spec::ServiceMode::Global => false,
        };
        let containers = newest
            .iter()
            .filter(|(slot, container)| !(container.state.ended() && stopped(slot)));
        ServiceWhy {
            service: name.to_owned(),
            status: self.service_status(row, name, &tally),
            wanted: tally.wanted,
            running: tally.running,
            pending_slots: block.map(|block| block.slots.clone()).unwrap_or_default(),
            pending: block.map(|block| block.report.clone()),
            domains: self.domains(row, name, spec),
            containers: containers
                .map(|(_, container)| self.container(container))
                .collect(),
        }
    }
}

/// A port as in a Compose file.
fn port(port: &PortSpec) -> String {
    let host = port
        .host_ip
        .as_ref()
        .map(|ip| format!("{ip}:"))
        .unwrap_or_default();
    match port.published {
        Some(published) => format!("{host}{published}:{}/{}", port.target, port.protocol),
        None => format!("{host}{}/{}", port.target, port.protocol),
    }
}
