//! Makes one node match its assignment through its engine; reports what it sees.
//!
//! Reaches nothing but its own engine and the bus. Goes on with every service away.

pub mod engine;
pub mod state;
pub mod worker;
