//! A planner that ends in the middle of recording its plan.

use super::{CLUSTER, Lab};
use crate::planner::{self, PartLimit};
use berth_ids::AllocationId;

impl Lab {
    /// A plan of which only the first appends are recorded, each as small as it can be.
    pub(crate) fn plan_in_part(&mut self, recorded: usize) {
        let mut next = self.ids;
        let plan = planner::plan(&self.view, CLUSTER, self.now, &mut || {
            next += 1;
            AllocationId::from_u128(next)
        });
        self.ids = next;
        let smallest = PartLimit { events: 1, bytes: 1 };
        for part in plan.into_parts(smallest).into_iter().take(recorded) {
            self.append("scheduler", &part);
            self.check();
        }
    }
}
