//! The whole product in memory on a virtual clock with a faulty bus and fake engines.
//!
//! Everything that decides is the real thing: the cores of cluster-svc, scheduler-svc, monitor-svc and the
//! agent, and the log's rules of appending. Only sockets, disks, engines and time are played. One seed is
//! one history, to the last bit: [`Sim::fingerprint`] is the hash of the last event.

mod agent;
mod bus;
mod chaos;
mod check;
mod engine;
mod nodes;
mod options;
mod orders;
mod promise;
mod rng;
mod script;
mod services;
mod show;
mod sim;
mod size;

pub use bus::{Faults, Message};
pub use chaos::{history, rest};
pub use check::{Fault, at_rest, safe};
pub use script::{ScriptError, run_script};
pub use sim::Sim;
