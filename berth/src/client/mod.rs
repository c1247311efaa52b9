//! The REST API, as the command line uses it.

mod context;
mod http;
mod problem;
mod stream;
mod upload;

pub use context::{Profile, Resolved, resolve, store, write_client_toml};
pub use http::{Client, encode, query};
pub use problem::{diagnostic, failure};
