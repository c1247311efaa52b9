//! What every service shell needs: context, telemetry, database, projections, decisions, health.
//!
//! Knowing one service is knowing all: each has the same parts, made from this crate.

mod context;
mod decide;
mod health;
mod ids;
mod log;
pub mod metrics;
mod own;
mod projector;
mod refuse;
mod streams;
pub mod telemetry;

pub use context::{Clock, ServiceContext, ServiceError};
pub use decide::{Decide, DecideError, Decision, append_events, own_meta, serve_decisions};
pub use health::{Health, answer_health, serve_http};
pub use ids::{derived_id, new_id};
pub use log::{Log, LogError};
pub use own::own_command;
pub use projector::{Lagging, Projector, ViewHandle, start_projection};
pub use refuse::{cluster_of, misdirected};
pub use streams::{decide_over_streams, load_stream};
