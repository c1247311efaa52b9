//! What a change would do, for people and scripts.

use super::{Session, deploy};
use crate::{
    cli::{Plan, PlanEnding},
    client::{diagnostic, encode},
    exit::{Exit, Failure, Outcome},
    output::{Table, Tone, cell, paint, toned, word},
};
use berth_api::{PlanChange, Planned};
use berth_events::{
    ChangePlan, KeyChange, PlanAction, PlannedContainer, ServicePlan, StopReason, spec::UpdateOrder,
};

/// Carries out `berth plan`.
///
/// # Errors
/// The file is wrong, or the platform would refuse it.
pub async fn plan(session: &Session, args: Plan) -> Outcome {
    let body = deploy::request(&args.what)?;
    let cluster = session.cluster().await?;
    let path = format!("/v1/clusters/{}/plan", encode(&cluster));
    let planned: Planned = session.client.post(&path, &body).await?;
    show(session, &planned, args.ending)
}

/// Says what a change of an application would do.
///
/// # Errors
/// The platform would refuse it.
pub async fn change(session: &Session, app: &str, change: PlanChange) -> Outcome {
    let path = session.path("applications", app, "/plan");
    let planned: Planned = session.client.post(&path, &change).await?;
    show(session, &planned, PlanEnding::default())
}

fn show(session: &Session, planned: &Planned, ending: PlanEnding) -> Outcome {
    for warning in &planned.warnings {
        session.printer.note(&diagnostic(warning));
    }
    session.printer.print(planned, text)?;
    if ending.detailed_exitcode && acts(&planned.plan) {
        return Err(Failure::new(Exit::Changes, "it would change something"));
    }
    Ok(())
}

/// Something would be recorded or some container of the application would come or go.
fn acts(plan: &ChangePlan) -> bool {
    plan.changed || plan.counts.create + plan.counts.replace + plan.counts.remove > 0
}

fn text(planned: &Planned) -> String {
    let plan = &planned.plan;
    if !acts(plan) && plan.counts.pending == 0 {
        return format!(
            "{} is already so; nothing would change ({} containers stay)",
            planned.name, plan.counts.keep
        );
    }
    let mut parts = vec![headline(planned)];
    parts.extend(model(plan));
    parts.extend(containers("Containers", &plan.containers));
    parts.extend(containers("Other applications", &plan.others));
    parts.extend(pulls(plan));
    parts.extend(services(plan));
    if !plan.complete {
        parts.push(
            "There are more steps than could be looked at; what is not shown follows the same rules.".into(),
        );
    }
    parts.join("\n\n")
}

fn headline(planned: &Planned) -> String {
    let (plan, counts) = (&planned.plan, planned.plan.counts);
    let what = match (plan.application_id, plan.release) {
        (None, _) => format!("{} is new", planned.name),
        (Some(_), Some(release)) => format!("{} would get release {release}", planned.name),
        (Some(_), None) => planned.name.clone(),
    };
    let pending = if counts.pending > 0 {
        format!(", {} without a place", counts.pending)
    } else {
        String::new()
    };
    format!(
        "{what}: {} to create, {} to replace, {} to remove, {} stay{pending}; {} steps",
        counts.create, counts.replace, counts.remove, counts.keep, plan.steps
    )
}

fn heading(title: &str, body: &str) -> String {
    let lines: Vec<String> = body.lines().map(|line| format!("  {line}")).collect();
    format!("{}\n{}", paint(title, Tone::Strong), lines.join("\n"))
}

fn model(plan: &ChangePlan) -> Option<String> {
    let model = &plan.model;
    let added = model
        .added
        .iter()
        .map(|name| format!("{} service {name}", paint("+", Tone::Good)));
    let removed = model
        .removed
        .iter()
        .map(|name| format!("{} service {name}", paint("-", Tone::Bad)));
    let keys = model.keys.iter().map(key);
    let lines: Vec<String> = added.chain(removed).chain(keys).collect();
    (!lines.is_empty()).then(|| heading("File", &lines.join("\n")))
}

fn key(change: &KeyChange) -> String {
    let path = &change.path;
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if before == after => {
            format!("{} {path}: another value", paint("~", Tone::Warn))
        }
        (Some(before), Some(after)) => format!("{} {path}: {before} → {after}", paint("~", Tone::Warn)),
        (None, after) => format!(
            "{} {path}: {}",
            paint("+", Tone::Good),
            after.as_deref().unwrap_or_default()
        ),
        (before, None) => format!(
            "{} {path}: {}",
            paint("-", Tone::Bad),
            before.as_deref().unwrap_or_default()
        ),
    }
}

fn containers(title: &str, planned: &[PlannedContainer]) -> Option<String> {
    let moving = planned.iter().filter(|one| one.action != PlanAction::Keep);
    let mut table = Table::new(&["ACTION", "CONTAINER", "NODE", "STEP", "WHY"]);
    let mut any = false;
    for one in moving {
        any = true;
        table.row([
            toned(word(&one.action), tone(one.action)),
            cell(format!("{}_{}_{}", one.application, one.service, one.slot)),
            cell(place(one)),
            cell(steps(one)),
            cell(why(one)),
        ]);
    }
    any.then(|| heading(title, &table.render()))
}

fn tone(action: PlanAction) -> Tone {
    match action {
        PlanAction::Create => Tone::Good,
        PlanAction::Replace => Tone::Warn,
        PlanAction::Remove | PlanAction::Pending => Tone::Bad,
        PlanAction::Keep => Tone::Plain,
    }
}

fn place(one: &PlannedContainer) -> String {
    match (&one.from, &one.to) {
        (Some(from), Some(to)) if from == to => to.to_string(),
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (Some(from), None) => from.to_string(),
        (None, Some(to)) => to.to_string(),
        (None, None) => String::new(),
    }
}

/// When it stops and when its successor starts; one number if that is the same or only one is.
fn steps(one: &PlannedContainer) -> String {
    match (one.stopped_in, one.placed_in) {
        (Some(stopped), Some(placed)) if stopped != placed => {
            let (first, last) = (stopped.min(placed), stopped.max(placed));
            format!("{first}–{last}")
        }
        (Some(step), _) | (None, Some(step)) => step.to_string(),
        (None, None) => String::new(),
    }
}

fn why(one: &PlannedContainer) -> String {
    let stop = one.stop.map(|reason| reason_text(reason).to_owned());
    let placed = one.why.as_ref().map(|why| {
        let refused: Vec<String> = why
            .refused
            .iter()
            .map(|(filter, nodes)| format!("{filter} {nodes}"))
            .collect();
        let refused = if refused.is_empty() {
            String::new()
        } else {
            format!(", refused: {}", refused.join(", "))
        };
        let nodes = if why.candidates == 1 { "node" } else { "nodes" };
        format!("{} {nodes} would do{refused}", why.candidates)
    });
    stop.into_iter().chain(placed).collect::<Vec<_>>().join("; ")
}

fn reason_text(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Surplus => "no longer wanted",
        StopReason::Changed => "changed",
        StopReason::Restart => "restart",
        StopReason::ApplicationStopped => "stopped",
        StopReason::ApplicationRemoved => "removed",
        StopReason::Drained => "node is drained",
        StopReason::Ended => "has ended",
        StopReason::Replaced => "replaced",
        StopReason::Misplaced => "may no longer be there",
        StopReason::PushedOut => "pushed out for a more important one",
    }
}

fn pulls(plan: &ChangePlan) -> Option<String> {
    let lines: Vec<String> = plan
        .pulls
        .iter()
        .map(|(image, nodes)| {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            format!("{image} on {}", nodes.join(", "))
        })
        .collect();
    (!lines.is_empty()).then(|| heading("Images to be pulled, as far as is known", &lines.join("\n")))
}

fn services(plan: &ChangePlan) -> Option<String> {
    let lines: Vec<String> = plan
        .services
        .iter()
        .flat_map(|(name, service)| service_lines(name, service))
        .collect();
    (!lines.is_empty()).then(|| heading("Services on the way", &lines.join("\n")))
}

fn service_lines(name: &str, service: &ServicePlan) -> Vec<String> {
    let mut lines = Vec::new();
    let order = match service.order {
        Some(UpdateOrder::StartFirst) => Some("each new container starts before the old one stops"),
        Some(UpdateOrder::StopFirst) => Some("each old container stops before the new one starts"),
        None => None,
    };
    if service.interrupted {
        let line = format!("{name}: interrupted, at a moment none of its containers is ready");
        lines.push(paint(&line, Tone::Bad));
    } else if service.ready > service.least_ready {
        lines.push(format!(
            "{name}: at least {} of {} stay ready",
            service.least_ready, service.ready
        ));
    } else if order.is_some() {
        lines.push(format!("{name}: no interruption"));
    }
    if let Some(order) = order {
        lines.push(format!("{name}: {order}"));
    }
    if let Some(report) = &service.why {
        lines.push(paint(&format!("{name}: {}", report.summary), Tone::Bad));
        lines.extend(report.cure.iter().map(|cure| format!("  help: {cure}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{BlockReport, ModelChange, PlacementReason, PlanCounts};
    use std::collections::{BTreeMap, BTreeSet};

    fn container(service: &str, action: PlanAction) -> PlannedContainer {
        let node = |name| berth_ids::Name::parse(name).ok();
        let (there, placed) = (action != PlanAction::Create, action != PlanAction::Remove);
        PlannedContainer {
            application: "shop".parse().unwrap(),
            service: service.into(),
            slot: 1,
            action,
            from: there.then(|| node("n1")).flatten(),
            to: placed.then(|| node("n2")).flatten(),
            placed_in: placed.then_some(2),
            stopped_in: there.then_some(1),
            stop: there.then_some(StopReason::Changed),
            why: placed.then(|| PlacementReason {
                candidates: 2,
                refused: BTreeMap::from([("memory".to_owned(), 1)]),
                ..PlacementReason::default()
            }),
        }
    }

    fn planned() -> Planned {
        let key = |path: &str, before: Option<&str>, after: Option<&str>| KeyChange {
            path: path.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let web = ServicePlan {
            wanted: 1,
            ready: 1,
            order: Some(UpdateOrder::StopFirst),
            interrupted: true,
            ..ServicePlan::default()
        };
        let db = ServicePlan {
            wanted: 1,
            pending: BTreeSet::from([1]),
            why: Some(BlockReport {
                summary: "pending: no node has 4 GiB of memory free".into(),
                cure: Some("add a node".into()),
                ..BlockReport::default()
            }),
            ..ServicePlan::default()
        };
        Planned {
            name: "shop".into(),
            warnings: vec![],
            plan: ChangePlan {
                application_id: Some(Default::default()),
                release: Some(4),
                changed: true,
                model: ModelChange {
                    added: BTreeSet::from(["db".into()]),
                    removed: BTreeSet::from(["old".into()]),
                    keys: vec![
                        key("services.web.image", Some("nginx:1"), Some("nginx:2")),
                        key(
                            "services.web.environment.PASSWORD",
                            Some("(secret)"),
                            Some("(secret)"),
                        ),
                        key("services.web.user", None, Some("www")),
                    ],
                },
                services: BTreeMap::from([("web".into(), web), ("db".into(), db)]),
                containers: vec![
                    container("web", PlanAction::Replace),
                    container("old", PlanAction::Remove),
                    container("new", PlanAction::Create),
                ],
                counts: PlanCounts {
                    create: 1,
                    replace: 1,
                    keep: 3,
                    remove: 1,
                    pending: 1,
                },
                pulls: BTreeMap::from([("nginx:2".into(), BTreeSet::from(["n2".parse().unwrap()]))]),
                steps: 2,
                ..ChangePlan::default()
            },
        }
    }

    #[test]
    fn a_plan_reads_like_this() {
        insta::assert_snapshot!(text(&planned()));
    }

    #[test]
    fn nothing_is_one_line() {
        let mut planned = planned();
        planned.plan = ChangePlan {
            counts: PlanCounts {
                keep: 2,
                ..PlanCounts::default()
            },
            ..ChangePlan::default()
        };
        assert_eq!(
            text(&planned),
            "shop is already so; nothing would change (2 containers stay)"
        );
        assert!(!acts(&planned.plan));
    }
}
