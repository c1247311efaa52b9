//! Container logs: opens a session between the node that has a container and whoever asks.
//!
//! The bytes go from the node's agent to the asker and never through here; every rule is in the core.

use berth_bus::{QuestionSink, subject};
use berth_events::{LogOpened, OpenLog, Rejection, RejectionKind};
use berth_ids::{ClusterId, Uuid};
use berth_log_core::LogView;
use berth_service_kit::{ServiceContext, ServiceError, ViewHandle, answer_health, new_id, start_projection};

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<LogView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    tokio::join!(serve_opens(context.clone(), view), answer_health(context));
    Ok(())
}

async fn serve_opens(context: ServiceContext, view: ViewHandle<LogView>) {
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "open".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let bus = context.bus.clone();
    let answer = move |cluster: String, asked: OpenLog| {
        let (context, view) = (context.clone(), view.clone());
        async move { open(&context, &view, &cluster, &asked).await }
    };
    bus.answer(sink, answer).await;
}

async fn open(
    context: &ServiceContext,
    view: &ViewHandle<LogView>,
    cluster: &str,
    asked: &OpenLog,
) -> Result<LogOpened, Rejection> {
    let cluster: ClusterId = cluster.parse().map_err(|_| Rejection {
        kind: RejectionKind::NotFound,
        code: "cluster.not_found".into(),
        message: format!("`{cluster}` is no id of a cluster"),
        cure: Some("`berth cluster ls` lists them".into()),
    })?;
    let fresh = new_id::<Uuid>().simple().to_string();
    let (order, opened) = view.read(|view| berth_log_core::open(view, cluster, asked, &fresh))?;
    let told = context
        .bus
        .tell(subject::control(opened.node_id, "logs"), &order)
        .await;
    told.map_err(|error| Rejection {
        kind: RejectionKind::Unavailable,
        code: "log.node_unreachable".into(),
        message: format!("node {} could not be asked for the log: {error}", opened.node_id),
        cure: Some("try again".into()),
    })?;
    tracing::info!(
        allocation.id = %asked.allocation_id,
        node.id = %opened.node_id,
        "opened the log of allocation {}", asked.allocation_id
    );
    Ok(opened)
}
