//! Endpoint sets: kept from the log, published as documents, answered.
//!
//! The sets follow from the log alone; a document that was lost is published again at the next start.

mod documents;

use berth_bus::QuestionSink;
use berth_lb_core::EndpointView;
use berth_service_kit::{ServiceContext, ServiceError, answer_health, cluster_of, start_projection};

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<EndpointView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "endpoints".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let asked = view.clone();
    let answering = context
        .bus
        .answer(sink, move |cluster: String, _: serde_json::Value| {
            let view = asked.clone();
            async move {
                let cluster = cluster_of(&cluster, "lb")?;
                Ok(view.read(|view| view.sets(cluster)))
            }
        });
    tokio::join!(
        answering,
        documents::publish(context.clone(), view),
        answer_health(context.clone()),
    );
    Ok(())
}
