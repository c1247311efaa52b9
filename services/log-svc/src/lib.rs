//! Container logs: finds the node that has a container and lets it open the stream.
//!
//! The bytes go from the node to the asker over `term.<node>.<session>`, never through here.

use berth_bus::{QuestionSink, subject};
use berth_events::{LogOpened, OpenLog, Rejection, RejectionKind};
use berth_ids::Uuid;
use berth_log_core::{LogView, open};
use berth_service_kit::{ServiceContext, ServiceError, ViewHandle, answer_health, new_id, start_projection};

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<LogView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "open".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let desk = context.clone();
    let answering = context.bus.answer(sink, move |key: String, asked: OpenLog| {
        let (context, view) = (desk.clone(), view.clone());
        async move { open_log(&context, &view, &key, &asked).await }
    });
    tokio::join!(answering, answer_health(context.clone()));
    Ok(())
}

/// Tells the node to open the stream. The asker subscribes before it asks, or takes the answer's session.
async fn open_log(
    context: &ServiceContext,
    view: &ViewHandle<LogView>,
    key: &str,
    asked: &OpenLog,
) -> Result<LogOpened, Rejection> {
    let scope: Uuid = key.parse().map_err(|_| invalid(key))?;
    let fresh = new_id::<Uuid>().simple().to_string();
    let look = || view.read(|view| open(view, scope, asked, &fresh));
    let (order, opened) = match look() {
        Ok(found) => found,
        // A container of this moment: looked at again with everything that is committed.
        Err(_) => {
            let unavailable = |error: &dyn std::fmt::Display| away(error.to_string());
            let head = context.log().head().await.map_err(|error| unavailable(&error))?;
            view.at_least(head).await.map_err(|error| unavailable(&error))?;
            look()?
        }
    };
    let subject = subject::control(opened.node_id, "logs");
    let told = context.bus.tell(subject, &order).await;
    told.map_err(|error| away(error.to_string()))?;
    Ok(opened)
}

fn invalid(key: &str) -> Rejection {
    Rejection {
        kind: RejectionKind::Invalid,
        code: "log.question_invalid".into(),
        message: format!("`{key}` names no cluster and no node"),
        cure: None,
    }
}

fn away(reason: String) -> Rejection {
    Rejection {
        kind: RejectionKind::Unavailable,
        code: "log.unavailable".into(),
        message: reason,
        cure: Some("try again".into()),
    }
}
