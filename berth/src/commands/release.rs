//! Releases: looking, pausing, taking back.

use super::{
    Session, plan,
    tables::{method, release_table, source},
    wait, watch,
};
use crate::{
    cli::{AbortRelease, ConfirmRelease, ReleaseCommand, Rollback, ShowRelease, Weigh},
    exit::{Exit, Failure, Outcome},
    output::{Table, cell, word},
};
use berth_api::{PlanChange, Release, ReleaseDetail, Releases, Written};
use reqwest::Method;

pub(super) fn path(session: &Session, app: &str, rest: &str) -> String {
    session.path("applications", app, rest)
}

/// Carries out `berth release …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: ReleaseCommand) -> Outcome {
    match command {
        ReleaseCommand::Ls(args) => {
            let releases: Releases = session.client.get(&path(session, &args.app, "/releases")).await?;
            session
                .printer
                .print(&releases.items, |items| release_table(items))
        }
        ReleaseCommand::Show(args) => show(session, args).await,
        ReleaseCommand::Watch(args) => watch::run(session, args).await,
        ReleaseCommand::Pause(args) => {
            order(session, &args.app, "/pause-release", "paused the release of").await
        }
        ReleaseCommand::Resume(args) => {
            order(session, &args.app, "/resume-release", "resumed the release of").await
        }
        ReleaseCommand::Abort(args) => abort(session, args).await,
        ReleaseCommand::Confirm(args) => confirm(session, args).await,
        ReleaseCommand::Weight(args) => weigh(session, args).await,
    }
}

async fn order(session: &Session, app: &str, rest: &str, done: &str) -> Outcome {
    let written: Written = session
        .client
        .write(Method::POST, &path(session, app, rest), None::<&()>)
        .await?;
    session.printer.done(&written, &format!("{done} {app}"))
}

async fn abort(session: &Session, args: AbortRelease) -> Outcome {
    let written: Written = session
        .client
        .write(
            Method::POST,
            &path(session, &args.app, "/abort-release"),
            None::<&()>,
        )
        .await?;
    if args.wait.wait {
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
    }
    let line = format!("{} goes back to the last release that ran", args.app);
    session.printer.done(&written, &line)
}

async fn confirm(session: &Session, args: ConfirmRelease) -> Outcome {
    let body = berth_api::ConfirmRelease { force: args.force };
    let written: Written = session
        .client
        .post(&path(session, &args.app, "/confirm-release"), &body)
        .await?;
    if args.wait.wait {
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
    }
    let line = format!("confirmed: the old services of {} go", args.app);
    session.printer.done(&written, &line)
}

async fn weigh(session: &Session, args: Weigh) -> Outcome {
    let shown: Vec<_> = args
        .weights
        .iter()
        .map(|(name, weight)| format!("{name} {weight}"))
        .collect();
    let body = berth_api::Weights {
        weights: args.weights.into_iter().collect(),
    };
    let written: Written = session
        .client
        .post(&path(session, &args.app, "/weights"), &body)
        .await?;
    let line = format!("weights of {}: {}", args.app, shown.join(", "));
    session.printer.done(&written, &line)
}

/// Carries out `berth rollback`.
///
/// # Errors
/// There is nothing to go back to, or what the platform answered.
pub async fn rollback(session: &Session, args: Rollback) -> Outcome {
    let body = berth_api::Rollback { to: args.to };
    if args.dry.dry_run {
        return plan::change(session, &args.app, PlanChange::Rollback(body)).await;
    }
    let written: Written = session
        .client
        .post(&path(session, &args.app, "/rollback"), &body)
        .await?;
    if args.wait.wait {
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
    }
    let what = match args.to {
        Some(number) => format!("release {number}"),
        None => "the last release before that ran".to_owned(),
    };
    session
        .printer
        .done(&written, &format!("{} goes back to {what}", args.app))
}

pub(super) async fn newest(session: &Session, app: &str) -> Outcome<Release> {
    let releases: Releases = session.client.get(&path(session, app, "/releases")).await?;
    let newest = releases.items.into_iter().next();
    newest.ok_or_else(|| Failure::new(Exit::NotFound, format!("{app} has no release")))
}

async fn show(session: &Session, args: ShowRelease) -> Outcome {
    let number = match args.number {
        Some(number) => number,
        None => newest(session, &args.app).await?.number,
    };
    let rest = format!("/releases/{number}");
    let detail: ReleaseDetail = session.client.get(&path(session, &args.app, &rest)).await?;
    session.printer.print(&detail, fields)
}

fn fields(detail: &ReleaseDetail) -> String {
    let release = &detail.release;
    let mut table = Table::fields();
    table.field("Release", release.number);
    table.field("Id", release.id);
    table.field("State", word(&release.state));
    if let Some(failure) = &release.failure {
        table.field("Failure", failure);
    }
    table.field("Method", method(&release.method));
    table.field("Source", source(&release.source));
    table.field("By", &release.actor);
    let images: Vec<_> = release
        .images
        .iter()
        .map(|(service, image)| match release.digests.get(image) {
            Some(digest) => format!("{service}: {image}@{digest}"),
            None => format!("{service}: {image}"),
        })
        .collect();
    table.field("Images", images.join(", "));
    let values = detail.values.iter().flat_map(|(service, values)| {
        values
            .iter()
            .map(move |(name, version)| format!("{service}: {name} v{version}"))
    });
    table.field("Values", values.collect::<Vec<_>>().join(", "));
    let shares: Vec<_> = detail
        .weights
        .iter()
        .map(|(name, weight)| format!("{name} {weight}"))
        .collect();
    table.field("Traffic", shares.join(", "));
    let mut containers = Table::new(&["CONTAINER", "NODE", "STATE", "HEALTH", "PLACED", "READY", "WHY"]);
    for one in &detail.containers {
        let why = if one.kept { "as before" } else { one.cause.as_str() };
        containers.row([
            cell(format!("{}.{}", one.service, one.slot)),
            cell(&one.node),
            cell(word(&one.state)),
            cell(word(&one.health)),
            cell(one.placed_at),
            cell(one.ready_at.map_or_else(String::new, |at| at.to_string())),
            cell(why),
        ]);
    }
    let mut timeline = Table::new(&["WHEN", "WHAT", "BY"]);
    for step in &detail.timeline {
        timeline.row([cell(step.at), cell(&step.what), cell(&step.actor)]);
    }
    let difference = match detail.difference.as_str() {
        "" => "no difference from the release before\n".to_owned(),
        text => format!("difference from the release before:\n{text}"),
    };
    format!(
        "{}\n{}\n{}\n{difference}",
        table.render(),
        containers.render(),
        timeline.render()
    )
}
