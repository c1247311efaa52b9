//! Endpoint sets: where the containers of each service are reached, folded from the log.
//!
//! Pure: no IO, clock or randomness. An endpoint is there while its container runs and nobody has
//! ordered its end; what ended is gone.

mod view;

pub use view::{EndpointRow, EndpointView, Service};
