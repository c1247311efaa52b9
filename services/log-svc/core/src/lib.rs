//! Container logs: which node has a container, and the rules of a log session.
//!
//! Pure: no IO, clock or randomness. The bytes go from the node to the asker and never through here.

mod session;
mod view;

pub use session::{MAX_SESSION_CHARS, MAX_TAIL_LINES, open};
pub use view::{ContainerRow, LogView};
