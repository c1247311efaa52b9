//! Questions that the scheduler answers: a node's complete assignment, what a change would do, and how the
//! service is.

use crate::plans::Plans;
use berth_bus::QuestionSink;
use berth_events::{Assignment, PlanQuestion, Rejection, RejectionKind};
use berth_ids::NodeId;
use berth_scheduler_core::view::SchedulerView;
use berth_service_kit::{ServiceContext, ViewHandle};
use tokio_util::task::TaskTracker;

pub(crate) fn serve(tasks: &TaskTracker, context: &ServiceContext, view: &ViewHandle<SchedulerView>) {
    let sink = |question: &str| QuestionSink {
        service: context.service.to_owned(),
        question: question.to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let (assignment_sink, plan_sink) = (sink("assignment"), sink("plan"));
    let (bus, plan_bus, view) = (context.bus.clone(), context.bus.clone(), view.clone());
    let plans = Plans::new(context.log(), view.clone());
    tasks.spawn(async move {
        let answer = move |node: String, _: serde_json::Value| {
            let view = view.clone();
            async move { assignment(&view, &node) }
        };
        bus.answer(assignment_sink, answer).await;
    });
    tasks.spawn(async move {
        let answer = move |cluster: String, question: PlanQuestion| {
            let plans = plans.clone();
            async move { plans.answer(&cluster, question).await }
        };
        plan_bus.answer(plan_sink, answer).await;
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
