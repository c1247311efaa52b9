//! What applications may reserve: a change that would take more than the quota is refused.
//!
//! What is over a quota already stays, and may shrink: only growth past it is refused. A stopped application
//! reserves nothing until it is started. Two containers of a slot while one takes over from the other count once.
//!
//! Two applications that grow at the same time are two streams: neither append would see the other. What grows
//! under a cluster's quota therefore also takes the cluster's *turn to grow*, a name that moves from one
//! application to the next. It is taken at the version that the figures rest on, so that of two that grow at
//! once one is decided again.

use super::Application;
use crate::{
    planner::{bytes, cores},
    reject,
    view::{ClusterRow, SchedulerView},
};
use berth_events::{
    Category, NameClaimed, NameEvent, Quota, Rejection, RejectionKind, StreamName,
    spec::{ApplicationSpec, ServiceMode},
};
use berth_eventsourcing::Decision;
use berth_ids::{ApplicationId, ClusterId};

/// The name that moves.
const TURN: &str = "turn";

/// What containers reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    cpu_millis: u64,
    memory_bytes: u64,
    containers: u64,
}

/// The stream of a cluster's turn to grow.
pub(crate) fn turn_stream(cluster: ClusterId) -> StreamName {
    StreamName::name(format_args!("cluster/{cluster}/quota"), TURN)
}

/// The cluster whose turn to grow a stream is.
pub(crate) fn cluster_of_turn(stream: &StreamName) -> Option<ClusterId> {
    let (cluster, rest) = stream.key().strip_prefix("cluster/")?.split_once('/')?;
    let turn = rest.strip_prefix("quota/")? == TURN;
    cluster.parse().ok().filter(|_| turn)
}

/// Takes the turn to grow for an application: what its growth rests on must not have changed meanwhile.
pub(super) fn take_turn(
    mut decision: Decision,
    cluster: &ClusterRow,
    application: ApplicationId,
) -> Decision {
    let claimed = NameEvent::Claimed(NameClaimed {
        owner: application.to_string(),
    });
    let own = StreamName::new(Category::Cluster, cluster.cluster_id);
    if !decision.guards.iter().any(|guard| guard.stream == own) {
        decision = decision.guarded(own, cluster.version);
    }
    decision.with(turn_stream(cluster.cluster_id), cluster.turns, [claimed])
}

impl Amount {
    /// What an application reserves when all its containers run; a global service has one on each node.
    fn of(spec: &ApplicationSpec, nodes: u64) -> Self {
        let services = spec.services.values().map(|service| {
            let containers = match service.mode {
                ServiceMode::Replicated { replicas } => u64::from(replicas),
                ServiceMode::Global => nodes,
            };
            let resources = service.container.resources;
            Self {
                cpu_millis: resources.cpu_reserved_millis.saturating_mul(containers),
                memory_bytes: resources.memory_reserved_bytes.saturating_mul(containers),
                containers,
            }
        });
        services.fold(Self::default(), Self::plus)
    }

    const fn grows_from(self, was: Self) -> bool {
        self.cpu_millis > was.cpu_millis
            || self.memory_bytes > was.memory_bytes
            || self.containers > was.containers
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            containers: self.containers.saturating_add(other.containers),
        }
    }
}

/// Refuses a change that would let an application, or all of its cluster, reserve more than they may; whether it
/// takes more of what the cluster may reserve.
///
/// # Errors
/// The first quota that it would pass, with the figures.
pub(super) fn check(
    view: &SchedulerView,
    cluster: &ClusterRow,
    application: Option<ApplicationId>,
    before: &Application,
    after: &Application,
) -> Result<bool, Rejection> {
    let quotas = cluster.quotas;
    if quotas.cluster.is_none() && quotas.application.is_none() {
        return Ok(false);
    }
    let nodes = view.nodes_of(cluster.cluster_id).count() as u64;
    let (was, wanted) = (reserved(before, nodes), reserved(after, nodes));
    let name = &cluster.name;
    let of_application = Limited {
        what: "the application",
        by: format!("each application of cluster `{name}`"),
        option: "--app-quota",
        quota: quotas.application,
    };
    of_application.check(cluster, was, wanted)?;
    let others = view
        .applications_of(cluster.cluster_id)
        .filter(|row| Some(row.application_id) != application && !row.stopped && row.removing.is_none())
        .map(|row| Amount::of(&row.spec, nodes))
        .fold(Amount::default(), Amount::plus);
    let of_cluster = Limited {
        what: "all applications together",
        by: format!("cluster `{name}`"),
        option: "--quota",
        quota: quotas.cluster,
    };
    of_cluster.check(cluster, others.plus(was), others.plus(wanted))?;
    Ok(!quotas.cluster.is_none() && wanted.grows_from(was))
}

fn reserved(application: &Application, nodes: u64) -> Amount {
    if application.stopped || application.removing.is_some() || application.removed {
        return Amount::default();
    }
    Amount::of(&application.spec, nodes)
}

/// The limit of one thing, how much of it was and would be reserved, and how that is written.
type Part<'a> = (Option<u64>, u64, u64, &'a dyn Fn(u64) -> String);

/// Whom a quota limits.
struct Limited {
    what: &'static str,
    by: String,
    option: &'static str,
    quota: Quota,
}

impl Limited {
    fn check(&self, cluster: &ClusterRow, was: Amount, wanted: Amount) -> Result<(), Rejection> {
        let quota = self.quota;
        let parts: [Part<'_>; 3] = [
            (quota.cpu_millis, was.cpu_millis, wanted.cpu_millis, &cores),
            (
                quota.memory_bytes,
                was.memory_bytes,
                wanted.memory_bytes,
                &|amount| format!("{} of memory", bytes(amount)),
            ),
            (quota.containers, was.containers, wanted.containers, &|amount| {
                format!(
                    "{amount} {}",
                    if amount == 1 { "container" } else { "containers" }
                )
            }),
        ];
        for (most, was, wanted, shown) in parts {
            if let Some(most) = most
                && wanted > most
                && wanted > was
            {
                return Err(self.refusal(cluster, [was, wanted, most].map(shown)));
            }
        }
        Ok(())
    }

    fn refusal(&self, cluster: &ClusterRow, [was, wanted, most]: [String; 3]) -> Rejection {
        reject(
            RejectionKind::Conflict,
            "quota.exceeded",
            format!(
                "{} would reserve {wanted}: the quota of {} is {most}, and {was} are reserved now",
                self.what, self.by
            ),
            format!(
                "ask for less, or raise the quota: `berth cluster set {} {} …`",
                cluster.name, self.option
            ),
        )
    }
}

#[cfg(test)]
mod tests;
