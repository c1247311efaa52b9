//! The only door: REST with OpenAPI, server-sent events, node join.
//!
//! A request is authenticated, its command gets an id, goes over the bus and comes back with the position
//! of its outcome; reads come from [`berth_gateway_core::ApiView`] alone. Nothing is decided here.

mod app;
mod auth;
mod build;
mod deploy;
mod extract;
mod feed;
mod follow;
mod gallery;
mod history;
mod image;
mod kept;
mod limit;
mod lines;
mod news;
mod observe;
mod openapi;
mod options;
mod problem;
mod router;
mod routes;
mod run;
mod server;
mod session;
mod submit;
mod template;
mod upload;

pub use options::GatewayOptions;
pub use run::{Gateway, run};
