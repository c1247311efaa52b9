//! What access-svc knows: tokens by hash, bus users, and which node's assignment names which secret.

use crate::{
    login::is_login,
    refusal::forbidden,
    rows::{AllocationRow, ApplicationRow, BuildRow, CredentialRow, Ownerless, SecretRow, TokenRow},
};
use berth_events::{
    AllocationEvent, ClusterEvent, CredentialEvent, Event, NodeEvent, PlacementDecided, PlacementEvent,
    Principal, Recorded, Rejection, Scope, SecretEvent, TokenEvent, TokenGrant,
    spec::{ContainerSpec, SecretRef, registry_of},
};
use berth_eventsourcing::{Index, RowError, RowKey, Rows, View};
use berth_ids::{AllocationId, ApplicationId, BuildId, ClusterId, NodeId, SecretId, Timestamp, TokenId};
use std::collections::{BTreeMap, BTreeSet};

const TOKEN: &str = "token";
const CREDENTIAL: &str = "credential";
const ALLOCATION: &str = "allocation";
pub(crate) const BUILD: &str = "build";
pub(crate) const SECRET: &str = "secret";
pub(crate) const APPLICATION: &str = "application";

/// All tokens, bus users, secrets' metadata and what assignments name of them.
#[derive(Debug, Clone, Default)]
pub struct AccessView {
    tokens: Rows<TokenId, TokenRow>,
    credentials: Rows<NodeId, CredentialRow>,
    pub(crate) allocations: Rows<AllocationId, AllocationRow>,
    pub(crate) builds: Rows<BuildId, BuildRow>,
    pub(crate) secrets: Rows<SecretId, SecretRow>,
    pub(crate) applications: Rows<ApplicationId, ApplicationRow>,
    by_hash: BTreeMap<String, TokenId>,
    allocations_of: Index<NodeId, AllocationId>,
}

impl AccessView {
    /// A token, if it was minted.
    pub fn token(&self, id: TokenId) -> Option<&TokenRow> {
        self.tokens.get(&id)
    }
    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenRow> {
        self.tokens.values()
    }
    /// A node's bus user, also a revoked one.
    pub fn credential(&self, node: NodeId) -> Option<&CredentialRow> {
        self.credentials.get(&node)
    }
    /// Every node's account on the bus: its cluster, and since when its users are refused.
    pub fn node_accounts(&self) -> BTreeMap<NodeId, (ClusterId, Option<Timestamp>)> {
        self.credentials
            .values()
            .map(|row| (row.node_id, (row.cluster_id, row.revoked_at)))
            .collect()
    }
    /// Nodes, with their tenants, that were removed and whose bus users are still good.
    pub fn to_be_revoked(&self) -> Vec<(NodeId, String)> {
        let due = |row: &&CredentialRow| row.node_removed && row.revoked_at.is_none();
        self.credentials
            .values()
            .filter(due)
            .map(|row| (row.node_id, row.tenant.clone()))
            .collect()
    }
    /// Whether a principal may see the values of a secret: one that may deploy in its cluster.
    ///
    /// # Errors
    /// [`Rejection`] says what is missing.
    pub fn may_see(
        &self,
        actor: &str,
        secret: SecretId,
        cluster: ClusterId,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let refused =
            |message: &str| forbidden("access.reveal_refused", message, "use a token that may deploy");
        let row = self
            .secrets
            .get(&secret)
            .filter(|row| row.cluster_id == cluster && !row.destroyed)
            .ok_or_else(|| refused("the cluster has no such secret"))?;
        let token = actor
            .strip_prefix("token:")
            .and_then(|id| id.parse::<TokenId>().ok())
            .and_then(|id| self.tokens.get(&id))
            .ok_or_else(|| refused("only the bearer of a token may see values"))?;
        let TokenGrant::Api { scopes, clusters } = &token.grant else {
            return Err(refused("a join token shows nothing"));
        };
        let alive = !token.revoked && token.expires_at.is_none_or(|end| end > now);
        let here = token.tenant == row.tenant && (clusters.is_empty() || clusters.contains(&cluster));
        if alive && here && (scopes.contains(&Scope::Admin) || scopes.contains(&Scope::Deploy)) {
            return Ok(());
        }
        Err(refused("the token may not deploy in this cluster"))
    }
    /// A secret's metadata.
    pub fn secret(&self, id: SecretId) -> Option<&SecretRow> {
        self.secrets.get(&id)
    }

    /// Who the bearer of an API token is.
    ///
    /// # Errors
    /// [`Rejection`] if no token has this hash, or it opens nothing any more.
    pub fn authenticate(&self, hash: &str, now: Timestamp) -> Result<Principal, Rejection> {
        let wrong = || {
            forbidden(
                "access.token_wrong",
                "the token is not known",
                "log in with a valid token",
            )
        };
        let token = self
            .by_hash
            .get(hash)
            .and_then(|id| self.tokens.get(id))
            .ok_or_else(wrong)?;
        let TokenGrant::Api { scopes, clusters } = &token.grant else {
            return Err(wrong());
        };
        if token.revoked {
            return Err(forbidden(
                "access.token_revoked",
                "the token was revoked",
                "mint a new one",
            ));
        }
        if let Some(end) = token.expires_at.filter(|end| *end <= now) {
            let message = format!("the token expired at {end}");
            return Err(forbidden("access.token_expired", &message, "mint a new one"));
        }
        Ok(Principal {
            actor: format!("token:{}", token.token_id),
            tenant: token.tenant.clone(),
            scopes: scopes.clone(),
            clusters: clusters.clone(),
        })
    }

    /// Whether an allocation of the node's assignment names all these secret versions.
    ///
    /// # Errors
    /// [`Rejection`] names the first that it does not.
    pub fn may_have(
        &self,
        node: NodeId,
        allocation: AllocationId,
        wanted: &BTreeSet<SecretRef>,
    ) -> Result<(), Rejection> {
        let refused = |message: &str| {
            forbidden(
                "access.secret_not_assigned",
                message,
                "ask again when the node's assignment has changed",
            )
        };
        let row = self
            .allocations
            .get(&allocation)
            .filter(|row| row.node_id == node)
            .ok_or_else(|| refused("the allocation is not in the node's assignment"))?;
        let foreign = wanted
            .iter()
            .find(|want| !row.secrets.contains(&(want.secret_id, want.version)));
        match foreign {
            None => Ok(()),
            Some(want) => Err(refused(&format!(
                "secret {}@{} is not named by the allocation",
                want.secret_id, want.version
            ))),
        }
    }

    fn on_token(&mut self, recorded: &Recorded, event: &TokenEvent) -> Vec<RowKey> {
        if let TokenEvent::Minted(minted) = event {
            let row = TokenRow {
                token_id: minted.token_id,
                tenant: recorded.tenant.to_string(),
                grant: minted.grant.clone(),
                hash: minted.hash.clone(),
                label: minted.label.clone(),
                expires_at: minted.expires_at,
                minted_at: recorded.recorded_at,
                uses: BTreeSet::new(),
                revoked: false,
            };
            self.by_hash.insert(row.hash.clone(), row.token_id);
            self.tokens.insert(row.token_id, row);
            return vec![RowKey::new(TOKEN, minted.token_id)];
        }
        let Ok(id) = recorded.stream.key().parse::<TokenId>() else {
            return vec![];
        };
        let Some(row) = self.tokens.get_mut(&id) else {
            return vec![];
        };
        match event {
            TokenEvent::Minted(_) => {}
            TokenEvent::Used(used) => {
                row.uses.insert(used.node_id);
            }
            TokenEvent::Revoked(_) => row.revoked = true,
        }
        vec![RowKey::new(TOKEN, id)]
    }

    fn on_credential(&mut self, recorded: &Recorded, event: &CredentialEvent) -> Vec<RowKey> {
        let id = match event {
            CredentialEvent::Issued(issued) => {
                let row = CredentialRow {
                    node_id: issued.node_id,
                    tenant: recorded.tenant.to_string(),
                    cluster_id: issued.cluster_id,
                    user_key: issued.user_key.clone(),
                    sealing_key: issued.sealing_key.clone(),
                    node_removed: false,
                    revoked_at: None,
                };
                self.credentials.insert(issued.node_id, row);
                issued.node_id
            }
            CredentialEvent::Revoked(_) => {
                let Ok(id) = recorded.stream.key().parse::<NodeId>() else {
                    return vec![];
                };
                if let Some(row) = self.credentials.get_mut(&id) {
                    row.revoked_at = Some(recorded.recorded_at);
                }
                id
            }
        };
        vec![RowKey::new(CREDENTIAL, id)]
    }

    fn on_secret(&mut self, recorded: &Recorded, event: &SecretEvent) -> Vec<RowKey> {
        let id = match event {
            SecretEvent::VersionStored(stored) => {
                let alone = Ownerless {
                    since: recorded.recorded_at,
                    removed: false,
                };
                let owned = is_login(&stored.scope) || self.has_owner(stored.cluster_id, &stored.scope);
                let row = SecretRow {
                    secret_id: stored.secret_id,
                    tenant: recorded.tenant.to_string(),
                    cluster_id: stored.cluster_id,
                    scope: stored.scope.clone(),
                    version: stored.version,
                    stored_at: recorded.recorded_at,
                    stored_by: recorded.meta().actor,
                    destroyed: false,
                    ownerless: (!owned).then_some(alone),
                };
                self.secrets.insert(stored.secret_id, row);
                stored.secret_id
            }
            SecretEvent::Destroyed(_) => {
                let Ok(id) = recorded.stream.key().parse::<SecretId>() else {
                    return vec![];
                };
                if let Some(row) = self.secrets.get_mut(&id) {
                    row.destroyed = true;
                }
                id
            }
        };
        vec![RowKey::new(SECRET, id)]
    }

    /// The change of an assignment: what is placed names its secrets, what is stopped names none any more.
    fn on_decided(&mut self, decided: &PlacementDecided) -> Vec<RowKey> {
        let mut keys = Vec::new();
        for placed in &decided.place {
            let container = decided.containers.get(&placed.spec_hash);
            let row = AllocationRow {
                node_id: decided.node_id,
                secrets: container.map(ContainerSpec::secrets).unwrap_or_default(),
                registry: container.map_or_else(String::new, |spec| registry_of(&spec.image).to_owned()),
            };
            self.allocations.insert(placed.allocation_id, row);
            self.allocations_of.add(decided.node_id, placed.allocation_id);
            keys.push(RowKey::new(ALLOCATION, placed.allocation_id));
        }
        for stop in &decided.stop {
            keys.extend(self.forget(stop.allocation_id));
        }
        keys
    }

    fn forget(&mut self, id: AllocationId) -> Option<RowKey> {
        let row = self.allocations.remove(&id)?;
        self.allocations_of.take(&row.node_id, &id);
        Some(RowKey::new(ALLOCATION, id))
    }

    fn on_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Vec<RowKey> {
        let (NodeEvent::Removed(_), Ok(node)) = (event, recorded.stream.key().parse::<NodeId>()) else {
            return vec![];
        };
        let gone: Vec<AllocationId> = self.allocations_of.of(&node).copied().collect();
        let mut keys: Vec<RowKey> = gone.into_iter().filter_map(|id| self.forget(id)).collect();
        if let Some(row) = self.credentials.get_mut(&node) {
            row.node_removed = true;
            keys.push(RowKey::new(CREDENTIAL, node));
        }
        keys
    }
}

impl View for AccessView {
    const NAME: &'static str = "access";
    const VERSION: u32 = 4;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        match event {
            Event::Token(event) => self.on_token(recorded, event),
            Event::Credential(event) => self.on_credential(recorded, event),
            Event::Secret(event) => self.on_secret(recorded, event),
            Event::Application(event) => self.on_application(recorded, event),
            Event::Placement(PlacementEvent::Decided(decided)) => self.on_decided(decided),
            Event::Allocation(AllocationEvent::Removed(removed)) => {
                self.forget(removed.allocation_id).into_iter().collect()
            }
            Event::Build(event) => self.on_build(recorded, event),
            Event::Node(event) => self.on_node(recorded, event),
            Event::Cluster(ClusterEvent::Deleted(_)) => self.on_cluster_deleted(recorded),
            Event::Placement(_)
            | Event::Allocation(_)
            | Event::Cluster(_)
            | Event::Name(_)
            | Event::Account(_)
            | Event::Template(_)
            | Event::Platform(_) => vec![],
        }
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        match key.kind.as_str() {
            TOKEN => self.tokens.text(&key.key),
            CREDENTIAL => self.credentials.text(&key.key),
            ALLOCATION => self.allocations.text(&key.key),
            BUILD => self.builds.text(&key.key),
            SECRET => self.secrets.text(&key.key),
            APPLICATION => self.applications.text(&key.key),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        match key.kind.as_str() {
            TOKEN => {
                let (id, row) = self.tokens.restore(Self::NAME, &key, json)?;
                self.by_hash.insert(row.hash.clone(), id);
            }
            CREDENTIAL => {
                self.credentials.restore(Self::NAME, &key, json)?;
            }
            ALLOCATION => {
                let (id, row) = self.allocations.restore(Self::NAME, &key, json)?;
                self.allocations_of.add(row.node_id, id);
            }
            BUILD => {
                self.builds.restore(Self::NAME, &key, json)?;
            }
            SECRET => {
                self.secrets.restore(Self::NAME, &key, json)?;
            }
            APPLICATION => {
                self.applications.restore(Self::NAME, &key, json)?;
            }
            _ => return Err(RowError::of(Self::NAME, &key, None)),
        }
        Ok(())
    }
}
