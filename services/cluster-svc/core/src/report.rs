//! What an agent measured of its server: recorded only if it differs.

use crate::{NodeAction, NodeAggregate, decide::fold_node, node_stream};
use berth_events::{NodeReport, RejectionKind};
use berth_eventsourcing::{Aggregate, Decision, Streams, Undecided};

/// What a report comes to; one of a node that is not (any more) there comes to nothing.
///
/// # Errors
/// [`Undecided::Needs`] the node's stream.
pub fn report(report: &NodeReport, streams: &Streams) -> Result<Decision, Undecided> {
    let stream = node_stream(report.node_id);
    let loaded = streams.get(&stream)?;
    let action = NodeAction::Report {
        facts: report.facts.clone(),
        address: report.address.clone(),
    };
    match NodeAggregate::decide(&fold_node(loaded), &action) {
        Ok(events) => Ok(Decision::nothing().with(stream, loaded.version, events)),
        Err(rejection) if rejection.kind == RejectionKind::NotFound => Ok(Decision::nothing()),
        Err(rejection) => Err(rejection.into()),
    }
}
