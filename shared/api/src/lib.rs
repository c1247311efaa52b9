//! Requests and answers of the REST API: what the gateway speaks and the command line reads.
//!
//! Shapes only, no rule and no IO. Every type describes itself twice from one derive: `schemars` makes its
//! JSON Schema, and [`schema::components`] puts all of them into the OpenAPI document.

mod application;
mod build;
mod cluster;
mod common;
mod container;
mod event;
mod node;
mod plan;
mod registry;
mod release;
pub mod schema;
mod status;
mod template;
mod token;
mod why;

pub use application::*;
pub use build::*;
pub use cluster::*;
pub use common::*;
pub use container::*;
pub use event::*;
pub use node::*;
pub use plan::*;
pub use registry::*;
pub use release::*;
pub use status::*;
pub use template::*;
pub use token::*;
pub use why::*;
