//! End to end: real processes, real engines, the real command line.
//!
//! A [`Platform`] is what a user has: a server (one process, or one process a service), engines as nodes, an
//! agent on each, and `berth`. Nothing here knows the inside of the product. All of it is gone when the
//! platform is dropped.

mod bus;
mod client;
mod login;
mod platform;
mod ports;
mod process;
mod tls;
mod truth;

pub use bus::{BusUser, StolenNode};
pub use client::Client;
pub use platform::{Form, Platform, SERVICES, items, path};
pub use process::{Process, binary, signal, wait_for};
pub use tls::{Connection, expired_server, in_the_clear, port_of};
pub use truth::{Running, engines_equal_desired, on_engines};

/// The image that tests run: a static busybox with a web server as its command.
pub const IMAGE: &str = "berth-test/web:1";
