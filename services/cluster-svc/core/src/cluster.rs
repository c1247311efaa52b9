//! The rules of one cluster, `cluster/<id>`.

use crate::refusal::{conflict, invalid, not_found};
use berth_events::{
    ClusterCreated, ClusterDeleteRequested, ClusterDeleted, ClusterEvent, ClusterQuotasChanged,
    ClusterRenamed, ClusterSettingsChanged, Quota, Quotas, Rejection, SecurityPolicy, spec::Strategy,
};
use berth_eventsourcing::Aggregate;
use berth_ids::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest name of a region or zone, in bytes.
const MAX_PLACE_BYTES: usize = 63;

/// Where a cluster is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Lifecycle {
    /// Never created.
    #[default]
    Absent,
    /// There.
    Active,
    /// Being deleted.
    Deleting {
        /// Applications go with it.
        force: bool,
    },
    /// Gone.
    Deleted,
}

/// What the events of a cluster add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Its name.
    pub name: Option<Name>,
    /// Zones that nodes may name; empty: any.
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
    /// What its applications may reserve.
    pub quotas: Quotas,
}

/// New settings of a cluster; what is absent stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewSettings {
    /// Policy.
    pub policy: Option<SecurityPolicy>,
    /// Strategy.
    pub strategy: Option<Strategy>,
    /// Quota of all applications together.
    pub quota: Option<Quota>,
    /// Quota of each application.
    pub application_quota: Option<Quota>,
}

/// What a cluster can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAction {
    /// Come into being.
    Create(ClusterCreated),
    /// Take another name.
    Rename {
        /// The new name.
        name: Name,
    },
    /// Change policy, strategy or quotas.
    ChangeSettings(NewSettings),
    /// Begin to be deleted.
    Delete {
        /// Applications go with it.
        force: bool,
        /// Applications that it has.
        applications: usize,
    },
    /// Be gone.
    FinishDelete {
        /// Applications that it still has.
        applications: usize,
        /// Nodes that it still has.
        nodes: usize,
    },
}

/// The rules of one cluster.
#[derive(Debug)]
pub struct ClusterAggregate;

impl Aggregate for ClusterAggregate {
    type State = Cluster;
    type Command = ClusterAction;
    type Event = ClusterEvent;
    type Error = Rejection;

    fn decide(cluster: &Cluster, action: &ClusterAction) -> Result<Vec<ClusterEvent>, Rejection> {
        match action {
            ClusterAction::Create(created) => create(cluster, created),
            ClusterAction::Rename { name } => rename(cluster, name),
            ClusterAction::ChangeSettings(settings) => change(cluster, settings),
            ClusterAction::Delete { force, applications } => delete(cluster, *force, *applications),
            ClusterAction::FinishDelete { applications, nodes } => {
                finish_delete(cluster, *applications, *nodes)
            }
        }
    }

    fn evolve(mut cluster: Cluster, event: &ClusterEvent) -> Cluster {
        match event {
            ClusterEvent::Created(created) => {
                cluster.lifecycle = Lifecycle::Active;
                cluster.name = Some(created.name.clone());
                cluster.zones = created.zones.clone();
                cluster.policy = created.policy;
                cluster.strategy = created.strategy;
            }
            ClusterEvent::Renamed(renamed) => cluster.name = Some(renamed.name.clone()),
            ClusterEvent::SettingsChanged(changed) => {
                cluster.policy = changed.policy;
                cluster.strategy = changed.strategy;
            }
            ClusterEvent::QuotasChanged(changed) => cluster.quotas = changed.quotas,
            ClusterEvent::DeleteRequested(request) => {
                cluster.lifecycle = Lifecycle::Deleting { force: request.force };
            }
            ClusterEvent::Deleted(_) => cluster.lifecycle = Lifecycle::Deleted,
        }
        cluster
    }
}

fn create(cluster: &Cluster, created: &ClusterCreated) -> Result<Vec<ClusterEvent>, Rejection> {
    match cluster.lifecycle {
        Lifecycle::Absent => {
            check_place("region", &created.region)?;
            created
                .zones
                .iter()
                .try_for_each(|zone| check_place("zone", zone))?;
            Ok(vec![ClusterEvent::Created(created.clone())])
        }
        Lifecycle::Active | Lifecycle::Deleting { .. } | Lifecycle::Deleted => Err(conflict(
            "cluster.exists",
            format!("cluster {} was created before", created.cluster_id),
            "use a new id",
        )),
    }
}

fn rename(cluster: &Cluster, name: &Name) -> Result<Vec<ClusterEvent>, Rejection> {
    active(cluster)?;
    match &cluster.name {
        Some(previous) if previous != name => Ok(vec![ClusterEvent::Renamed(ClusterRenamed {
            name: name.clone(),
            previous: previous.clone(),
        })]),
        Some(_) | None => Ok(vec![]),
    }
}

fn change(cluster: &Cluster, new: &NewSettings) -> Result<Vec<ClusterEvent>, Rejection> {
    active(cluster)?;
    let wanted = ClusterSettingsChanged {
        policy: new.policy.unwrap_or(cluster.policy),
        strategy: new.strategy.unwrap_or(cluster.strategy),
    };
    let quotas = Quotas {
        cluster: new.quota.unwrap_or(cluster.quotas.cluster),
        application: new.application_quota.unwrap_or(cluster.quotas.application),
    };
    let mut events = Vec::new();
    if wanted.policy != cluster.policy || wanted.strategy != cluster.strategy {
        events.push(ClusterEvent::SettingsChanged(wanted));
    }
    if quotas != cluster.quotas {
        events.push(ClusterEvent::QuotasChanged(ClusterQuotasChanged { quotas }));
    }
    Ok(events)
}

fn delete(cluster: &Cluster, force: bool, applications: usize) -> Result<Vec<ClusterEvent>, Rejection> {
    let requested = || vec![ClusterEvent::DeleteRequested(ClusterDeleteRequested { force })];
    match cluster.lifecycle {
        Lifecycle::Active if applications > 0 && !force => Err(conflict(
            "cluster.has_applications",
            format!("the cluster has {applications} application(s)"),
            "remove them first, or force the deletion, which removes them with it",
        )),
        Lifecycle::Active => Ok(requested()),
        // Asked again, now with force.
        Lifecycle::Deleting { force: false } if force => Ok(requested()),
        Lifecycle::Deleting { .. } | Lifecycle::Deleted => Ok(vec![]),
        Lifecycle::Absent => Err(unknown()),
    }
}

fn finish_delete(
    cluster: &Cluster,
    applications: usize,
    nodes: usize,
) -> Result<Vec<ClusterEvent>, Rejection> {
    match cluster.lifecycle {
        Lifecycle::Deleting { .. } if applications == 0 && nodes == 0 => {
            Ok(vec![ClusterEvent::Deleted(ClusterDeleted {})])
        }
        Lifecycle::Deleting { .. } => Err(conflict(
            "cluster.not_empty",
            format!("the cluster still has {applications} application(s) and {nodes} node(s)"),
            "wait until they are removed",
        )),
        Lifecycle::Deleted => Ok(vec![]),
        Lifecycle::Active => Err(conflict(
            "cluster.not_deleting",
            "nobody asked for the deletion of the cluster".to_owned(),
            "delete it first",
        )),
        Lifecycle::Absent => Err(unknown()),
    }
}

/// The cluster is there and is not being deleted.
pub(crate) fn active(cluster: &Cluster) -> Result<(), Rejection> {
    match cluster.lifecycle {
        Lifecycle::Active => Ok(()),
        Lifecycle::Deleting { .. } => Err(conflict(
            "cluster.deleting",
            "the cluster is being deleted".to_owned(),
            "create another cluster",
        )),
        Lifecycle::Absent | Lifecycle::Deleted => Err(unknown()),
    }
}

/// Nobody created it, or it is gone.
pub(crate) fn unknown() -> Rejection {
    not_found("cluster.unknown", "there is no such cluster".to_owned())
}

/// A region or zone has a name that fits labels and subjects.
pub(crate) fn check_place(what: &str, text: &str) -> Result<(), Rejection> {
    let fine = !text.is_empty()
        && text.len() <= MAX_PLACE_BYTES
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fine {
        return Ok(());
    }
    Err(invalid(
        "place.invalid",
        format!("`{text}` is no name of a {what}"),
        "use 1 to 63 letters, digits, `-`, `_` and `.`",
    ))
}
