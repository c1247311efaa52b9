//! How applications and containers look to people.

use crate::{
    cli::age,
    output::{Table, Tone, cell, toned, word},
};
use berth_api::{Application, ApplicationStatus, Container, ContainerHealth, ContainerState, Release};
use berth_events::{ReleaseMethod, ReleaseSource};
use berth_ids::Timestamp;

/// The tone of a status.
pub fn tone(status: ApplicationStatus) -> Tone {
    match status {
        ApplicationStatus::Running => Tone::Good,
        ApplicationStatus::Deploying
        | ApplicationStatus::Restarting
        | ApplicationStatus::Removing
        | ApplicationStatus::Pending
        | ApplicationStatus::AwaitingConfirmation => Tone::Warn,
        ApplicationStatus::Paused | ApplicationStatus::Degraded => Tone::Bad,
        ApplicationStatus::Stopped => Tone::Dim,
    }
}

/// Applications, for people.
pub fn table(applications: &Vec<Application>, now: Timestamp) -> String {
    let mut table = Table::new(&[
        "NAME",
        "STATUS",
        "CONTAINERS",
        "SERVICES",
        "RELEASE",
        "CLUSTER",
        "CHANGED",
        "ID",
    ]);
    for application in applications {
        let services: Vec<_> = application
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        table.row([
            cell(&application.name),
            toned(word(&application.status), tone(application.status)),
            cell(format!(
                "{}/{}",
                application.containers.running,
                wanted_of(application)
            )),
            cell(services.join(", ")),
            cell(application.releases.first().map_or(0, |release| release.number)),
            cell(&application.cluster),
            cell(format!("{} ago", age(application.updated_at, now))),
            toned(application.id, Tone::Dim),
        ]);
    }
    table.render()
}

fn wanted_of(application: &Application) -> u32 {
    application.services.iter().map(|service| service.wanted).sum()
}

/// Releases, for people.
pub fn release_table(releases: &[Release]) -> String {
    let mut table = Table::new(&["RELEASE", "STATE", "METHOD", "SOURCE", "BY", "STARTED", "ENDED"]);
    for release in releases {
        table.row([
            cell(release.number),
            cell(word(&release.state)),
            cell(method(&release.method)),
            cell(source(&release.source)),
            cell(&release.actor),
            cell(release.started_at),
            cell(release.settled_at.map_or_else(String::new, |at| at.to_string())),
        ]);
    }
    table.render()
}

/// How a release goes live, in a word.
pub fn method(method: &ReleaseMethod) -> &'static str {
    match method {
        ReleaseMethod::Rolling => "rolling",
        ReleaseMethod::Standard => "standard",
        ReleaseMethod::BlueGreen { .. } => "blue-green",
    }
}

/// Where a release came from, in a word.
pub fn source(source: &ReleaseSource) -> String {
    match source {
        ReleaseSource::Compose { file_name, .. } => file_name.clone(),
        ReleaseSource::Image { image } => image.clone(),
        ReleaseSource::Rollback { to, automatic, .. } => {
            let by = if *automatic { " (automatic)" } else { "" };
            format!("rollback to {to}{by}")
        }
    }
}

/// An application, for people.
pub fn fields(application: &Application) -> String {
    let mut table = Table::fields();
    table.field("Name", &application.name);
    table.field("Id", application.id);
    table.field("Cluster", &application.cluster);
    table.field("Status", word(&application.status));
    table.field(
        "Volumes",
        application.volumes.iter().cloned().collect::<Vec<_>>().join(", "),
    );
    table.field(
        "Networks",
        application
            .networks
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
    );
    table.field("Created", application.created_at);
    table.field("Changed", application.updated_at);
    table.field("Version", application.version);
    let mut services = Table::new(&["SERVICE", "STATUS", "RUNNING", "IMAGE", "PORTS", "PENDING"]);
    for service in &application.services {
        services.row([
            cell(&service.name),
            toned(word(&service.status), tone(service.status)),
            cell(format!("{}/{}", service.running, service.wanted)),
            cell(&service.image),
            cell(service.ports.join(", ")),
            cell(
                service
                    .pending
                    .as_ref()
                    .map_or("", |report| report.summary.as_str()),
            ),
        ]);
    }
    let releases = release_table(&application.releases);
    let warnings: Vec<_> = application
        .warnings
        .iter()
        .map(|warning| {
            format!(
                "warning[{}]: {} ({})",
                warning.code, warning.message, warning.path
            )
        })
        .collect();
    let mut parts = vec![table.render(), services.render(), releases];
    if !application.waits_for.is_empty() {
        parts.push(waits(&application.waits_for));
    }
    if !warnings.is_empty() {
        parts.push(warnings.join("\n"));
    }
    parts.join("\n\n")
}

/// What a deletion waits for, for people.
pub fn waits(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("still waits: {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// State of a container as one word and its tone.
pub fn state_of(container: &Container) -> (String, Tone) {
    let state = word(&container.state);
    if container.pending.is_some() {
        return ("waiting".into(), Tone::Bad);
    }
    match (container.state, container.health) {
        (ContainerState::Running, ContainerHealth::Unhealthy) => ("running (unhealthy)".into(), Tone::Bad),
        (ContainerState::Running, ContainerHealth::Healthy) => ("running (healthy)".into(), Tone::Good),
        (ContainerState::Running, ContainerHealth::Unknown) => (state, Tone::Good),
        (ContainerState::Restarting, _) => match container.exit_code {
            Some(code) => (format!("restarting (code {code})"), Tone::Bad),
            None => (state, Tone::Bad),
        },
        (ContainerState::Pulling, _) if container.retry.is_some() => ("pulling (failed)".into(), Tone::Bad),
        (ContainerState::Pulling, _) => match container.pull_percent {
            Some(percent) => (format!("pulling {percent}%"), Tone::Warn),
            None => (state, Tone::Warn),
        },
        (ContainerState::Exited, _) => match container.exit_code {
            Some(0) => ("exited (0)".into(), Tone::Dim),
            Some(code) => (format!("exited ({code})"), Tone::Bad),
            None => (state, Tone::Dim),
        },
        (ContainerState::Failed, _) => match container.failure {
            Some(reason) => (format!("failed ({})", word(&reason)), Tone::Bad),
            None => (state, Tone::Bad),
        },
        (ContainerState::Lost, _) => (state, Tone::Bad),
        (ContainerState::Removed, _) => (state, Tone::Dim),
        (ContainerState::Placed | ContainerState::Created | ContainerState::Stopping, _) => {
            (state, Tone::Warn)
        }
    }
}

/// Containers, for people.
pub fn container_table(containers: &Vec<Container>, now: Timestamp) -> String {
    let mut table = Table::new(&[
        "NAME", "STATE", "APP", "SERVICE", "NODE", "IMAGE", "PORTS", "RESTARTS", "SINCE",
    ]);
    for container in containers {
        let (state, tone) = state_of(container);
        let since = container
            .ended_at
            .or(container.started_at)
            .unwrap_or(container.placed_at);
        let ports: Vec<_> = container
            .ports
            .iter()
            .map(|port| {
                format!(
                    "{}:{}->{}/{}",
                    port.host_ip, port.host_port, port.target, port.protocol
                )
            })
            .collect();
        table.row([
            cell(&container.name),
            toned(state, tone),
            cell(&container.application),
            cell(&container.service),
            cell(&container.node),
            cell(&container.image),
            cell(ports.join(", ")),
            cell(container.restarts),
            cell(age(since, now)),
        ]);
    }
    let waits = containers.iter().filter_map(|container| {
        let why = container.pending.as_ref()?;
        Some(format!("\n{} (slot {}): {why}", container.name, container.slot))
    });
    let waits: String = waits.collect();
    if waits.is_empty() {
        table.render()
    } else {
        format!("{}\n{waits}", table.render())
    }
}
