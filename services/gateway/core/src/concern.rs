//! What an event is about, for filters and for what a caller may see.

use crate::{Access, ApiView};
use berth_events::{
    ApplicationEvent, Category, CredentialEvent, Event, NodeEvent, PlacementEvent, Recorded, SecretEvent,
    TokenEvent, TokenGrant,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::collections::BTreeSet;

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// About this cluster.
    pub cluster: Option<ClusterId>,
    /// About this node.
    pub node: Option<NodeId>,
    /// About this application.
    pub application: Option<ApplicationId>,
    /// About this container.
    pub allocation: Option<AllocationId>,
    /// Of one stream.
    pub stream: Option<String>,
    /// Of these types; one that ends with `.` or `.*` takes all that begin so.
    pub types: BTreeSet<String>,
}

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Concern {
    cluster: Option<ClusterId>,
    node: Option<NodeId>,
    applications: BTreeSet<ApplicationId>,
    allocations: BTreeSet<AllocationId>,
}

impl EventFilter {
    fn takes_type(&self, name: &str) -> bool {
        self.types.is_empty()
            || self.types.iter().any(|wanted| {
                let wanted = wanted.strip_suffix('*').unwrap_or(wanted);
                if wanted.is_empty() || wanted.ends_with('.') {
                    name.starts_with(wanted)
                } else {
                    name == wanted
                }
            })
    }

    fn about_an_object(&self) -> bool {
        self.cluster.is_some()
            || self.node.is_some()
            || self.application.is_some()
            || self.allocation.is_some()
    }

    /// Whether an event is wanted.
    pub fn takes(&self, view: &ApiView, recorded: &Recorded) -> bool {
        if !self.takes_type(&recorded.type_name)
            || self
                .stream
                .as_ref()
                .is_some_and(|stream| stream != recorded.stream.as_str())
        {
            return false;
        }
        if !self.about_an_object() {
            return true;
        }
        let concern = view.concern(recorded);
        self.cluster.is_none_or(|id| concern.cluster == Some(id))
            && self.node.is_none_or(|id| concern.node == Some(id))
            && self
                .application
                .is_none_or(|id| concern.applications.contains(&id))
            && self.allocation.is_none_or(|id| concern.allocations.contains(&id))
    }
}

impl ApiView {
    /// Whether the caller may see an event, as far as the view knows what it is about.
    pub fn sees_event(&self, access: &Access, recorded: &Recorded) -> bool {
        *recorded.tenant == *access.tenant
            && (!access.confined()
                || self
                    .concern(recorded)
                    .cluster
                    .is_some_and(|cluster| access.names(cluster)))
    }

    fn concern(&self, recorded: &Recorded) -> Concern {
        let Ok(event) = recorded.event() else {
            return Concern::default();
        };
        let key = recorded.stream.key().split('/').next().unwrap_or_default();
        let mut concern = self.concern_of_stream(recorded.stream.category(), key);
        match &event {
            Event::Node(NodeEvent::Joined(joined)) => concern.cluster = Some(joined.cluster_id),
            Event::Application(ApplicationEvent::Created(created)) => {
                concern.cluster = Some(created.cluster_id);
            }
            Event::Placement(PlacementEvent::Decided(decided)) => {
                concern.cluster = Some(decided.cluster_id);
                concern.node = Some(decided.node_id);
                let stopped = decided.stop.iter().map(|order| order.allocation_id);
                for id in stopped {
                    self.add_allocation(&mut concern, id);
                }
                for placed in &decided.place {
                    concern.applications.insert(placed.application_id);
                    concern.allocations.insert(placed.allocation_id);
                }
            }
            Event::Placement(PlacementEvent::Blocked(blocked)) => {
                concern.cluster = Some(blocked.cluster_id);
                concern.applications.insert(blocked.application_id);
            }
            Event::Allocation(event) => {
                if let Some(id) = crate::allocation::of(event) {
                    self.add_allocation(&mut concern, id);
                }
            }
            Event::Token(TokenEvent::Minted(minted)) => concern.cluster = cluster_of_grant(&minted.grant),
            Event::Credential(CredentialEvent::Issued(issued)) => {
                concern.cluster = Some(issued.cluster_id);
                concern.node = Some(issued.node_id);
            }
            Event::Secret(SecretEvent::VersionStored(stored)) => concern.cluster = Some(stored.cluster_id),
            _ => {}
        }
        concern
    }

    fn concern_of_stream(&self, category: Category, key: &str) -> Concern {
        let mut concern = Concern::default();
        match category {
            Category::Cluster | Category::Placement => concern.cluster = key.parse().ok(),
            Category::Node | Category::Allocation => {
                concern.node = key.parse().ok();
                let node = concern.node.and_then(|id| self.nodes.get(&id));
                concern.cluster = node.map(|row| row.cluster_id);
            }
            Category::Application => {
                if let Ok(id) = key.parse::<ApplicationId>() {
                    concern.applications.insert(id);
                    concern.cluster = self.applications.get(&id).map(|row| row.cluster_id);
                }
            }
            Category::Token => {
                let token = key.parse().ok().and_then(|id| self.tokens.get(&id));
                concern.cluster = token.and_then(|row| cluster_of_grant(&row.grant));
            }
            Category::Build => {
                let row = key.parse().ok().and_then(|id| self.builds.get(&id));
                concern.cluster = row.map(|row| row.cluster_id);
                concern.node = row.map(|row| row.node_id);
            }
            Category::Name
            | Category::Account
            | Category::Credential
            | Category::Secret
            | Category::Template
            | Category::Platform => {}
        }
        concern
    }

    fn add_allocation(&self, concern: &mut Concern, id: AllocationId) {
        concern.allocations.insert(id);
        if let Some(row) = self.allocations.get(&id) {
            concern.applications.insert(row.application_id);
            concern.cluster = Some(row.cluster_id);
        }
    }
}

fn cluster_of_grant(grant: &TokenGrant) -> Option<ClusterId> {
    match grant {
        TokenGrant::Join { cluster_id, .. } => Some(*cluster_id),
        TokenGrant::Api { .. } => None,
    }
}
