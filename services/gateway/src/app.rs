//! What all handlers share.

use crate::{auth::Sessions, feed::Feed, limit::RateLimit, news::Registries, options::Facts};
use berth_gateway_core::ApiView;
use berth_service_kit::{ServiceContext, ViewHandle};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Event and log streams that are open at the same time.
pub(crate) const MAX_STREAMS: usize = 1_024;

/// What all handlers share.
pub(crate) struct App {
    /// Bus, database, shutdown, health.
    pub(crate) context: ServiceContext,
    /// The read model.
    pub(crate) view: ViewHandle<ApiView>,
    /// What the gateway tells those who join.
    pub(crate) facts: Facts,
    /// Who speaks, remembered for a moment.
    pub(crate) sessions: Sessions,
    /// Requests of each principal.
    pub(crate) rates: RateLimit,
    /// What registries have said of images.
    pub(crate) registries: Registries,
    /// New events.
    pub(crate) feed: Feed,
    /// Open event and log streams.
    pub(crate) streams: Arc<Semaphore>,
}

/// [`App`], as handlers get it.
pub(crate) type Shared = Arc<App>;
