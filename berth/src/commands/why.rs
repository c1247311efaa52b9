//! `berth why`: the reasons of a place, and the reasons of a wait.

use super::{Session, tables};
use crate::{
    cli::Why as Args,
    exit::{Exit, Failure, Outcome},
    output::{paint, word},
};
use berth_api::{Application, Container, ContainerState, ContainerWhy, ServiceDomains, ServiceWhy, Why};
use berth_events::{BlockReport, PlacementReason};
use std::collections::BTreeSet;

/// The most values of a label that are shown.
const MAX_DOMAINS_SHOWN: usize = 20;

/// Carries out `berth why`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let missing = match of_application(session, &args.target, args.service.as_deref()).await {
        Ok(why) => return session.printer.print(&why, application_text),
        Err(failure) if failure.exit == Exit::NotFound => failure,
        Err(failure) => return Err(failure),
    };
    if args.service.is_some() {
        return Err(missing);
    }
    match session
        .client
        .get::<ContainerWhy>(&session.path("containers", &args.target, "/why"))
        .await
    {
        Ok(why) => return session.printer.print(&why, container_text),
        Err(failure) if failure.exit == Exit::NotFound => {}
        Err(failure) => return Err(failure),
    }
    let Some(app) = application_with(session, &args.target).await? else {
        let message = format!("there is no application, container or service `{}`", args.target);
        return Err(Failure::new(Exit::NotFound, message).cure("see `berth apps` and `berth ps --all`"));
    };
    let why = of_application(session, &app, Some(&args.target)).await?;
    session.printer.print(&why, application_text)
}

async fn of_application(session: &Session, app: &str, service: Option<&str>) -> Outcome<Why> {
    let mut why: Why = session
        .client
        .get(&session.path("applications", app, "/why"))
        .await?;
    if let Some(service) = service {
        why.services.retain(|one| one.service == service);
        if why.services.is_empty() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("application {app} has no service `{service}`"),
            ));
        }
    }
    Ok(why)
}

/// Id of the only application that has a service of this name.
async fn application_with(session: &Session, service: &str) -> Outcome<Option<String>> {
    let applications: Vec<Application> = session
        .client
        .list(&session.in_cluster("/v1/applications"))
        .await?;
    let with: Vec<_> = applications
        .iter()
        .filter(|application| application.services.iter().any(|one| one.name == service))
        .collect();
    match with.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.id.to_string())),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|application| application.name.as_str())
                .collect();
            let message = format!(
                "several applications have a service `{service}`: {}",
                names.join(", ")
            );
            Err(Failure::usage(message).cure("write `berth why APP SERVICE`"))
        }
    }
}

/// Why an application is not as wanted: only what is not well.
pub fn reasons(why: &Why) -> String {
    let services = why
        .services
        .iter()
        .filter(|service| service.running < service.wanted || service.pending.is_some());
    services
        .map(|service| service_text(service, false))
        .collect::<Vec<_>>()
        .join("\n")
}

fn application_text(why: &Why) -> String {
    let mut text = format!(
        "{} is {}\n",
        why.name,
        paint(&word(&why.status), tables::tone(why.status))
    );
    if !why.waits_for.is_empty() {
        text.push_str(&format!("{}\n", tables::waits(&why.waits_for)));
    }
    for service in &why.services {
        text.push('\n');
        text.push_str(&service_text(service, true));
    }
    text
}

fn service_text(service: &ServiceWhy, placed_too: bool) -> String {
    let status = paint(&word(&service.status), tables::tone(service.status));
    let mut text = format!(
        "{}: {status}, {} of {} running{}\n",
        service.service,
        service.running,
        service.wanted,
        match service.containers.iter().filter(|row| ended_well(row)).count() {
            0 => String::new(),
            jobs => format!(", {jobs} ended with code 0"),
        }
    );
    if let Some(report) = &service.pending {
        text.push_str(&pending_text(report, &service.pending_slots));
    }
    if placed_too {
        for spread in &service.domains {
            text.push_str(&domains_text(spread));
        }
    }
    for container in &service.containers {
        if placed_too || container.state != ContainerState::Running {
            text.push_str(&place_text(container));
        }
    }
    text
}

/// Where a service is, value by value of a label, and whether that is what was asked for.
fn domains_text(spread: &ServiceDomains) -> String {
    let used = spread.domains.values().filter(|domain| domain.containers > 0);
    let used = used.count();
    let asked = match (spread.wanted, spread.promised) {
        (0, _) => format!("spread over {}", spread.label),
        (wanted, true) => format!("promised {wanted} values of {}, on {used}", spread.label),
        (wanted, false) => format!(
            "wants {wanted} values of {} as far as there are so many, on {used}",
            spread.label
        ),
    };
    let mut text = format!("  {asked}\n");
    for (value, count) in spread.domains.iter().take(MAX_DOMAINS_SHOWN) {
        text.push_str(&format!(
            "    {value}: {} of its containers, {} nodes that take some\n",
            count.containers, count.nodes
        ));
    }
    let more = spread.domains.len().saturating_sub(MAX_DOMAINS_SHOWN);
    if more > 0 {
        text.push_str(&format!("    and {more} more values\n"));
    }
    text
}

fn ended_well(container: &Container) -> bool {
    container.state == ContainerState::Exited && container.exit_code == Some(0)
}

fn pending_text(report: &BlockReport, slots: &BTreeSet<u32>) -> String {
    let slots: Vec<_> = slots.iter().map(u32::to_string).collect();
    let mut text = format!("  slots {}: {}\n", slots.join(", "), report.summary);
    // What refused no node is said by the summary.
    for refusal in report.refusals.iter().filter(|refusal| refusal.nodes > 0) {
        text.push_str(&format!(
            "    {}: refused {} of {} nodes\n",
            refusal.filter, refusal.nodes, report.nodes
        ));
        for (node, lack) in &refusal.examples {
            text.push_str(&format!("      {node}: {lack}\n"));
        }
    }
    if let Some(cure) = &report.cure {
        text.push_str(&format!("    help: {cure}\n"));
    }
    text
}

fn place_text(container: &Container) -> String {
    let (state, tone) = tables::state_of(container);
    let mut text = format!(
        "  {} on {}: {}\n",
        container.name,
        container.node,
        paint(&state, tone)
    );
    if let Some(message) = &container.message {
        text.push_str(&format!("    {message}\n"));
    }
    if let Some(retry) = &container.retry {
        text.push_str(&format!(
            "    attempt {} failed, next try at {}",
            retry.attempt, retry.next_try_at
        ));
        let message = retry.message.trim();
        if !message.is_empty() {
            text.push_str(&format!(": {message}"));
        }
        text.push('\n');
    }
    if let Some(output) = container
        .health_output
        .as_ref()
        .filter(|output| !output.is_empty())
    {
        text.push_str(&format!("    check: {output}\n"));
    }
    text.push_str(&format!("    {}\n", choice_text(&container.why)));
    text
}

fn choice_text(why: &PlacementReason) -> String {
    let refused: u32 = why.refused.values().sum();
    let mut text = format!(
        "{}: {} of {} nodes passed",
        why.cause,
        why.candidates,
        why.candidates.saturating_add(refused)
    );
    if !why.refused.is_empty() {
        let parts: Vec<_> = why
            .refused
            .iter()
            .map(|(filter, nodes)| format!("{filter} {nodes}"))
            .collect();
        text.push_str(&format!(" (refused by {})", parts.join(", ")));
    }
    if !why.score.is_empty() {
        let parts: Vec<_> = why
            .score
            .iter()
            .map(|(part, points)| format!("{part} {points}"))
            .collect();
        text.push_str(&format!("; score: {}", parts.join(", ")));
    }
    text
}

fn container_text(why: &ContainerWhy) -> String {
    let mut text = why.explanation.join("\n");
    text.push('\n');
    text.push_str(&place_text(&why.container));
    for change in &why.container.history {
        let detail = if change.detail.is_empty() {
            String::new()
        } else {
            format!("  {}", change.detail)
        };
        text.push_str(&format!(
            "    {}  {}  #{}{detail}\n",
            change.at, change.event, change.position
        ));
    }
    for before in &why.predecessors {
        text.push_str(&format!(
            "  before: {} on {}, {}\n",
            before.id,
            before.node,
            tables::state_of(before).0
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_api::{ApplicationStatus, DomainCount};
    use berth_events::Refusal;

    #[test]
    fn a_wait_names_filters_nodes_and_cure() {
        let report = BlockReport {
            summary: "pending: no node has 4 GiB of memory free".into(),
            nodes: 2,
            refusals: vec![Refusal {
                filter: "memory".into(),
                nodes: 2,
                examples: [
                    ("n1".to_owned(), "3 GiB free".to_owned()),
                    ("n2".to_owned(), "1 GiB free".to_owned()),
                ]
                .into(),
            }],
            cure: Some("free 1 GiB on n1".into()),
        };
        let service = ServiceWhy {
            service: "web".into(),
            status: ApplicationStatus::Pending,
            wanted: 2,
            running: 1,
            pending_slots: [2].into(),
            pending: Some(report),
            domains: vec![ServiceDomains {
                label: "zone".into(),
                wanted: 2,
                promised: true,
                domains: [(
                    "a".to_owned(),
                    DomainCount {
                        nodes: 2,
                        containers: 1,
                    },
                )]
                .into(),
            }],
            containers: Vec::new(),
        };
        insta::assert_snapshot!(service_text(&service, true));
    }

    #[test]
    fn a_choice_names_score_and_refusals() {
        let why = PlacementReason {
            cause: "new".into(),
            candidates: 2,
            refused: [("zone".to_owned(), 1)].into(),
            score: [("spread".to_owned(), 50), ("image".to_owned(), 10)].into(),
        };
        assert_eq!(
            choice_text(&why),
            "new: 2 of 3 nodes passed (refused by zone 1); score: image 10, spread 50"
        );
    }
}
