//! Questions that the scheduler answers: a node's complete assignment, and how the service is.

use berth_bus::QuestionSink;
use berth_events::{Assignment, Rejection, RejectionKind};
use berth_ids::NodeId;
use berth_scheduler_core::view::SchedulerView;
use berth_service_kit::{ServiceContext, ViewHandle};
use tokio_util::task::TaskTracker;

pub(crate) fn serve(tasks: &TaskTracker, context: &ServiceContext, view: &ViewHandle<SchedulerView>) {
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "assignment".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let (bus, view) = (context.bus.clone(), view.clone());
    tasks.spawn(async move {
        let answer = move |node: String, _: serde_json::Value| {
            let view = view.clone();
            async move { assignment(&view, &node) }
        };
        bus.answer(sink, answer).await;
    });
    tasks.spawn(berth_service_kit::answer_health(context.clone()));
}

fn assignment(view: &ViewHandle<SchedulerView>, node: &str) -> Result<Assignment, Rejection> {
    let missing = || Rejection {
        kind: RejectionKind::NotFound,
        code: "node.not_found".into(),
        message: format!("there is no node {node}"),
        cure: Some("join it again with `berth agent join`".into()),
    };
    let node: NodeId = node.parse().map_err(|_| missing())?;
    view.read(|view| view.assignment(node)).ok_or_else(missing)
}
