//! Scenarios: given a cluster, when something happens, then the plan does this.

mod blocked;
mod choosing;
mod faults;
mod lifecycle;
mod releases;
mod volumes;
