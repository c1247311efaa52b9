//! Scenarios: given a cluster, when something happens, then the plan does this.

mod backoff;
mod blocked;
mod choosing;
mod faults;
mod images;
mod lifecycle;
mod priorities;
mod releases;
mod settling;
mod volumes;
