//! One node: its assignment, the next step of each container, restarts, and the numbering of reports.
//!
//! Pure: no clock, no engine, no bus. The shell looks at the engine, asks [`Node::plan`] what to do, does
//! one step a container, and tells [`Node::finished`] what came of it. The simulation drives the same
//! [`Node`] with a fake engine.

mod assignment;
mod journal;
pub mod names;
mod node;
mod reports;
mod seen;
mod step;
mod track;

pub use assignment::{Applied, ApplyError, Assignment, MAX_WANTED, Wanted};
pub use journal::{Journal, MAX_JOURNAL_ITEMS, MAX_REPORT_ITEMS, Urgency};
pub use node::{Look, Moment, Node, Plan, Probing, StoredNode, Verdict, joined_services};
pub use reports::{is_news, observed};
pub use seen::{Container, Seen};
pub use step::{Desired, Failure, Situation, Step, next_step};
pub use track::{
    CRASH_LIMIT, End, MAX_MESSAGE_BYTES, RESET_AFTER, RESTART_DELAY, RESTART_DELAY_MAX, STEP_ATTEMPTS, Track,
};
