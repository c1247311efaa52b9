//! Fixtures for tests: real Postgres and NATS processes, Docker engines as nodes.
//!
//! Nothing here is a stand-in: a test that needs a server or an engine gets a real one of its own, on
//! loopback or in network namespaces, and nothing of it is left when the test ends, however it ends.

mod services;

pub use berth_embedded as embedded;
pub use berth_lab as lab;
pub use services::{Error, TestServices};
