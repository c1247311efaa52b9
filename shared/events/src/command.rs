//! Commands: what a service is asked to decide. They travel on `cmd.<service>.<verb>.<cluster>`.

use crate::{NodeFacts, Quota, SchedulerCommand, SecurityPolicy, TokenGrant, spec::Strategy};
use berth_ids::{AccountId, ClusterId, CommandId, CorrelationId, Name, NodeId, SecretId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the envelope that this release writes.
pub const COMMAND_VERSION: u16 = 1;

/// A command on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// [`COMMAND_VERSION`].
    pub version: u16,
    /// Key of idempotency: `uuid5(principal, key)` or `uuid5(event, reactor, n)`.
    pub command_id: CommandId,
    /// Account that owns what is changed.
    pub tenant: String,
    /// Principal, as in [`crate::Meta::actor`].
    pub actor: String,
    /// Ties everything together that one request caused.
    pub correlation_id: CorrelationId,
    /// When the sender made it; the decision's clock.
    pub issued_at: Timestamp,
    /// SHA-256 of the request behind it, hexadecimal: the same id with another hash is refused.
    pub request_hash: String,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What is asked.
    pub body: CommandBody,
}

/// What is asked, by the service that decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "service", content = "command")]
pub enum CommandBody {
    /// To cluster-svc.
    Cluster(ClusterCommand),
    /// To scheduler-svc.
    Scheduler(SchedulerCommand),
    /// To access-svc.
    Access(AccessCommand),
}

/// Asked of cluster-svc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum ClusterCommand {
    /// Make a cluster.
    CreateCluster {
        /// Id, if it becomes one.
        cluster_id: ClusterId,
        /// Name, unique in the tenant.
        name: Name,
        /// Region name.
        region: String,
        /// Zone names; empty: any.
        zones: BTreeSet<String>,
        /// What deploys may ask of nodes.
        policy: SecurityPolicy,
        /// How nodes are preferred.
        strategy: Strategy,
    },
    /// Give it another name.
    RenameCluster {
        /// The cluster.
        cluster_id: ClusterId,
        /// The new name.
        name: Name,
        /// Refuse unless the cluster is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Change policy, strategy or quotas.
    ChangeSettings {
        /// The cluster.
        cluster_id: ClusterId,
        /// New policy, if it changes.
        policy: Option<SecurityPolicy>,
        /// New strategy, if it changes.
        strategy: Option<Strategy>,
        /// New quota of all applications together, if it changes.
        #[serde(default)]
        quota: Option<Quota>,
        /// New quota of each application, if it changes.
        #[serde(default)]
        application_quota: Option<Quota>,
        /// Refuse unless the cluster is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Delete it; refused while it has applications unless forced.
    DeleteCluster {
        /// The cluster.
        cluster_id: ClusterId,
        /// Remove applications and nodes with it.
        force: bool,
    },
    /// Finish a deletion (sent by cluster-svc's own reconciler).
    FinishDelete {
        /// The cluster.
        cluster_id: ClusterId,
    },
    /// Make a server a node.
    JoinNode {
        /// Id, if it becomes one.
        node_id: NodeId,
        /// The cluster.
        cluster_id: ClusterId,
        /// Name, unique in the cluster; absent: the host name, with a number if it is taken.
        name: Option<Name>,
        /// Zone; absent: `default`.
        zone: Option<String>,
        /// Address by which other nodes reach it.
        address: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Countable resources, by kind.
        #[serde(default)]
        resources: BTreeMap<String, u64>,
        /// What the agent measured.
        facts: NodeFacts,
    },
    /// Change labels given by people.
    LabelNode {
        /// The node.
        node_id: NodeId,
        /// Set or overwrite.
        set: BTreeMap<String, String>,
        /// Take away.
        remove: BTreeSet<String>,
        /// Refuse unless the node is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Change the countable resources that people have named.
    SetResources {
        /// The node.
        node_id: NodeId,
        /// Set or overwrite, by kind.
        set: BTreeMap<String, u64>,
        /// Take away: what the engine names counts again.
        remove: BTreeSet<String>,
        /// Refuse unless the node is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Place nothing new on it.
    CordonNode {
        /// The node.
        node_id: NodeId,
        /// Why.
        reason: String,
    },
    /// Place on it again.
    UncordonNode {
        /// The node.
        node_id: NodeId,
    },
    /// Move containers away from it.
    DrainNode {
        /// The node.
        node_id: NodeId,
        /// When what is left is reported.
        deadline_at: Timestamp,
        /// At the deadline, stop what could not be moved.
        force: bool,
    },
    /// Record that a drain has ended (sent by scheduler-svc, which knows what is left).
    SettleDrain {
        /// The node.
        node_id: NodeId,
        /// Containers left.
        remaining: u32,
    },
    /// Take it out of the cluster; refused while containers are on it unless forced.
    RemoveNode {
        /// The node.
        node_id: NodeId,
        /// Although containers are on it.
        force: bool,
    },
    /// Its heartbeat fell silent (sent by monitor-svc).
    MarkLost {
        /// The node.
        node_id: NodeId,
        /// For how long.
        silent_ms: u64,
    },
    /// Its heartbeat is heard again (sent by monitor-svc).
    MarkReturned {
        /// The node.
        node_id: NodeId,
    },
}

/// Asked of access-svc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum AccessCommand {
    /// Make the first account and the root token, once.
    Bootstrap {
        /// The account.
        account_id: AccountId,
        /// The root token.
        token_id: TokenId,
        /// SHA-256 of its secret, hexadecimal.
        hash: String,
    },
    /// Make a token; the caller keeps the secret.
    MintToken {
        /// The token.
        token_id: TokenId,
        /// What it opens.
        grant: TokenGrant,
        /// SHA-256 of its secret, hexadecimal.
        hash: String,
        /// A word for people.
        label: String,
        /// After this it opens nothing.
        expires_at: Option<Timestamp>,
    },
    /// Make a token open nothing.
    RevokeToken {
        /// The token.
        token_id: TokenId,
    },
    /// Use a join token for a server and give its agent a bus user. Answers [`crate::JoinGrant`].
    RedeemJoin {
        /// The token.
        token_id: TokenId,
        /// SHA-256 of the presented secret, hexadecimal.
        hash: String,
        /// Id of the node to be.
        node_id: NodeId,
        /// Public nkey of its bus user.
        user_key: String,
        /// Public curve key for secrets.
        sealing_key: String,
    },
    /// Refuse a node's bus user (sent by cluster-svc when it removes the node).
    RevokeCredential {
        /// The node.
        node_id: NodeId,
    },
    /// Destroy the stored login of a registry.
    ForgetLogin {
        /// The cluster.
        cluster_id: ClusterId,
        /// The secret that holds it.
        secret_id: SecretId,
    },
}

impl CommandBody {
    /// Service that decides it.
    pub const fn service(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "cluster",
            Self::Scheduler(_) => "scheduler",
            Self::Access(_) => "access",
        }
    }

    /// Verb, for the subject and for people.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Cluster(command) => command.verb(),
            Self::Scheduler(command) => command.verb(),
            Self::Access(command) => command.verb(),
        }
    }
}

impl ClusterCommand {
    /// Verb, for the subject and for people.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::CreateCluster { .. } => "create_cluster",
            Self::RenameCluster { .. } => "rename_cluster",
            Self::ChangeSettings { .. } => "change_settings",
            Self::DeleteCluster { .. } => "delete_cluster",
            Self::FinishDelete { .. } => "finish_delete",
            Self::JoinNode { .. } => "join_node",
            Self::LabelNode { .. } => "label_node",
            Self::SetResources { .. } => "set_resources",
            Self::CordonNode { .. } => "cordon_node",
            Self::UncordonNode { .. } => "uncordon_node",
            Self::DrainNode { .. } => "drain_node",
            Self::SettleDrain { .. } => "settle_drain",
            Self::RemoveNode { .. } => "remove_node",
            Self::MarkLost { .. } => "mark_lost",
            Self::MarkReturned { .. } => "mark_returned",
        }
    }
}

impl AccessCommand {
    /// Verb, for the subject and for people.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Bootstrap { .. } => "bootstrap",
            Self::MintToken { .. } => "mint_token",
            Self::RevokeToken { .. } => "revoke_token",
            Self::RedeemJoin { .. } => "redeem_join",
            Self::RevokeCredential { .. } => "revoke_credential",
            Self::ForgetLogin { .. } => "forget_login",
        }
    }
}
