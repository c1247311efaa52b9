//! Applications, placement, allocations: pure rules, views and plans.
//!
//! The shell loads streams and hands them in, appends what comes out, and asks again. Nothing here reads a
//! clock, makes an id or waits.
//!
//! * [`application`]: what may be done to an application, and what follows.
//! * [`template`]: stored texts, version by version.
//! * [`build`]: the making of images.
//! * [`allocation`]: what an agent's reports add to the log.
//! * [`view`]: everything the planner and the questions need, as a fold.
//! * [`planner`]: which containers run where, and a reason for each that does not.
//! * [`explain`]: the same reasons for one thing.
//! * [`rehearsal`]: what a change would do, before anybody asks for it.

pub mod allocation;
pub mod application;
pub mod build;
pub mod explain;
mod hash;
#[cfg(test)]
mod lab;
pub mod limits;
pub mod planner;
pub mod rehearsal;
pub mod template;
pub mod view;
mod volume;

pub use hash::spec_hash;
pub use volume::{engine_volume_name, is_node_local};

use berth_events::{Rejection, RejectionKind};

/// A refusal with its cure.
pub(crate) fn reject(kind: RejectionKind, code: &str, message: String, cure: impl Into<String>) -> Rejection {
    Rejection {
        kind,
        code: code.to_owned(),
        message,
        cure: Some(cure.into()),
    }
}
