//! Releases: looking, watching, pausing, taking back.

use super::{
    Session, plan,
    tables::{method, release_table, source},
    wait::{self, Progress},
};
use crate::{
    cli::{AbortRelease, ConfirmRelease, ReleaseCommand, Rollback, ShowRelease, WatchRelease, Weigh},
    exit::{Exit, Failure, Outcome},
    output::{Table, cell, word},
};
use berth_api::{
    Application, ApplicationStatus, PlanChange, Release, ReleaseDetail, ReleaseState, Releases, Written,
};
use berth_ids::ReleaseId;
use reqwest::Method;
use std::time::Duration;

fn path(session: &Session, app: &str, rest: &str) -> String {
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
        ReleaseCommand::Watch(args) => watch(session, args).await,
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

async fn newest(session: &Session, app: &str) -> Outcome<Release> {
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
    let mut timeline = Table::new(&["WHEN", "WHAT", "BY"]);
    for step in &detail.timeline {
        timeline.row([cell(step.at), cell(&step.what), cell(&step.actor)]);
    }
    let difference = match detail.difference.as_str() {
        "" => "no difference from the release before\n".to_owned(),
        text => format!("difference from the release before:\n{text}"),
    };
    format!("{}\n{}\n{difference}", table.render(), timeline.render())
}

/// What a watched application shows on one line.
fn progress(application: &Application, release: &Release) -> String {
    let services: Vec<_> = application
        .services
        .iter()
        .map(|service| {
            let pending = service
                .pending
                .as_ref()
                .map(|report| format!(" [{}]", report.summary));
            let (name, running, wanted) = (&service.name, service.running, service.wanted);
            format!("{name} {running}/{wanted}{}", pending.unwrap_or_default())
        })
        .collect();
    format!(
        "release {} of {} is {}: {}",
        release.number,
        application.name,
        word(&release.state),
        services.join(", ")
    )
}

async fn watch(session: &Session, args: WatchRelease) -> Outcome {
    let release = newest(session, &args.app).await?;
    let ended = end_of(session, &args.app, release.id, args.timeout).await?;
    judge(&args.app, &ended)?;
    let line = format!(
        "release {} of {} is {}",
        ended.number,
        args.app,
        word(&ended.state)
    );
    session.printer.done(&ended, &line)
}

/// Waits for the end of a release, or until it waits for somebody.
///
/// # Errors
/// It has not come in time, or what the platform answered.
pub async fn end_of(session: &Session, app: &str, release: ReleaseId, limit: Duration) -> Outcome<Release> {
    let mut shown = Progress::start(session.printer);
    let path = path(session, app, "");
    let found = wait::until(limit, async || {
        let application: Application = session.client.get(&path).await?;
        let Some(own) = application.releases.iter().find(|own| own.id == release) else {
            return Ok(None);
        };
        shown.say(&progress(&application, own));
        let waits = application.status == ApplicationStatus::AwaitingConfirmation;
        let over = own.state != ReleaseState::Deploying || waits;
        Ok(over.then(|| own.clone()))
    })
    .await?;
    shown.end();
    found.ok_or_else(|| {
        let message = format!(
            "the release of {app} has not come to its end after {}s",
            limit.as_secs()
        );
        Failure::new(Exit::NotReady, message).cure(format!("see `berth why {app}`"))
    })
}

/// A release that has failed, was taken back or waits for help is no success.
///
/// # Errors
/// That.
pub fn judge(app: &str, release: &Release) -> Outcome {
    let cure = match release.state {
        ReleaseState::Deploying | ReleaseState::Running | ReleaseState::Superseded => return Ok(()),
        ReleaseState::Paused => format!(
            "`berth why {app}` tells more; then `berth release resume {app}`, `berth release abort {app}`, or deploy a better one"
        ),
        ReleaseState::Failed | ReleaseState::Aborted => {
            format!(
                "`berth release show {app} {}` tells what happened",
                release.number
            )
        }
    };
    let why = release
        .failure
        .as_deref()
        .map_or_else(String::new, |why| format!(": {why}"));
    let message = format!(
        "release {} of {app} is {}{why}",
        release.number,
        word(&release.state)
    );
    Err(Failure::new(Exit::NotReady, message).cure(cure))
}
