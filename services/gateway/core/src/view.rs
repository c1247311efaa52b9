//! The fold: the whole log, one row an object.

use crate::{
    AllocationRow, ApplicationRow, Block, BuildRow, ClusterRow, Lifecycle, MAX_ENDED_OF_SLOT, NodeRow,
    TemplateRow, TokenRow, allocation, node, release,
};
use berth_events::{
    AllocationEvent, ApplicationEvent, ClusterEvent, Event, NodeEvent, PlacementBlocked, PlacementDecided,
    PlacementEvent, Quotas, Recorded, TemplateEvent, TokenEvent,
};
use berth_eventsourcing::{Index, RowError, RowKey, Rows, View};
use berth_ids::{AllocationId, ApplicationId, BuildId, ClusterId, NodeId, TemplateId, TokenId};
use std::{collections::BTreeMap, str::FromStr};

const CLUSTER: &str = "cluster";
const NODE: &str = "node";
const APPLICATION: &str = "application";
const ALLOCATION: &str = "allocation";
const TOKEN: &str = "token";
const TEMPLATE: &str = "template";
pub(crate) const BUILD: &str = "build";

/// Everything that the API can show.
#[derive(Debug, Clone, Default)]
pub struct ApiView {
    pub(crate) clusters: Rows<ClusterId, ClusterRow>,
    pub(crate) nodes: Rows<NodeId, NodeRow>,
    pub(crate) applications: Rows<ApplicationId, ApplicationRow>,
    pub(crate) allocations: Rows<AllocationId, AllocationRow>,
    pub(crate) tokens: Rows<TokenId, TokenRow>,
    pub(crate) templates: Rows<TemplateId, TemplateRow>,
    pub(crate) builds: Rows<BuildId, BuildRow>,
    pub(crate) nodes_of: Index<ClusterId, NodeId>,
    pub(crate) applications_of: Index<ClusterId, ApplicationId>,
    /// All of an application, ended ones too.
    pub(crate) allocations_of: Index<ApplicationId, AllocationId>,
    /// Those of a node that have not ended.
    pub(crate) live_on: Index<NodeId, AllocationId>,
}

/// The object whose stream this is.
pub(crate) fn key<T: FromStr>(recorded: &Recorded) -> Option<T> {
    recorded.stream.key().split('/').next()?.parse().ok()
}

impl ApiView {
    fn on_cluster(&mut self, recorded: &Recorded, event: &ClusterEvent) -> Option<RowKey> {
        let id: ClusterId = key(recorded)?;
        if let ClusterEvent::Created(created) = event {
            let row = ClusterRow {
                id,
                tenant: recorded.tenant.to_string(),
                name: created.name.clone(),
                region: created.region.clone(),
                zones: created.zones.clone(),
                policy: created.policy,
                strategy: created.strategy,
                quotas: Quotas::default(),
                deleting: false,
                created_at: recorded.recorded_at,
                updated_at: recorded.recorded_at,
                version: recorded.version,
            };
            self.clusters.insert(id, row);
            return Some(RowKey::new(CLUSTER, id));
        }
        let row = self.clusters.get_mut(&id)?;
        row.version = recorded.version;
        row.updated_at = recorded.recorded_at;
        match event {
            ClusterEvent::Created(_) => {}
            ClusterEvent::Renamed(renamed) => row.name = renamed.name.clone(),
            ClusterEvent::SettingsChanged(changed) => {
                row.policy = changed.policy;
                row.strategy = changed.strategy;
            }
            ClusterEvent::QuotasChanged(changed) => row.quotas = changed.quotas,
            ClusterEvent::DeleteRequested(_) => row.deleting = true,
            ClusterEvent::Deleted(_) => {
                self.clusters.remove(&id);
            }
        }
        Some(RowKey::new(CLUSTER, id))
    }

    fn on_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Option<RowKey> {
        let id: NodeId = key(recorded)?;
        if let NodeEvent::Joined(joined) = event {
            self.nodes_of.add(joined.cluster_id, id);
            self.nodes.insert(id, node::joined(recorded, joined));
            return Some(RowKey::new(NODE, id));
        }
        let row = self.nodes.get_mut(&id)?;
        if node::change(row, recorded, event) {
            let cluster = row.cluster_id;
            self.nodes.remove(&id);
            self.nodes_of.take(&cluster, &id);
        }
        Some(RowKey::new(NODE, id))
    }

    fn on_application(&mut self, recorded: &Recorded, event: &ApplicationEvent) -> Vec<RowKey> {
        let Some(id) = key::<ApplicationId>(recorded) else {
            return vec![];
        };
        if let ApplicationEvent::Created(created) = event {
            let row = ApplicationRow {
                id,
                cluster_id: created.cluster_id,
                name: created.name.clone(),
                lifecycle: Lifecycle::Live,
                spec: Default::default(),
                warnings: Vec::new(),
                releases: Vec::new(),
                restarts: BTreeMap::new(),
                weights: Default::default(),
                blocks: Default::default(),
                created_at: recorded.recorded_at,
                updated_at: recorded.recorded_at,
                version: recorded.version,
            };
            self.applications_of.add(created.cluster_id, id);
            self.applications.insert(id, row);
            return vec![RowKey::new(APPLICATION, id)];
        }
        let Some(row) = self.applications.get_mut(&id) else {
            return vec![];
        };
        row.version = recorded.version;
        if change_application(row, recorded, event) {
            return self.forget_application(id);
        }
        vec![RowKey::new(APPLICATION, id)]
    }

    fn forget_application(&mut self, id: ApplicationId) -> Vec<RowKey> {
        let mut touched = vec![RowKey::new(APPLICATION, id)];
        if let Some(row) = self.applications.remove(&id) {
            self.applications_of.take(&row.cluster_id, &id);
        }
        let allocations: Vec<AllocationId> = self.allocations_of.of(&id).copied().collect();
        for allocation in allocations {
            self.forget_allocation(allocation);
            touched.push(RowKey::new(ALLOCATION, allocation));
        }
        touched
    }

    fn forget_allocation(&mut self, id: AllocationId) {
        if let Some(row) = self.allocations.remove(&id) {
            self.allocations_of.take(&row.application_id, &id);
            self.live_on.take(&row.node_id, &id);
        }
    }

    fn on_decided(&mut self, recorded: &Recorded, decided: &PlacementDecided) -> Vec<RowKey> {
        let mut touched = Vec::new();
        let node_name = self.nodes.get(&decided.node_id).map(|node| node.name.to_string());
        for placed in &decided.place {
            let id = placed.allocation_id;
            let name = node_name.clone().unwrap_or_else(|| decided.node_id.to_string());
            self.allocations_of.add(placed.application_id, id);
            self.live_on.add(decided.node_id, id);
            self.allocations
                .insert(id, allocation::placed(recorded, decided, placed, name));
            touched.push(RowKey::new(ALLOCATION, id));
            touched.extend(self.forget_old(placed.application_id, &placed.service, placed.slot));
        }
        for order in &decided.stop {
            if let Some(row) = self.allocations.get_mut(&order.allocation_id) {
                row.stop_reason = Some(order.reason);
                touched.push(RowKey::new(ALLOCATION, order.allocation_id));
            }
        }
        touched
    }

    /// Keeps the newest ended allocations of a slot.
    fn forget_old(&mut self, application: ApplicationId, service: &str, slot: u32) -> Vec<RowKey> {
        let mut ended: Vec<(u64, AllocationId)> = self
            .allocations_of(application)
            .filter(|row| row.service == service && row.slot == slot && row.state.ended())
            .map(|row| (row.placed_position, row.id))
            .collect();
        ended.sort_unstable();
        let surplus = ended.len().saturating_sub(MAX_ENDED_OF_SLOT);
        ended.truncate(surplus);
        for (_, id) in &ended {
            self.forget_allocation(*id);
        }
        ended.iter().map(|(_, id)| RowKey::new(ALLOCATION, id)).collect()
    }

    fn on_blocked(&mut self, blocked: &PlacementBlocked) -> Option<RowKey> {
        let row = self.applications.get_mut(&blocked.application_id)?;
        if blocked.slots.is_empty() {
            row.blocks.remove(&blocked.service);
        } else {
            let block = Block {
                slots: blocked.slots.clone(),
                report: blocked.report.clone(),
            };
            row.blocks.insert(blocked.service.clone(), block);
        }
        Some(RowKey::new(APPLICATION, blocked.application_id))
    }

    fn on_allocation(&mut self, recorded: &Recorded, event: &AllocationEvent) -> Option<RowKey> {
        let id = allocation::of(event)?;
        let row = self.allocations.get_mut(&id)?;
        allocation::change(row, recorded, event);
        if row.state.ended() {
            let node = row.node_id;
            self.live_on.take(&node, &id);
        }
        Some(RowKey::new(ALLOCATION, id))
    }

    fn on_token(&mut self, recorded: &Recorded, event: &TokenEvent) -> Option<RowKey> {
        let id: TokenId = key(recorded)?;
        match event {
            TokenEvent::Minted(minted) => {
                let row = TokenRow {
                    id,
                    tenant: recorded.tenant.to_string(),
                    grant: minted.grant.clone(),
                    label: minted.label.clone(),
                    expires_at: minted.expires_at,
                    created_at: recorded.recorded_at,
                    created_by: recorded.meta().actor,
                    uses: 0,
                    revoked: false,
                };
                self.tokens.insert(id, row);
            }
            TokenEvent::Used(_) => {
                let row = self.tokens.get_mut(&id)?;
                row.uses = row.uses.saturating_add(1);
            }
            TokenEvent::Revoked(_) => self.tokens.get_mut(&id)?.revoked = true,
        }
        Some(RowKey::new(TOKEN, id))
    }

    fn on_template(&mut self, recorded: &Recorded, event: &TemplateEvent) -> Option<RowKey> {
        let id: TemplateId = key(recorded)?;
        match event {
            TemplateEvent::Saved(saved) => {
                let mut row = self.templates.remove(&id).unwrap_or_default();
                row.save(recorded, saved);
                self.templates.insert(id, row);
            }
            TemplateEvent::Removed(_) => {
                self.templates.remove(&id);
            }
        }
        Some(RowKey::new(TEMPLATE, id))
    }

    /// All allocations of an application that are kept.
    pub fn allocations_of(&self, application: ApplicationId) -> impl Iterator<Item = &AllocationRow> {
        self.allocations_of
            .of(&application)
            .filter_map(|id| self.allocations.get(id))
    }

    /// A node, for who needs no permission to know it.
    pub fn node_row(&self, id: NodeId) -> Option<&NodeRow> {
        self.nodes.get(&id)
    }

    /// Allocations of a node that have not ended.
    pub fn live_on(&self, node: NodeId) -> impl Iterator<Item = &AllocationRow> {
        self.live_on.of(&node).filter_map(|id| self.allocations.get(id))
    }
}

/// Changes an application; answers whether it is gone.
fn change_application(row: &mut ApplicationRow, recorded: &Recorded, event: &ApplicationEvent) -> bool {
    if !matches!(
        event,
        ApplicationEvent::ReleaseSettled(_) | ApplicationEvent::ImagesPinned(_)
    ) {
        row.updated_at = recorded.recorded_at;
    }
    match event {
        ApplicationEvent::Created(_) | ApplicationEvent::VolumeAbandoned(_) => {}
        ApplicationEvent::RestartRequested(_)
        | ApplicationEvent::ReleaseStarted(_)
        | ApplicationEvent::ReleaseSettled(_)
        | ApplicationEvent::ImagesPinned(_)
        | ApplicationEvent::ReleasePaused(_)
        | ApplicationEvent::ReleaseResumed(_)
        | ApplicationEvent::WeightsChanged(_)
        | ApplicationEvent::Scaled(_) => release::change(row, recorded, event),
        ApplicationEvent::Stopped(_) => row.lifecycle = Lifecycle::Stopped,
        ApplicationEvent::Started(_) => row.lifecycle = Lifecycle::Live,
        ApplicationEvent::RemoveRequested(_) => row.lifecycle = Lifecycle::Removing,
        ApplicationEvent::Removed(_) => return true,
    }
    false
}

impl View for ApiView {
    const NAME: &'static str = "api";
    const VERSION: u32 = 10;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        let one = |key: Option<RowKey>| key.into_iter().collect();
        match event {
            Event::Cluster(event) => one(self.on_cluster(recorded, event)),
            Event::Node(event) => one(self.on_node(recorded, event)),
            Event::Application(event) => self.on_application(recorded, event),
            Event::Placement(PlacementEvent::Decided(decided)) => self.on_decided(recorded, decided),
            Event::Placement(PlacementEvent::Blocked(blocked)) => one(self.on_blocked(blocked)),
            Event::Allocation(event) => one(self.on_allocation(recorded, event)),
            Event::Token(event) => one(self.on_token(recorded, event)),
            Event::Template(event) => one(self.on_template(recorded, event)),
            Event::Build(event) => self.on_build(recorded, event),
            Event::Name(_)
            | Event::Account(_)
            | Event::Credential(_)
            | Event::Secret(_)
            | Event::Platform(_) => vec![],
        }
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        match key.kind.as_str() {
            CLUSTER => self.clusters.text(&key.key),
            NODE => self.nodes.text(&key.key),
            APPLICATION => self.applications.text(&key.key),
            ALLOCATION => self.allocations.text(&key.key),
            TOKEN => self.tokens.text(&key.key),
            TEMPLATE => self.templates.text(&key.key),
            BUILD => self.builds.text(&key.key),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        match key.kind.as_str() {
            CLUSTER => {
                self.clusters.restore(Self::NAME, &key, json)?;
            }
            NODE => {
                let (id, row) = self.nodes.restore(Self::NAME, &key, json)?;
                self.nodes_of.add(row.cluster_id, id);
            }
            APPLICATION => {
                let (id, row) = self.applications.restore(Self::NAME, &key, json)?;
                self.applications_of.add(row.cluster_id, id);
            }
            ALLOCATION => {
                let (id, row) = self.allocations.restore(Self::NAME, &key, json)?;
                self.allocations_of.add(row.application_id, id);
                if !row.state.ended() {
                    self.live_on.add(row.node_id, id);
                }
            }
            TOKEN => {
                self.tokens.restore(Self::NAME, &key, json)?;
            }
            BUILD => {
                self.builds.restore(Self::NAME, &key, json)?;
            }
            TEMPLATE => {
                self.templates.restore(Self::NAME, &key, json)?;
            }
            _ => return Err(RowError::of(Self::NAME, &key, None)),
        }
        Ok(())
    }
}
