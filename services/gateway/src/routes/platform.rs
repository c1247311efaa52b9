//! The platform itself: how it is, what is used, what came of a command.

use super::ScopeQuery;
use crate::{
    app::{App, Shared},
    auth::Reading,
    extract::{Params, Read, Segment},
    problem::Fault,
    submit::At,
};
use axum::{Json, extract::State, http::StatusCode};
use berth_api::{CommandReport, ContainerTop, NodeTop, ServiceInstance, Status, Top, schema::Health};
use berth_bus::subject;
use berth_events::{CommandStatus, HealthState, LogHead, ServiceHealth, UsageSample};
use berth_gateway_core::ApiView;
use berth_ids::{ClusterId, CommandId};
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use std::{collections::BTreeSet, time::Duration};

/// Every service.
const SERVICES: [&str; 8] = [
    "ledger",
    "gateway",
    "cluster",
    "scheduler",
    "access",
    "lb",
    "log",
    "monitor",
];
/// Clusters whose usage is asked for at the same time.
const PARALLEL_CLUSTERS: usize = 16;
/// How long instances may take to say how they are.
const HEALTH_WAIT: Duration = Duration::from_millis(500);

/// Shows how each service is: its instances, their health, and how far they are behind the log.
#[utoipa::path(get, path = "/v1/status", tag = "platform",
    responses((status = 200, description = "How the platform is", body = Status)))]
pub(crate) async fn status(
    State(app): State<Shared>,
    Read(_caller): Read<Reading>,
) -> Result<At<Status>, Fault> {
    let bus = &app.context.bus;
    let asked = SERVICES.map(|service| bus.ask_all(subject::question(service, "health", "-"), HEALTH_WAIT));
    let (answers, log) = tokio::join!(join_all(asked), bus.ask::<LogHead>("ledger", "head", "-", &()));
    let log = log.ok();
    let head = log.as_ref().map(|log| log.position);
    let mut instances: Vec<ServiceHealth> = answers.into_iter().flatten().collect();
    if !instances
        .iter()
        .any(|instance| instance.service == app.context.service)
    {
        instances.push(app.context.health.get());
    }
    instances.sort_by(|a, b| (&a.service, &a.instance).cmp(&(&b.service, &b.instance)));
    let heard: BTreeSet<&str> = instances
        .iter()
        .map(|instance| instance.service.as_str())
        .collect();
    let silent: Vec<String> = SERVICES
        .iter()
        .filter(|service| !heard.contains(**service))
        .map(ToString::to_string)
        .collect();
    let well = instances
        .iter()
        .all(|instance| !matches!(instance.state, HealthState::Red(_)));
    let status = Status {
        healthy: well && silent.is_empty() && log.is_some(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: instances
            .into_iter()
            .map(|instance| answer(instance, head))
            .collect(),
        log,
        silent,
    };
    Ok(At::shown(app.view.position(), status))
}

fn answer(health: ServiceHealth, head: Option<u64>) -> ServiceInstance {
    let lag = head
        .zip(health.position)
        .map(|(head, position)| head.saturating_sub(position));
    ServiceInstance {
        service: health.service,
        instance: health.instance,
        version: health.version,
        health: health.state,
        position: health.position,
        lag,
        started_at: health.started_at,
    }
}

/// Shows what nodes and containers use now.
#[utoipa::path(get, path = "/v1/top", tag = "platform", params(ScopeQuery),
    responses((status = 200, description = "What is used", body = Top)))]
pub(crate) async fn top(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ScopeQuery>,
) -> Result<At<Top>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let clusters = match cluster {
        Some(cluster) => vec![cluster],
        None => app.view.read(|view| view.cluster_ids(&caller.access)),
    };
    let asked = clusters.into_iter().map(|cluster| usage_of(&app, cluster));
    let found: Vec<Vec<UsageSample>> = stream::iter(asked)
        .buffer_unordered(PARALLEL_CLUSTERS)
        .try_collect()
        .await?;
    let samples: Vec<UsageSample> = found.into_iter().flatten().collect();
    let position = app.view.position();
    let answer = app.view.read(|view| {
        let seen = samples.iter().filter(|sample| {
            view.cluster_row(&caller.access, sample.cluster_id).is_some()
                && cluster.is_none_or(|cluster| cluster == sample.cluster_id)
        });
        usage(view, seen)
    });
    Ok(At::shown(position, answer))
}

pub(super) async fn usage_of(app: &App, cluster: ClusterId) -> Result<Vec<UsageSample>, Fault> {
    Ok(app
        .context
        .bus
        .ask("monitor", "usage", &cluster.to_string(), &())
        .await?)
}

fn usage<'s>(view: &ApiView, samples: impl Iterator<Item = &'s UsageSample>) -> Top {
    let mut top = Top {
        nodes: Vec::new(),
        containers: Vec::new(),
    };
    for sample in samples {
        let row = view.node_row(sample.node_id);
        let node = row.map_or_else(|| sample.node_id.to_string(), |row| row.name.to_string());
        top.nodes.push(NodeTop {
            node_id: sample.node_id,
            node: node.clone(),
            cluster_id: sample.cluster_id,
            taken_at: sample.taken_at,
            cpu_millis: sample.cpu_millis,
            cpu_total_millis: row.map_or(0, |row| row.facts.cpu_millis),
            memory_bytes: sample.memory_bytes,
            memory_total_bytes: sample.memory_total_bytes,
            containers: u32::try_from(sample.containers.len()).unwrap_or(u32::MAX),
        });
        top.containers
            .extend(sample.containers.iter().map(|container| ContainerTop {
                id: container.allocation_id,
                name: container.name.clone(),
                application_id: container.application_id,
                application: view.application_name(container.application_id),
                node: node.clone(),
                cpu_millis: container.cpu_millis,
                memory_bytes: container.memory_bytes,
                memory_limit_bytes: container.memory_limit_bytes,
                pids: container.pids,
            }));
    }
    top.nodes
        .sort_by(|a, b| (&a.node, a.node_id).cmp(&(&b.node, b.node_id)));
    top.containers.sort_by(|a, b| {
        b.cpu_millis
            .cmp(&a.cpu_millis)
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| a.id.cmp(&b.id))
    });
    top
}

/// Says what came of a command, also when its answer was lost.
#[utoipa::path(get, path = "/v1/commands/{command}", tag = "platform",
    params(("command" = String, Path, description = "Id of the command")),
    responses((status = 200, description = "Its outcome, if it is known", body = CommandReport)))]
pub(crate) async fn command(
    State(app): State<Shared>,
    Read(_caller): Read<Reading>,
    Segment(command): Segment,
) -> Result<At<CommandReport>, Fault> {
    let command_id: CommandId = command
        .parse()
        .map_err(|_| Fault::bad("command.id", format!("`{command}` is not the id of a command")))?;
    let status: CommandStatus = app
        .context
        .bus
        .ask("ledger", "command", &command_id.to_string(), &())
        .await?;
    Ok(At::shown(
        app.view.position(),
        CommandReport {
            command_id,
            outcome: status.outcome,
        },
    ))
}

/// How this process is. Needs no token.
#[utoipa::path(get, path = "/health", tag = "platform", security(()),
    responses((status = 200, description = "It works", body = Health),
        (status = 503, description = "It does not", body = Health)))]
pub(crate) async fn health(State(app): State<Shared>) -> (StatusCode, Json<Health>) {
    let health = App::health(&app);
    let status = match health.state {
        HealthState::Green | HealthState::Yellow(_) => StatusCode::OK,
        HealthState::Red(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health(health)))
}

impl App {
    fn health(&self) -> ServiceHealth {
        self.context.health.get()
    }
}
