//! Publishes each endpoint set that has changed, and an empty one for what is gone.

use async_trait::async_trait;
use berth_bus::{BusError, subject};
use berth_events::EndpointSet;
use berth_lb_core::{EndpointView, Service};
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{ServiceContext, ViewHandle};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Looked at this often even if nothing moves.
const INTERVAL: Duration = Duration::from_secs(30);
/// Documents published in one activation.
const MAX_DOCUMENTS: usize = 1_000;

/// Publishes until shutdown.
pub(crate) async fn publish(context: ServiceContext, view: ViewHandle<EndpointView>) {
    let (moves, shutdown) = (view.moves(), context.shutdown.clone());
    let documents = Documents {
        context,
        view,
        published: BTreeMap::new(),
    };
    drive(documents, moves, INTERVAL, shutdown).await;
}

struct Documents {
    context: ServiceContext,
    view: ViewHandle<EndpointView>,
    /// Last published since this start, by service.
    published: BTreeMap<Service, EndpointSet>,
}

fn service_of(set: &EndpointSet) -> Service {
    Service {
        application_id: set.application_id,
        service: set.service.clone(),
    }
}

/// The key of a document: names of services may hold dots, parts of subjects may not.
fn key(set: &EndpointSet) -> String {
    format!("{}.{}", set.application_id, set.service.replace('.', "%2E"))
}

impl Documents {
    /// What differs from what is published: news, and empty sets for what is gone.
    fn due(&self) -> Vec<EndpointSet> {
        let current = self.view.read(EndpointView::all);
        let there: BTreeSet<Service> = current.iter().map(service_of).collect();
        let news = current
            .into_iter()
            .filter(|set| self.published.get(&service_of(set)) != Some(set));
        let position = self.view.position();
        let gone = self
            .published
            .iter()
            .filter(|(service, set)| !there.contains(service) && !set.endpoints.is_empty())
            .map(|(_, set)| EndpointSet {
                generation: position,
                endpoints: vec![],
                ..set.clone()
            });
        news.chain(gone).take(MAX_DOCUMENTS).collect()
    }
}

#[async_trait]
impl Reconciler for Documents {
    type Error = BusError;

    fn name(&self) -> &'static str {
        "endpoint documents"
    }

    async fn activate(&mut self) -> Result<Next, BusError> {
        let due = self.due();
        let more = due.len() == MAX_DOCUMENTS;
        for set in due {
            let subject = subject::document(set.cluster_id, "endpoints", &key(&set));
            self.context.bus.store(subject, &set).await?;
            self.published.insert(service_of(&set), set);
        }
        Ok(if more { Next::Now } else { Next::Notice })
    }
}
