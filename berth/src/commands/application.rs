//! Commands about applications and their containers.

use super::{
    Session, plan, portable,
    tables::{container_table, fields, table},
    volumes, wait,
};
use crate::{
    cli::{AbandonVolume, AppCommand, Ps, Remove, Restart, Scale, StopStart},
    client::query,
    exit::{Exit, Failure, Outcome},
};
use berth_api::{Application, ApplicationStatus, Container, PlanChange, Template, Written};
use berth_ids::AllocationId;
use berth_service_kit::Clock;
use reqwest::Method;
use std::collections::BTreeSet;

/// Prints all applications.
///
/// # Errors
/// What the platform answered.
pub async fn list(session: &Session) -> Outcome {
    let applications: Vec<Application> = session
        .client
        .list(&session.in_cluster("/v1/applications"))
        .await?;
    session
        .printer
        .print(&applications, |applications| table(applications, Clock::now()))
}

/// Carries out `berth app …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: AppCommand) -> Outcome {
    match command {
        AppCommand::Ls => list(session).await,
        AppCommand::Show(target) => {
            let asked = query(&path(session, &target.app, ""), &[("registry", "true")]);
            let application: Application = session.client.get(&asked).await?;
            for news in &application.image_news {
                session.printer.note(&news.text());
            }
            session.printer.print(&application, fields)
        }
        AppCommand::Template(target) => {
            let template: Template = session
                .client
                .get(&path(session, &target.app, "/template"))
                .await?;
            session.printer.print(&template, |template| template.text.clone())
        }
        AppCommand::Rm(args) => remove(session, args).await,
        AppCommand::AbandonVolume(args) => abandon(session, args).await,
        AppCommand::Export(args) => portable::export(session, args).await,
        AppCommand::Import(args) => portable::import(session, args).await,
        AppCommand::Clone(args) => portable::clone(session, args).await,
    }
}

fn path(session: &Session, app: &str, rest: &str) -> String {
    session.path("applications", app, rest)
}

/// Carries out `berth ps`.
///
/// # Errors
/// What the platform answered.
pub async fn ps(session: &Session, args: Ps) -> Outcome {
    let containers = containers(session, args.app.as_deref(), args.all).await?;
    session.printer.print(&containers, |containers| {
        container_table(containers, Clock::now())
    })
}

/// Containers, of one application if one is named; ended ones on request, or while their slot waits for another.
///
/// # Errors
/// What the platform answered.
pub async fn containers(session: &Session, app: Option<&str>, all: bool) -> Outcome<Vec<Container>> {
    let parameters = [
        ("application", app.unwrap_or_default()),
        ("all", if all { "true" } else { "" }),
    ];
    session
        .client
        .list(&query(&session.in_cluster("/v1/containers"), &parameters))
        .await
}

/// Carries out `berth scale`.
///
/// # Errors
/// What the platform answered, or a wrong command line.
pub async fn scale(session: &Session, args: Scale) -> Outcome {
    let wanted = wanted(&args.services)?;
    if args.dry.dry_run {
        let change = PlanChange::Scale(wanted.into_iter().collect());
        return plan::change(session, &args.app, change).await;
    }
    let mut results: Vec<Written> = Vec::new();
    for (service, replicas) in wanted {
        let body = berth_api::Scale {
            service: service.clone(),
            replicas,
        };
        let written: Written = session
            .client
            .post(&path(session, &args.app, "/scale"), &body)
            .await?;
        session
            .printer
            .note(&format!("{}/{service}: {replicas} wanted", args.app));
        results.push(written);
    }
    if args.wait.wait {
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
    }
    if session.printer.for_people() {
        Ok(())
    } else {
        session.printer.print(&results, |_| String::new())
    }
}

/// `["web", "5"]` or `["web=5", "worker=2"]`.
fn wanted(words: &[String]) -> Outcome<Vec<(String, u32)>> {
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_| Failure::usage(format!("`{text}` is no number of containers")))
    };
    if let [service, count] = words
        && !service.contains('=')
    {
        return Ok(vec![(service.clone(), number(count)?)]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((service, count)) if !service.is_empty() => Ok((service.to_owned(), number(count)?)),
            _ => Err(Failure::usage(format!("`{word}` says no number of containers"))
                .cure("write `berth scale APP SERVICE N` or `berth scale APP SERVICE=N …`")),
        })
        .collect()
}

/// Carries out `berth stop`.
///
/// # Errors
/// What the platform answered.
pub async fn stop(session: &Session, args: StopStart) -> Outcome {
    let written: Written = session
        .client
        .write(Method::POST, &path(session, &args.app, "/stop"), None::<&()>)
        .await?;
    if args.wait.wait {
        wait::status(
            session,
            wait::named(&args.app),
            ApplicationStatus::Stopped,
            &args.wait,
        )
        .await?;
    }
    session.printer.done(&written, &format!("stopped {}", args.app))
}

/// Carries out `berth start`.
///
/// # Errors
/// What the platform answered.
pub async fn start(session: &Session, args: StopStart) -> Outcome {
    let written: Written = session
        .client
        .write(Method::POST, &path(session, &args.app, "/start"), None::<&()>)
        .await?;
    if args.wait.wait {
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
    }
    session.printer.done(&written, &format!("started {}", args.app))
}

/// Carries out `berth restart`.
///
/// # Errors
/// What the platform answered.
pub async fn restart(session: &Session, args: Restart) -> Outcome {
    let services: BTreeSet<String> = args.services.iter().cloned().collect();
    if args.dry.dry_run {
        let change = PlanChange::Restart(berth_api::Restart { services });
        return plan::change(session, &args.app, change).await;
    }
    let old: BTreeSet<AllocationId> = if args.wait.wait {
        containers(session, Some(&args.app), false)
            .await?
            .into_iter()
            .filter(|container| services.is_empty() || services.contains(&container.service))
            .map(|container| container.id)
            .collect()
    } else {
        BTreeSet::new()
    };
    if args.abandon_volume {
        volumes::abandon_of(session, &args.app, &services).await?;
    }
    let body = berth_api::Restart { services };
    let written: Written = session
        .client
        .post(&path(session, &args.app, "/restart"), &body)
        .await?;
    if args.wait.wait {
        wait::replaced(session, &args.app, &old, &args.wait).await?;
        wait::ready(session, wait::named(&args.app), &args.wait).await?;
        return session
            .printer
            .done(&written, &format!("replaced the containers of {}", args.app));
    }
    session.printer.done(
        &written,
        &format!("the containers of {} are being replaced", args.app),
    )
}

/// Carries out `berth rm`.
///
/// # Errors
/// What the platform answered.
pub async fn remove(session: &Session, args: Remove) -> Outcome {
    if args.dry.dry_run {
        let volumes = args.volumes;
        return plan::change(session, &args.app, PlanChange::Remove { volumes }).await;
    }
    let volumes = if args.volumes { "true" } else { "" };
    // Once removed, its name finds nothing: what is waited for is known by its id.
    let application: Application = session.client.get(&path(session, &args.app, "")).await?;
    let id = application.id.to_string();
    let written: Written = session
        .client
        .delete(&query(&path(session, &id, ""), &[("volumes", volumes)]))
        .await?;
    if args.wait.wait {
        session
            .printer
            .note(&format!("waiting until nothing of {} is left", args.app));
        let gone = wait::until(args.wait.timeout, async || {
            match session.client.get::<Application>(&path(session, &id, "")).await {
                Ok(_) => Ok(None),
                Err(failure) if failure.exit == Exit::NotFound => Ok(Some(())),
                Err(failure) => Err(failure),
            }
        })
        .await?;
        if gone.is_none() {
            let message = format!("{} is not gone after {}s", args.app, args.wait.timeout.as_secs());
            return Err(
                Failure::new(Exit::Unavailable, message).cure("see with `berth ps --all` what is left")
            );
        }
    }
    session.printer.done(&written, &format!("removed {}", args.app))
}

async fn abandon(session: &Session, args: AbandonVolume) -> Outcome {
    let slots = args.slots.iter().copied().collect();
    let written = volumes::abandon(session, &args.app, &args.service, slots).await?;
    session.printer.done(
        &written,
        "its data stays on the old node until it is removed there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn both_forms_of_scale_are_read() {
        assert_eq!(wanted(&words("web 5")).unwrap(), [("web".to_owned(), 5)]);
        assert_eq!(
            wanted(&words("web=5 db=1")).unwrap(),
            [("web".to_owned(), 5), ("db".to_owned(), 1)]
        );
        for bad in ["web", "web five", "web=-1", "=5", "web 5 6", "web=5 db"] {
            assert_eq!(wanted(&words(bad)).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
