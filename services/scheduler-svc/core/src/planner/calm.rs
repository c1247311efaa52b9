//! Services for which nothing is to be done, told by what their containers come to: a plan passes over them.

use super::{Planner, filters, request::Rule};
use crate::view::{ApplicationRow, ServiceTally};
use berth_events::spec::{ServiceMode, ServiceSpec};

impl<'a> Planner<'a, '_> {
    /// Each slot has its one container, which is what and where it should be, and runs well: a closer look would
    /// find nothing to do.
    pub(super) fn is_calm(&self, application: &ApplicationRow, name: &str, spec: &'a ServiceSpec) -> bool {
        let id = application.application_id;
        let (ServiceMode::Replicated { replicas }, Some(tally)) =
            (spec.mode, self.view.index.service(id, name))
        else {
            return false;
        };
        let at_rest = application.settled && !application.stopped && application.removing.is_none();
        let asked = application.restarts.contains_key(name) || self.view.blocked(id, name).is_some();
        if !at_rest || asked {
            return false;
        }
        let hash = application.hashes.get(name);
        let pin = self.pins.get(&spec.container.image);
        tally.fills(replicas)
            && tally.is_well(spec.container.has_check())
            && hash.is_some_and(|hash| tally.runs_only(hash))
            && pin.is_none_or(|pin| tally.digests().all(|digest| digest == pin))
            && self.suits_all(spec, tally)
    }

    /// Every node that has containers of a service takes them still.
    fn suits_all(&self, spec: &'a ServiceSpec, tally: &ServiceTally) -> bool {
        let constraints: Vec<Rule<'a>> = spec.placement.constraints.iter().map(Rule::from).collect();
        let tied = !constraints.is_empty() || spec.container.platform.is_some();
        if !tied && self.world.closed.is_empty() {
            return true;
        }
        let rows = tally.nodes().map(|node| self.view.node(node));
        let mut rows = rows.map(|row| row.filter(|row| !self.world.is_closed(row.node_id)));
        rows.all(|row| row.is_some_and(|row| filters::suits(row, spec, &constraints).is_ok()))
    }

    /// A closer look finds nothing, indeed.
    #[cfg(test)]
    pub(super) fn assert_calm(
        &mut self,
        application: &'a ApplicationRow,
        name: &'a str,
        spec: &'a ServiceSpec,
    ) {
        let state = |planner: &Self| {
            let told = (
                planner.blocked.len(),
                planner.settle.len(),
                planner.concerned.len(),
            );
            (
                told,
                planner.orders.size(),
                planner.wake_at,
                planner.failure.is_some(),
            )
        };
        let before = state(self);
        assert!(
            self.look_at(application, name, spec),
            "{name} is as its release wants it"
        );
        assert_eq!(before, state(self), "nothing is to be done for {name}");
    }
}
