//! The view: nodes' addresses, allocations, and the sets that follow from them.

use berth_events::{
    AllocationEvent, AllocationRunning, ApplicationEvent, Endpoint, EndpointHealth, EndpointSet, Event,
    NodeEvent, PlacementDecided, PlacementEvent, PortBinding, Recorded, spec::ContainerSpec,
};
use berth_eventsourcing::{Index, RowError, RowKey, Rows, View};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const NODE: &str = "node";
const ENDPOINT: &str = "endpoint";
const SERVICE: &str = "service";

/// A service of an application, as a key: `<application>/<service>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The application.
    pub application_id: ApplicationId,
    /// The service.
    pub service: String,
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.application_id, self.service)
    }
}

impl std::str::FromStr for Service {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` names no service");
        let (application, service) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self {
            application_id: application.parse().map_err(|_| bad())?,
            service: service.to_owned(),
        })
    }
}

/// An allocation that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// The application.
    pub application_id: ApplicationId,
    /// The service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// Its node.
    pub node_id: NodeId,
    /// The file has a check.
    pub checked: bool,
    /// Its container runs.
    pub running: bool,
    /// What the check says; absent: nothing yet.
    pub healthy: Option<bool>,
    /// Its own address on each network.
    pub addresses: BTreeMap<String, String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct NodeRow {
    address: String,
    lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ServiceRow {
    cluster_id: ClusterId,
    /// Position of the last event that changed its set.
    generation: u64,
}

/// Endpoint sets of all services that ever had a container placed and whose application is there.
#[derive(Debug, Clone, Default)]
pub struct EndpointView {
    nodes: Rows<NodeId, NodeRow>,
    endpoints: Rows<AllocationId, EndpointRow>,
    services: Rows<Service, ServiceRow>,
    of_service: Index<Service, AllocationId>,
    of_node: Index<NodeId, AllocationId>,
}

impl EndpointView {
    /// The set of a service, if it was ever placed and its application is there.
    pub fn set(&self, service: &Service) -> Option<EndpointSet> {
        let row = self.services.get(service)?;
        let mut endpoints: Vec<Endpoint> = self
            .of_service
            .of(service)
            .filter_map(|id| self.endpoint(*id))
            .collect();
        endpoints.sort_by_key(|endpoint| (endpoint.slot, endpoint.allocation_id));
        Some(EndpointSet {
            cluster_id: row.cluster_id,
            application_id: service.application_id,
            service: service.service.clone(),
            generation: row.generation,
            endpoints,
        })
    }

    /// All sets of a cluster.
    pub fn sets(&self, cluster: ClusterId) -> Vec<EndpointSet> {
        self.services
            .iter()
            .filter(|(_, row)| row.cluster_id == cluster)
            .filter_map(|(service, _)| self.set(service))
            .collect()
    }

    /// All sets.
    pub fn all(&self) -> Vec<EndpointSet> {
        self.services
            .keys()
            .filter_map(|service| self.set(service))
            .collect()
    }

    fn endpoint(&self, id: AllocationId) -> Option<Endpoint> {
        let row = self.endpoints.get(&id).filter(|row| row.running)?;
        let node = self.nodes.get(&row.node_id)?;
        Some(Endpoint {
            allocation_id: id,
            slot: row.slot,
            node_id: row.node_id,
            node_address: node.address.clone(),
            addresses: row.addresses.clone(),
            ports: row.ports.clone(),
            health: health(row, node),
        })
    }

    /// Marks the set of a service as changed.
    fn touch(&mut self, service: Service, position: u64) -> Vec<RowKey> {
        match self.services.get_mut(&service) {
            Some(row) => {
                row.generation = position;
                vec![RowKey::new(SERVICE, service)]
            }
            None => vec![],
        }
    }

    fn on_decided(&mut self, position: u64, decided: &PlacementDecided) -> Vec<RowKey> {
        let mut keys = Vec::new();
        for placed in &decided.place {
            let spec = decided.containers.get(&placed.spec_hash);
            let service = Service {
                application_id: placed.application_id,
                service: placed.service.clone(),
            };
            let row = EndpointRow {
                application_id: placed.application_id,
                service: placed.service.clone(),
                slot: placed.slot,
                node_id: decided.node_id,
                checked: spec.is_some_and(ContainerSpec::has_check),
                running: false,
                healthy: None,
                addresses: BTreeMap::new(),
                ports: vec![],
            };
            if !self.services.contains_key(&service) {
                let row = ServiceRow {
                    cluster_id: decided.cluster_id,
                    generation: position,
                };
                self.services.insert(service.clone(), row);
                keys.push(RowKey::new(SERVICE, &service));
            }
            self.of_service.add(service, placed.allocation_id);
            self.of_node.add(decided.node_id, placed.allocation_id);
            self.endpoints.insert(placed.allocation_id, row);
            keys.push(RowKey::new(ENDPOINT, placed.allocation_id));
        }
        // Before its agent hears of it: nobody is sent to a container that is about to end.
        for order in &decided.stop {
            keys.extend(self.leave(order.allocation_id, position));
        }
        keys
    }

    fn on_allocation(&mut self, position: u64, event: &AllocationEvent) -> Vec<RowKey> {
        match event {
            AllocationEvent::Running(running) => self.on_running(position, running),
            AllocationEvent::Healthy(event) => self.change(event.allocation_id, position, |row| {
                row.healthy = Some(true);
            }),
            AllocationEvent::Unhealthy(event) => self.change(event.allocation_id, position, |row| {
                row.healthy = Some(false);
            }),
            // Its check begins anew; its addresses come with the next `running`, if they changed.
            AllocationEvent::Restarted(event) => self.change(event.allocation_id, position, |row| {
                row.healthy = None;
            }),
            // It does not run until the next `running`.
            AllocationEvent::RetryScheduled(event) => self.change(event.allocation_id, position, |row| {
                row.running = false;
                row.healthy = None;
            }),
            AllocationEvent::Stopping(event) => self.leave(event.allocation_id, position),
            AllocationEvent::Exited(event) => self.leave(event.allocation_id, position),
            AllocationEvent::Failed(event) => self.leave(event.allocation_id, position),
            AllocationEvent::Lost(event) => self.leave(event.allocation_id, position),
            AllocationEvent::Removed(event) => self.leave(event.allocation_id, position),
            AllocationEvent::Pulling(_)
            | AllocationEvent::ContainerCreated(_)
            | AllocationEvent::VolumesDropped(_) => vec![],
        }
    }

    fn on_running(&mut self, position: u64, running: &AllocationRunning) -> Vec<RowKey> {
        self.change(running.allocation_id, position, |row| {
            row.running = true;
            row.addresses = running.addresses.clone();
            row.ports = running.ports.clone();
        })
    }

    fn change(&mut self, id: AllocationId, position: u64, how: impl FnOnce(&mut EndpointRow)) -> Vec<RowKey> {
        let Some(row) = self.endpoints.get_mut(&id) else {
            return vec![];
        };
        let before = row.clone();
        how(row);
        if *row == before {
            return vec![];
        }
        let service = service_of(row);
        let mut keys = self.touch(service, position);
        keys.push(RowKey::new(ENDPOINT, id));
        keys
    }

    /// What ended, or is to end, leaves its set for ever.
    fn leave(&mut self, id: AllocationId, position: u64) -> Vec<RowKey> {
        let Some(row) = self.endpoints.remove(&id) else {
            return vec![];
        };
        let service = service_of(&row);
        self.of_service.take(&service, &id);
        self.of_node.take(&row.node_id, &id);
        let mut keys = vec![RowKey::new(ENDPOINT, id)];
        if row.running {
            keys.extend(self.touch(service, position));
        }
        keys
    }

    fn on_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        let before = self.nodes.get(&id).cloned();
        match (event, self.nodes.get_mut(&id)) {
            (NodeEvent::Joined(joined), _) => {
                let address = joined.address.clone();
                self.nodes.insert(id, NodeRow { address, lost: false });
            }
            (NodeEvent::FactsChanged(changed), Some(row)) => row.address = changed.address.clone(),
            (NodeEvent::Lost(_), Some(row)) => row.lost = true,
            (NodeEvent::Returned(_), Some(row)) => row.lost = false,
            (NodeEvent::Removed(_), _) => return self.on_node_removed(id, recorded.position),
            _ => {}
        }
        if self.nodes.get(&id) == before.as_ref() {
            return vec![];
        }
        let mut keys = vec![RowKey::new(NODE, id)];
        for service in self.services_on(id) {
            keys.extend(self.touch(service, recorded.position));
        }
        keys
    }

    fn on_node_removed(&mut self, id: NodeId, position: u64) -> Vec<RowKey> {
        let gone: Vec<AllocationId> = self.of_node.of(&id).copied().collect();
        let mut keys: Vec<RowKey> = gone
            .into_iter()
            .flat_map(|allocation| self.leave(allocation, position))
            .collect();
        self.nodes.remove(&id);
        keys.push(RowKey::new(NODE, id));
        keys
    }

    /// The sets of a removed application are gone; its containers were before.
    fn on_application(&mut self, recorded: &Recorded, event: &ApplicationEvent) -> Vec<RowKey> {
        let (ApplicationEvent::Removed(_), Ok(id)) = (event, recorded.stream.key().parse::<ApplicationId>())
        else {
            return vec![];
        };
        let gone: Vec<Service> = self
            .services
            .keys()
            .filter(|service| service.application_id == id)
            .cloned()
            .collect();
        self.services.retain(|service, _| service.application_id != id);
        gone.iter().map(|service| RowKey::new(SERVICE, service)).collect()
    }

    fn services_on(&self, node: NodeId) -> BTreeSet<Service> {
        self.of_node
            .of(&node)
            .filter_map(|id| self.endpoints.get(id))
            .map(service_of)
            .collect()
    }
}

fn service_of(row: &EndpointRow) -> Service {
    Service {
        application_id: row.application_id,
        service: row.service.clone(),
    }
}

fn health(row: &EndpointRow, node: &NodeRow) -> EndpointHealth {
    match (node.lost, row.healthy, row.checked) {
        (true, ..) => EndpointHealth::Unknown,
        (false, Some(true), _) => EndpointHealth::Healthy,
        (false, Some(false), _) => EndpointHealth::Unhealthy,
        (false, None, true) => EndpointHealth::Starting,
        (false, None, false) => EndpointHealth::Unchecked,
    }
}

impl View for EndpointView {
    const NAME: &'static str = "endpoints";
    const VERSION: u32 = 4;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        match event {
            Event::Placement(PlacementEvent::Decided(decided)) => self.on_decided(recorded.position, decided),
            Event::Allocation(event) => self.on_allocation(recorded.position, event),
            Event::Node(event) => self.on_node(recorded, event),
            Event::Application(event) => self.on_application(recorded, event),
            _ => vec![],
        }
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        match key.kind.as_str() {
            NODE => self.nodes.text(&key.key),
            ENDPOINT => self.endpoints.text(&key.key),
            SERVICE => self.services.text(&key.key),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        match key.kind.as_str() {
            NODE => {
                self.nodes.restore(Self::NAME, &key, json)?;
            }
            ENDPOINT => {
                let (id, row) = self.endpoints.restore(Self::NAME, &key, json)?;
                self.of_service.add(service_of(row), id);
                self.of_node.add(row.node_id, id);
            }
            SERVICE => {
                self.services.restore(Self::NAME, &key, json)?;
            }
            _ => return Err(RowError::of(Self::NAME, &key, None)),
        }
        Ok(())
    }
}
