//! `berth logs`: output of one container, or of several with their names before each line.

use super::{Session, application::containers};
use crate::{
    cli::Logs as Args,
    client::{encode, query},
    exit::{Exit, Failure, Outcome},
    output::{Format, Printer, Tone, paint},
};
use berth_api::{Container, LogLine};
use serde::Serialize;
use std::io::Write as _;
use tokio::sync::mpsc;

/// The most containers whose output is read at once.
const MAX_STREAMS: usize = 50;
/// Lines held while the terminal is slow.
const HELD_LINES: usize = 256;

/// One line with its container.
#[derive(Serialize)]
struct Line<'a> {
    container: &'a str,
    #[serde(flatten)]
    line: LogLine,
}

/// Carries out `berth logs`.
///
/// # Errors
/// What the platform answered, or a stream that broke.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let targets = targets(session, &args.target).await?;
    let alone = targets.len() == 1;
    let (send, mut lines) = mpsc::channel::<(String, LogLine)>(HELD_LINES);
    let mut tasks = tokio::task::JoinSet::new();
    for (id, name) in targets {
        let path = path(&id, &args);
        let (client, send) = (session.client.clone(), send.clone());
        tasks.spawn(async move {
            let mut stream = client.lines(&path).await?;
            while let Some(text) = stream.next().await? {
                if text.is_empty() {
                    continue;
                }
                let line: LogLine = serde_json::from_str(&text).map_err(|error| {
                    Failure::other(format!("a log line does not have its shape: {error}"))
                })?;
                if send.send((name.clone(), line)).await.is_err() {
                    break;
                }
            }
            Outcome::Ok(())
        });
    }
    drop(send);
    let mut broken = None;
    while let Some((name, line)) = lines.recv().await {
        if line.stream == "error" {
            broken = Some(Failure::new(
                Exit::Unavailable,
                format!("the log of {name} ended early: {}", line.text),
            ));
            continue;
        }
        print(session.printer, alone, &name, line)?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::from_error("read a log", &error))??;
    }
    broken.map_or(Ok(()), Err)
}

fn path(id: &str, args: &Args) -> String {
    let flag = |set: bool| if set { "true" } else { "" };
    let tail = args.tail.map(|tail| tail.to_string()).unwrap_or_default();
    let since = args.since.map(|since| since.to_string()).unwrap_or_default();
    let parameters = [
        ("follow", flag(args.follow)),
        ("tail", tail.as_str()),
        ("since", since.as_str()),
        ("timestamps", flag(args.timestamps)),
    ];
    query(&format!("/v1/containers/{}/logs", encode(id)), &parameters)
}

/// Ids and names of the containers that a word names: a container, `APP/SERVICE`, or an application.
async fn targets(session: &Session, target: &str) -> Outcome<Vec<(String, String)>> {
    let (app, service) = match target.split_once('/') {
        Some((app, service)) => (app, Some(service)),
        None => (target, None),
    };
    if service.is_none() {
        match session
            .client
            .get::<Container>(&session.path("containers", target, ""))
            .await
        {
            Ok(container) => return Ok(vec![(container.id.to_string(), container.name)]),
            Err(failure) if failure.exit == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    let found: Vec<_> = containers(session, Some(app), false)
        .await
        .map_err(|failure| match failure.exit {
            Exit::NotFound => Failure::new(
                Exit::NotFound,
                format!("there is no container or application `{app}`"),
            )
            .cure("see `berth ps --all`"),
            _ => failure,
        })?
        .into_iter()
        .filter(|container| service.is_none_or(|service| container.service == service))
        .map(|container| (container.id.to_string(), container.name))
        .collect();
    match found.len() {
        0 => Err(
            Failure::new(Exit::NotFound, format!("`{target}` has no containers"))
                .cure("see `berth ps --all`"),
        ),
        count if count > MAX_STREAMS => Err(Failure::usage(format!(
            "`{target}` has {count} containers, more than {MAX_STREAMS}"
        ))
        .cure("name a service or one container")),
        _ => Ok(found),
    }
}

fn print(printer: Printer, alone: bool, name: &str, line: LogLine) -> Outcome {
    if printer.format != Format::Table {
        return printer.item(
            &Line {
                container: name,
                line,
            },
            |_| String::new(),
        );
    }
    let text = if alone {
        line.text
    } else {
        format!("{} | {}", paint(name, Tone::Dim), line.text)
    };
    if line.stream == "stderr" {
        let mut err = std::io::stderr().lock();
        return writeln!(err, "{text}").map_err(Failure::from);
    }
    crate::output::print_text(&text)
}
