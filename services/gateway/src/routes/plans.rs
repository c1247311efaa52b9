//! What a change would do, before it is asked for. Nothing here changes anything.

use super::{
    ScopeQuery,
    applications::{DeployQuery, destination, read},
};
use crate::{
    app::{App, Shared},
    auth::Deploying,
    deploy::{Purpose, Vault},
    extract::{Order, Params, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::extract::State;
use berth_api::{Deploy, Diagnostic, ImageNews, PlanChange, Planned, Severity};
use berth_events::{ChangePlan, PlanQuestion, SchedulerCommand};
use berth_ids::{ApplicationId, ClusterId};
use std::collections::BTreeSet;

/// Says what a deploy would do: which keys differ, which containers come, stay and go, where and why.
#[utoipa::path(post, path = "/v1/clusters/{cluster}/plan", tag = "applications", request_body = Deploy,
    params(("cluster" = String, Path, description = "Id or name"), DeployQuery),
    responses((status = 200, description = "What it would do", body = Planned)))]
pub(crate) async fn plan_deploy(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    Params(query): Params<DeployQuery>,
    Write { order, body, .. }: Write<Deploying, Deploy>,
) -> Result<At<Planned>, Fault> {
    let cluster = app
        .view
        .read(|view| view.find_cluster(&order.access, &cluster).map(|row| row.id))?;
    let method = body.method;
    let reading = read(&app, &order, cluster, body, Purpose::Look).await?;
    let name = reading.name()?;
    let to = destination(&app, &order.access, cluster, &name, method).if_exists(query.must_exist);
    let prepared = app.prepare(&order, &reading, to, Vault::Compare).await?;
    let question = PlanQuestion {
        tenant: order.principal.tenant.clone(),
        commands: vec![prepared.command],
        same_values: prepared.same_values,
    };
    let plan = app.plan(cluster, &question).await?;
    let mut warnings = reading.warnings();
    let pinned = app.view.read(|view| {
        let row = view.find_application(&order.access, name.as_str(), Some(cluster));
        row.map(|row| view.pinned_images(row)).unwrap_or_default()
    });
    warnings.extend(app.image_news(cluster, pinned).await.iter().map(newer));
    Ok(shown(name.to_string(), warnings, plan))
}

/// Says what a change of an application would do, as a deploy's plan does.
#[utoipa::path(post, path = "/v1/applications/{application}/plan", tag = "applications",
    request_body = PlanChange, params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "What it would do", body = Planned)))]
pub(crate) async fn plan_change(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Deploying, PlanChange>,
) -> Result<At<Planned>, Fault> {
    let scope = app.cluster_id(&order.access, query.cluster.as_deref())?;
    let (id, cluster, name) = app.view.read(|view| {
        view.find_application(&order.access, &application, scope)
            .map(|row| (row.id, row.cluster_id, row.name.to_string()))
    })?;
    let question = PlanQuestion {
        tenant: order.principal.tenant.clone(),
        commands: commands(&order, id, body),
        same_values: BTreeSet::new(),
    };
    let plan = app.plan(cluster, &question).await?;
    Ok(shown(name, vec![], plan))
}

fn commands(order: &Order, application_id: ApplicationId, change: PlanChange) -> Vec<SchedulerCommand> {
    match change {
        PlanChange::Scale(services) => services
            .into_iter()
            .map(|(service, replicas)| SchedulerCommand::Scale {
                application_id,
                service,
                replicas,
                expected_version: None,
            })
            .collect(),
        PlanChange::Rollback(rollback) => vec![SchedulerCommand::Rollback {
            application_id,
            release_id: order.derived("release"),
            to: rollback.to,
            unsettled_only: false,
            expected_version: order.expected_version,
        }],
        PlanChange::Restart(restart) => vec![SchedulerCommand::Restart {
            application_id,
            services: restart.services,
        }],
        PlanChange::Remove { volumes } => vec![SchedulerCommand::Remove {
            application_id,
            volumes,
        }],
    }
}

/// A name means other content by now, which a deploy of the same file does not bring.
fn newer(news: &ImageNews) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        code: "image.newer".into(),
        message: news.text(),
        cure: "to run it, deploy with `pull_policy: always` or the label `latest_image`".into(),
        ..Diagnostic::default()
    }
}

fn shown(name: String, warnings: Vec<berth_api::Diagnostic>, plan: ChangePlan) -> At<Planned> {
    At::shown(plan.position, Planned { name, warnings, plan })
}

impl App {
    async fn plan(&self, cluster: ClusterId, question: &PlanQuestion) -> Result<ChangePlan, Fault> {
        let bus = &self.context.bus;
        Ok(bus
            .ask("scheduler", "plan", &cluster.to_string(), question)
            .await?)
    }
}
