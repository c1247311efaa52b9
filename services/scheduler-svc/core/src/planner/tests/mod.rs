//! Scenarios: given a cluster, when something happens, then the plan does this.

mod backoff;
mod blocked;
mod choosing;
mod countable;
mod domains;
mod faults;
mod images;
mod lifecycle;
mod parts;
mod priorities;
pub(crate) mod properties;
mod releases;
mod settling;
mod traffic;
mod volumes;
