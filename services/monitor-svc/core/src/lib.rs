//! Heartbeats and samples: pure rules of who is lost, and the newest usage of each node.
//!
//! Time is a monotonic number of milliseconds given by the shell; there is no clock here.

mod usage;
mod view;
mod watch;

pub use usage::{MAX_SAMPLE_NODES, SAMPLE_MAX_AGE_MS, UsageStore};
pub use view::{MonitorView, WatchedNode};
pub use watch::{ENGINE_AWAY_MS, FIRST_HEARD_MS, Known, REPEAT_MS, SILENCE_MS, STALL_MS, Verdict, Watch};
