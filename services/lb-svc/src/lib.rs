//! Endpoint sets: where the containers of each service are reached, as documents for agents and proxies.
//!
//! A document is derived from the log and can be published again at any time; its generation is the position
//! of the last event that changed it, and an older one is ignored.

use async_trait::async_trait;
use berth_bus::{BusError, QuestionSink, subject};
use berth_events::{EndpointSet, Rejection, RejectionKind};
use berth_ids::ClusterId;
use berth_lb_core::EndpointView;
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{ServiceContext, ServiceError, ViewHandle, answer_health, metrics, start_projection};
use std::time::Duration;

/// Looked at this often even if nothing moves.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<EndpointView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    let publisher = Publisher {
        context: context.clone(),
        view: view.clone(),
        published: 0,
    };
    tokio::join!(
        drive(publisher, view.moves(), INTERVAL, context.shutdown.clone()),
        serve_sets(context.clone(), view),
        answer_health(context),
    );
    Ok(())
}

/// Publishes the sets that changed since its last activation; after a start, all.
struct Publisher {
    context: ServiceContext,
    view: ViewHandle<EndpointView>,
    published: u64,
}

#[async_trait]
impl Reconciler for Publisher {
    type Error = BusError;

    fn name(&self) -> &'static str {
        "endpoints"
    }

    async fn activate(&mut self) -> Result<Next, BusError> {
        // Read before the sets: what moves in between is published once more, never missed.
        let position = self.view.position();
        for set in self.view.read(|view| view.changed_after(self.published)) {
            let key = format!("{}.{}", set.application_id, subject_safe(&set.service));
            self.context
                .bus
                .store(subject::document(set.cluster_id, "endpoints", &key), &set)
                .await?;
        }
        self.published = position;
        Ok(Next::Notice)
    }

    fn measured(&self, took: Duration, _failed: bool) {
        metrics::record(|metrics| {
            let labels = [self.context.service, self.name()];
            metrics
                .reconcile_seconds
                .with_label_values(&labels)
                .observe(took.as_secs_f64());
        });
    }
}

async fn serve_sets(context: ServiceContext, view: ViewHandle<EndpointView>) {
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "endpoints".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let answer = move |cluster: String, (): ()| {
        let view = view.clone();
        async move { sets(&view, &cluster) }
    };
    context.bus.answer(sink, answer).await;
}

fn sets(view: &ViewHandle<EndpointView>, cluster: &str) -> Result<Vec<EndpointSet>, Rejection> {
    let cluster: ClusterId = cluster.parse().map_err(|_| Rejection {
        kind: RejectionKind::NotFound,
        code: "cluster.not_found".into(),
        message: format!("`{cluster}` is no id of a cluster"),
        cure: Some("`berth cluster ls` lists them".into()),
    })?;
    Ok(view.read(|view| view.sets(cluster)))
}

/// Services are named by people: what would split or widen a subject is written as its code.
fn subject_safe(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '.' | '*' | '>' | ' ' | '%' => format!("%{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::subject_safe;

    #[test]
    fn a_name_stays_one_part_of_a_subject_and_two_names_stay_two() {
        assert_eq!(subject_safe("web"), "web");
        assert_eq!(subject_safe("a.b>*"), "a%2eb%3e%2a");
        assert_ne!(subject_safe("a%2eb"), subject_safe("a.b"));
    }
}
