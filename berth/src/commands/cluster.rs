//! `berth cluster …`.

use super::Session;
use crate::{
    cli::{ClusterCommand, CreateCluster, SetCluster, age},
    client::{encode, query},
    exit::{Failure, Outcome},
    output::{Table, Tone, bytes, cell, cores, toned, word},
};
use berth_api::{Cluster, ClusterState, PatchCluster, Written};
use berth_events::Quota;
use berth_ids::{Name, Timestamp};
use berth_service_kit::Clock;
use reqwest::Method;

/// Carries out `berth cluster …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: ClusterCommand) -> Outcome {
    match command {
        ClusterCommand::Create(args) => create(session, args).await,
        ClusterCommand::Ls => {
            let clusters: Vec<Cluster> = session.client.list("/v1/clusters").await?;
            session
                .printer
                .print(&clusters, |clusters| table(clusters, Clock::now()))
        }
        ClusterCommand::Show { name } => {
            let cluster: Cluster = session.client.get(&path(&name)).await?;
            session.printer.print(&cluster, fields)
        }
        ClusterCommand::Rename { name, new_name } => {
            let patch = PatchCluster {
                name: Some(parse_name(&new_name)?),
                ..PatchCluster::default()
            };
            let written: Written = session
                .client
                .write(Method::PATCH, &path(&name), Some(&patch))
                .await?;
            session
                .printer
                .done(&written, &format!("cluster {name} is now called {new_name}"))
        }
        ClusterCommand::Set(args) => set(session, args).await,
        ClusterCommand::Rm { name, force } => {
            let force = if force { "true" } else { "" };
            let written: Written = session
                .client
                .delete(&query(&path(&name), &[("force", force)]))
                .await?;
            session
                .printer
                .done(&written, &format!("cluster {name} is being deleted"))
        }
    }
}

/// Checks a name before it is sent.
///
/// # Errors
/// Which rule the name breaks.
pub fn parse_name(text: &str) -> Outcome<Name> {
    text.parse()
        .map_err(|error: berth_ids::NameError| Failure::usage(error.to_string()))
}

fn path(name: &str) -> String {
    format!("/v1/clusters/{}", encode(name))
}

async fn create(session: &Session, args: CreateCluster) -> Outcome {
    let body = berth_api::CreateCluster {
        name: parse_name(&args.name)?,
        region: Some(args.region),
        zones: args.zones.into_iter().collect(),
        policy: Some(args.policy.into()),
        strategy: Some(args.strategy.into()),
    };
    let written: Written = session.client.post("/v1/clusters", &body).await?;
    let line = format!(
        "created cluster {} ({})\nnext: berth token create --join --cluster {}",
        args.name, written.id, args.name
    );
    session.printer.done(&written, &line)
}

async fn set(session: &Session, args: SetCluster) -> Outcome {
    let patch = PatchCluster {
        name: None,
        policy: args.policy.map(Into::into),
        strategy: args.strategy.map(Into::into),
        quota: args.quota,
        application_quota: args.app_quota,
    };
    let written: Written = session
        .client
        .write(Method::PATCH, &path(&args.name), Some(&patch))
        .await?;
    session
        .printer
        .done(&written, &format!("changed cluster {}", args.name))
}

fn tone(state: ClusterState) -> Tone {
    match state {
        ClusterState::Running => Tone::Good,
        ClusterState::Inactive | ClusterState::Updating | ClusterState::Deleting => Tone::Warn,
        ClusterState::Failed => Tone::Bad,
    }
}

fn table(clusters: &Vec<Cluster>, now: Timestamp) -> String {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "NODES",
        "APPS",
        "CONTAINERS",
        "REGION",
        "POLICY",
        "AGE",
        "ID",
    ]);
    for cluster in clusters {
        table.row([
            cell(&cluster.name),
            toned(word(&cluster.state), tone(cluster.state)),
            cell(format!("{}/{}", cluster.nodes.ready, cluster.nodes.total)),
            cell(cluster.applications),
            cell(format!(
                "{}/{}",
                cluster.containers.running, cluster.containers.total
            )),
            cell(&cluster.region),
            cell(word(&cluster.policy)),
            cell(age(cluster.created_at, now)),
            toned(cluster.id, Tone::Dim),
        ]);
    }
    table.render()
}

/// A quota in words; nothing if there is none.
fn quota(quota: Quota) -> String {
    let cpu = quota.cpu_millis.map(|amount| format!("{} cores", cores(amount)));
    let memory = quota
        .memory_bytes
        .map(|amount| format!("{} of memory", bytes(amount)));
    let containers = quota.containers.map(|count| format!("{count} containers"));
    let parts: Vec<String> = [cpu, memory, containers].into_iter().flatten().collect();
    parts.join(", ")
}

fn fields(cluster: &Cluster) -> String {
    let mut table = Table::fields();
    table.field("Name", &cluster.name);
    table.field("Id", cluster.id);
    table.field("State", word(&cluster.state));
    table.field("Region", &cluster.region);
    table.field(
        "Zones",
        cluster.zones.iter().cloned().collect::<Vec<_>>().join(", "),
    );
    table.field("Policy", word(&cluster.policy));
    table.field("Strategy", word(&cluster.strategy));
    table.field("Quota", quota(cluster.quotas.cluster));
    table.field("Quota of each application", quota(cluster.quotas.application));
    let nodes = cluster.nodes;
    let counts = format!(
        "{} ({} ready, {} cordoned, {} draining, {} lost)",
        nodes.total, nodes.ready, nodes.cordoned, nodes.draining, nodes.lost
    );
    table.field("Nodes", counts);
    table.field("Applications", cluster.applications);
    table.field(
        "Containers",
        format!(
            "{} ({} running)",
            cluster.containers.total, cluster.containers.running
        ),
    );
    table.field(
        "CPU",
        format!(
            "{} of {} cores reserved",
            cores(cluster.cpu_reserved_millis),
            cores(cluster.cpu_millis)
        ),
    );
    table.field(
        "Memory",
        format!(
            "{} of {} reserved",
            bytes(cluster.memory_reserved_bytes),
            bytes(cluster.memory_bytes)
        ),
    );
    if !cluster.waits_for.is_empty() {
        table.field("Waits for", cluster.waits_for.join("\n"));
    }
    table.field("Created", cluster.created_at);
    table.field("Version", cluster.version);
    table.render()
}
