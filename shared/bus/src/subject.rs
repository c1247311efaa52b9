//! Subjects of the bus, in one place (`docs/contracts.md`).

use berth_ids::{ClusterId, NodeId};

/// Stream of facts.
pub const EVT: &str = "EVT";
/// Stream of commands.
pub const CMD: &str = "CMD";
/// Stream of node documents.
pub const DOC: &str = "DOC";
/// Stream of reports.
pub const RPT: &str = "RPT";

/// Header that names the subject for the answer to a command.
pub const REPLY_HEADER: &str = "Berth-Reply";
/// Header of the W3C trace context.
pub const TRACE_HEADER: &str = "traceparent";

/// `cmd.<service>.<verb>.<cluster or ->`.
pub fn command(service: &str, verb: &str, cluster: Option<ClusterId>) -> String {
    match cluster {
        Some(cluster) => format!("cmd.{service}.{verb}.{cluster}"),
        None => format!("cmd.{service}.{verb}.-"),
    }
}

/// `led.append.<service>`.
pub fn append(service: &str) -> String {
    format!("led.append.{service}")
}

/// `q.<service>.<question>.<key>`.
pub fn question(service: &str, question: &str, key: &str) -> String {
    format!("q.{service}.{question}.{key}")
}

/// `doc.<cluster>.<kind>.<key>`.
pub fn document(cluster: ClusterId, kind: &str, key: &str) -> String {
    format!("doc.{cluster}.{kind}.{key}")
}

/// `adv.<service>`: messages that it gave up.
pub fn dead_letter(service: &str) -> String {
    format!("adv.{service}")
}

/// `hb.<node>`.
pub fn heartbeat(node: NodeId) -> String {
    format!("hb.{node}")
}

/// `ctl.<node>.<verb>`.
pub fn control(node: NodeId, verb: &str) -> String {
    format!("ctl.{node}.{verb}")
}

/// `term.<node>.<session>.<direction>`.
pub fn terminal(node: NodeId, session: &str, direction: &str) -> String {
    format!("term.{node}.{session}.{direction}")
}

/// `rpt.<kind>.<node>`.
pub fn report(kind: &str, node: NodeId) -> String {
    format!("rpt.{kind}.{node}")
}
