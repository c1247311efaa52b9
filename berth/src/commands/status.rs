//! `berth status`: how the platform is.

use super::{Session, wait};
use crate::{
    cli::{Status as Args, age},
    exit::{Exit, Failure, Outcome},
    output::{Table, Tone, cell, paint, toned},
};
use berth_api::Status;
use berth_events::HealthState;
use berth_ids::Timestamp;
use berth_service_kit::Clock;

/// Carries out `berth status`. Ends with exit code 5 if a service is down.
///
/// # Errors
/// What the platform answered, or a service that is down.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let status: Status = if args.wait_ready {
        wait_ready(session, &args).await?
    } else {
        session.client.get("/v1/status").await?
    };
    session
        .printer
        .print(&status, |status| text(status, Clock::now()))?;
    if status.healthy {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, "not every service is well")
        .cure("look at the log of `berth server`"))
}

async fn wait_ready(session: &Session, args: &Args) -> Outcome<Status> {
    let mut progress = wait::Progress::start(session.printer);
    let mut last = String::new();
    let found = wait::until(args.timeout, async || {
        let status: Status = session.client.get("/v1/status").await?;
        last = trouble(&status);
        if status.healthy && last.is_empty() {
            return Ok(Some(status));
        }
        progress.say(&format!("waiting for {last}"));
        Ok(None)
    })
    .await?;
    progress.end();
    found.ok_or_else(|| {
        let message = format!(
            "the platform is not ready after {}s: {last}",
            args.timeout.as_secs()
        );
        Failure::new(Exit::Unavailable, message).cure("look at the log of `berth server`")
    })
}

/// Services that are silent or not well, in words; empty if there is none.
fn trouble(status: &Status) -> String {
    let mut parts: Vec<String> = status
        .silent
        .iter()
        .map(|service| format!("{service} (silent)"))
        .collect();
    for service in &status.services {
        match &service.health {
            HealthState::Green => {}
            HealthState::Yellow(reason) | HealthState::Red(reason) => {
                parts.push(format!("{} ({reason})", service.service))
            }
        }
    }
    parts.join(", ")
}

fn text(status: &Status, now: Timestamp) -> String {
    let mut table = Table::new(&[
        "SERVICE", "HEALTH", "LAG", "POSITION", "VERSION", "UP", "INSTANCE",
    ]);
    for service in &status.services {
        let (health, tone) = match &service.health {
            HealthState::Green => ("green".to_owned(), Tone::Good),
            HealthState::Yellow(reason) => (format!("yellow: {reason}"), Tone::Warn),
            HealthState::Red(reason) => (format!("red: {reason}"), Tone::Bad),
        };
        table.row([
            cell(&service.service),
            toned(health, tone),
            cell(service.lag.map(|lag| lag.to_string()).unwrap_or_default()),
            cell(
                service
                    .position
                    .map(|position| position.to_string())
                    .unwrap_or_default(),
            ),
            cell(&service.version),
            cell(age(service.started_at, now)),
            toned(&service.instance, Tone::Dim),
        ]);
    }
    for silent in &status.silent {
        table.row([cell(silent), toned("silent", Tone::Bad)]);
    }
    let whole = if status.healthy {
        paint("healthy", Tone::Good)
    } else {
        paint("not healthy", Tone::Bad)
    };
    let log = status.log.as_ref().map_or_else(
        || "the log does not answer".to_owned(),
        |log| format!("{} events in log {}", log.position, log.log_id),
    );
    format!("{whole}, {log}\n\n{}", table.render())
}
