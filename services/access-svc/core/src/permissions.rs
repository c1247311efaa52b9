//! Who may say and hear what on the bus: least right, one list a service and one an agent.
//!
//! `docs/contracts.md` says who sends what; a contract test tries what is not listed here.

use berth_ids::{ClusterId, NodeId};

/// Services that have a bus user.
pub const SERVICES: &[&str] = &[
    "ledger",
    "gateway",
    "cluster",
    "scheduler",
    "access",
    "lb",
    "log",
    "monitor",
];

/// Services that send commands and wait for the answer on their own inbox.
const COMMANDERS: &[&str] = &["gateway", "cluster", "scheduler", "access", "monitor"];
/// Readers of the log that a service can have at the same time, over all its instances: two an instance (its view,
/// and the gateway's live events).
pub const LOG_READERS: u8 = 8;
/// Streams that the ledger makes and keeps.
const STREAMS: &[&str] = &["EVT", "CMD", "RPT", "DOC", "ADV", "LOGS", "MET"];

/// What a user may publish and subscribe to; nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects that it may publish to.
    pub publish: Vec<String>,
    /// Subjects that it may subscribe to.
    pub subscribe: Vec<String>,
    /// It may answer, once, to the reply subject of what it receives.
    pub responds: bool,
}

impl Permissions {
    fn may_publish<S: Into<String>>(mut self, subjects: impl IntoIterator<Item = S>) -> Self {
        self.publish.extend(subjects.into_iter().map(Into::into));
        self
    }
    fn may_subscribe<S: Into<String>>(mut self, subjects: impl IntoIterator<Item = S>) -> Self {
        self.subscribe.extend(subjects.into_iter().map(Into::into));
        self
    }
}

/// The prefix of an agent's inbox: its bus user is called like its node.
pub fn agent_inbox(node: NodeId) -> String {
    format!("_INBOX.{node}")
}

/// The consumer by which a service reads the log.
pub fn log_reader(service: &str, number: u8) -> String {
    format!("{service}-{number}")
}

/// What an agent may do: hear of its own node and cluster, speak as its own node.
///
/// It asks what an agent has to ask and nothing else: other questions read their key as a cluster or take the
/// asker's word for who asks. Its account imports exactly these subjects (`shares.rs`), so they are disjoint, as
/// NATS wants imports to be. Nothing below `$JS.>` but reading the last of its own placements and of its cluster's documents.
pub fn agent_permissions(node: NodeId, cluster: ClusterId) -> Permissions {
    let own_documents = [
        format!("doc.{cluster}.*.*"),
        format!("doc.{cluster}.endpoints.*.*"),
        format!("doc.{cluster}.node.{node}.*"),
    ];
    Permissions::default()
        .may_subscribe([
            format!("evt.*.placement.{node}"),
            format!("ctl.{node}.>"),
            format!("term.{node}.*.in"),
            format!("{}.>", agent_inbox(node)),
        ])
        .may_subscribe(own_documents.clone())
        .may_publish([
            format!("rpt.*.{node}"),
            format!("hb.{node}"),
            format!("log.{cluster}.{node}"),
            format!("met.{cluster}.{node}"),
            format!("q.scheduler.assignment.{node}"),
            format!("q.access.secret.{node}"),
            format!("q.access.renew.{node}"),
            format!("term.{node}.*.out"),
            format!("$JS.API.DIRECT.GET.EVT.evt.*.placement.{node}"),
        ])
        .may_publish(
            own_documents
                .iter()
                .map(|subject| format!("$JS.API.DIRECT.GET.DOC.{subject}")),
        )
}

/// What a service may do; nothing for a name that is no service.
pub fn service_permissions(service: &str) -> Permissions {
    if !SERVICES.contains(&service) {
        return Permissions::default();
    }
    let common = Permissions {
        responds: true,
        ..Permissions::default()
    }
    .may_subscribe([format!("_INBOX.{service}.>"), format!("q.{service}.>")])
    .may_publish(["q.ledger.head.*", "q.ledger.command.*"])
    .may_publish(follow_log(service));
    match service {
        "ledger" => ledger(common),
        "gateway" => gateway(common),
        "cluster" => cluster(decides(common, service)),
        "scheduler" => scheduler(decides(common, service)),
        "access" => decides(common, service),
        "lb" => common
            .may_publish(["led.append.lb", "doc.*.endpoints.>"])
            .may_publish(["$JS.API.DIRECT.GET.DOC.doc.*.endpoints.>"]),
        "log" => common.may_publish(["led.append.log", "ctl.*.logs"]),
        "monitor" => monitor(common),
        _ => Permissions::default(),
    }
}

/// Reading the stream of facts by a consumer of its own, which is made, read and dropped. Names of consumers
/// are one token, so they cannot be granted by a pattern: a service has so many, for all its instances.
fn follow_log(service: &str) -> impl Iterator<Item = String> {
    let names = (0..LOG_READERS).map(move |number| log_reader(service, number));
    names.flat_map(|name| {
        ["CREATE", "DELETE", "MSG.NEXT"].map(|verb| format!("$JS.API.CONSUMER.{verb}.EVT.{name}"))
    })
}

/// Taking messages of a work-queue by a durable consumer.
fn take_from(stream: &str, durable: &str, filter: &str) -> Vec<String> {
    vec![
        format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}.{filter}"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"),
        format!("$JS.ACK.{stream}.{durable}.>"),
    ]
}

/// A service that decides commands: takes its own, appends, answers those who sent them.
fn decides(permissions: Permissions, service: &str) -> Permissions {
    permissions
        .may_publish([format!("led.append.{service}"), format!("adv.{service}")])
        .may_publish(take_from("CMD", service, &format!("cmd.{service}.>")))
        .may_publish(COMMANDERS.iter().map(|sender| format!("_INBOX.{sender}.>")))
}

fn ledger(permissions: Permissions) -> Permissions {
    let manage = STREAMS.iter().flat_map(|stream| {
        [
            format!("$JS.API.STREAM.*.{stream}"),
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            format!("$JS.API.DIRECT.GET.{stream}"),
            format!("$JS.API.DIRECT.GET.{stream}.>"),
        ]
    });
    permissions
        .may_subscribe(["led.append.*"])
        .may_publish(["evt.>", "$JS.API.INFO", "q.*.health.-"])
        .may_publish(manage)
}

/// The gateway sends every command and asks every service: it has checked who asks for what. Files of builds go
/// from it to the node.
fn gateway(permissions: Permissions) -> Permissions {
    permissions.may_subscribe(["term.*.*.out"]).may_publish([
        "cmd.>",
        "q.>",
        "term.*.*.in",
        "ctl.*.build",
        "ctl.*.registry",
    ])
}

fn cluster(permissions: Permissions) -> Permissions {
    permissions
        .may_publish(take_from("RPT", "cluster", "rpt.node.*"))
        .may_publish([
            "cmd.cluster.finish_delete.*",
            "cmd.cluster.remove_node.*",
            "cmd.scheduler.remove.*",
            "cmd.access.revoke_credential.*",
        ])
}

fn scheduler(permissions: Permissions) -> Permissions {
    permissions
        .may_publish(take_from("RPT", "scheduler-alloc", "rpt.alloc.*"))
        .may_publish(["cmd.cluster.settle_drain.*", "ctl.*.recorded"])
}

fn monitor(permissions: Permissions) -> Permissions {
    permissions.may_subscribe(["hb.*", "met.*.*"]).may_publish([
        "cmd.cluster.mark_lost.*",
        "cmd.cluster.mark_returned.*",
        "ctl.*.beat",
        "led.append.monitor",
    ])
}
