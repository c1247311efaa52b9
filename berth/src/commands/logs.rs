//! `berth logs`: output of one container, or of several with their names before each line.

use super::{Session, application::containers};
use crate::{
    cli::Logs as Args,
    client::{Client, encode, query},
    exit::{Exit, Failure, Outcome},
    output::{Format, Printer, Tone, paint},
};
use berth_api::{Container, LogLine};
use berth_ids::Timestamp;
use serde::Serialize;
use std::{cmp::Ordering, io::Write as _, time::Duration};
use tokio::sync::mpsc;

/// The most containers whose output is read at once.
const MAX_STREAMS: usize = 50;
/// Lines held while the terminal is slow.
const HELD_LINES: usize = 256;

/// Time before a stream that broke off is opened again.
const REOPEN_DELAY: Duration = Duration::from_secs(1);
/// How often in a row it is opened again without a new line.
const MAX_REOPENED: u32 = 60;

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
        let reader = Reader {
            client: session.client.clone(),
            printer: session.printer,
            send: send.clone(),
            place: Place::default(),
            id,
            name,
            args: args.clone(),
        };
        tasks.spawn(reader.run());
    }
    drop(send);
    while let Some((name, line)) = lines.recv().await {
        print(session.printer, alone, &name, line)?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::from_error("read a log", &error))??;
    }
    Ok(())
}

/// Reads the log of one container; one that is followed goes on where its stream broke off.
struct Reader {
    client: Client,
    printer: Printer,
    send: mpsc::Sender<(String, LogLine)>,
    place: Place,
    id: String,
    name: String,
    args: Args,
}

/// How one stream ended.
enum Ended {
    /// The container has ended, or nobody reads any more.
    Whole,
    /// It broke off.
    Broken(Failure),
}

impl Reader {
    async fn run(mut self) -> Outcome {
        let mut broken = 0;
        loop {
            let before = self.place.time.clone();
            let ended = self.once().await?;
            let Ended::Broken(failure) = ended else {
                return Ok(());
            };
            broken = if self.place.time == before { broken + 1 } else { 1 };
            if !self.args.follow || broken > MAX_REOPENED {
                return Err(failure);
            }
            self.printer.note(&format!("{}; trying again", failure.message));
            self.place.reopened();
            tokio::time::sleep(REOPEN_DELAY).await;
        }
    }

    async fn once(&mut self) -> Outcome<Ended> {
        let mut stream = match self.client.lines(&self.path()).await {
            Ok(stream) => stream,
            Err(failure) if failure.exit == Exit::Unavailable => return Ok(Ended::Broken(failure)),
            Err(failure) => return Err(failure),
        };
        loop {
            let text = match stream.next().await {
                Ok(Some(text)) => text,
                Ok(None) => return Ok(Ended::Whole),
                Err(failure) => return Ok(Ended::Broken(failure)),
            };
            if text.is_empty() {
                continue;
            }
            let line: LogLine = serde_json::from_str(&text)
                .map_err(|error| Failure::other(format!("a log line does not have its shape: {error}")))?;
            if line.stream == "error" {
                let message = format!("the log of {} ended early: {}", self.name, line.text);
                return Ok(Ended::Broken(Failure::new(Exit::Unavailable, message)));
            }
            let Some(line) = self.place.take(line, &self.args) else {
                continue;
            };
            if self.send.send((self.name.clone(), line)).await.is_err() {
                return Ok(Ended::Whole);
            }
        }
    }

    /// What is asked for: after a break, everything since the last line.
    fn path(&self) -> String {
        let flag = |set: bool| if set { "true" } else { "" };
        let (tail, since) = match self.place.moment() {
            Some(moment) => (None, Some(moment)),
            None => (self.args.tail, self.args.since),
        };
        let tail = tail.map(|tail| tail.to_string()).unwrap_or_default();
        let since = since.map(|since| since.to_string()).unwrap_or_default();
        let parameters = [
            ("follow", flag(self.args.follow)),
            ("tail", tail.as_str()),
            ("since", since.as_str()),
            // Following needs the times of lines to go on after a break.
            ("timestamps", flag(self.args.timestamps || self.args.follow)),
        ];
        query(&format!("/v1/containers/{}/logs", encode(&self.id)), &parameters)
    }
}

/// How far a log has been read: the engine's time of the last line, and how many lines had it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    time: String,
    lines: usize,
    /// After a break, while known lines come again: how many of that time.
    again: Option<usize>,
}

impl Place {
    /// The moment from which lines are asked for again.
    fn moment(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    /// A line that was not shown before, as it is shown.
    fn take(&mut self, line: LogLine, args: &Args) -> Option<LogLine> {
        if !args.follow {
            return Some(line);
        }
        // A piece of a long line has no time of its own.
        let Some((time, text)) = timed(&line.text) else {
            return Some(line);
        };
        let order = time.cmp(self.time.as_str());
        if self.again.is_some() && self.is_known(order) {
            return None;
        }
        match order {
            // Two outputs of a container are written side by side: a line may be a little older.
            Ordering::Less => {}
            Ordering::Equal => self.lines += 1,
            Ordering::Greater => (self.time, self.lines) = (time.to_owned(), 1),
        }
        let text = if args.timestamps {
            line.text.clone()
        } else {
            text.to_owned()
        };
        Some(LogLine { text, ..line })
    }

    /// A stream begins again: what was shown comes once more.
    fn reopened(&mut self) {
        self.again = Some(self.lines);
    }

    /// Whether a line after a break was shown before it; the first that was not ends the repetition.
    fn is_known(&mut self, order: Ordering) -> bool {
        match (order, self.again) {
            (Ordering::Less, _) => true,
            (Ordering::Equal, Some(left @ 1..)) => {
                self.again = Some(left - 1);
                true
            }
            (Ordering::Equal | Ordering::Greater, _) => {
                self.again = None;
                false
            }
        }
    }
}

/// The engine's time before a line, and the line. All have nine digits after the point: they sort as text.
fn timed(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = text.split_once(' ').unwrap_or((text, ""));
    time.parse::<Timestamp>().ok().map(|_| (time, rest))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args(timestamps: bool) -> Args {
        Args {
            target: "shop_web_1".into(),
            follow: true,
            tail: None,
            since: None,
            timestamps,
        }
    }

    fn shown(place: &mut Place, timestamps: bool, text: &str) -> Option<String> {
        let line = LogLine {
            stream: "stdout".into(),
            text: text.into(),
        };
        place.take(line, &args(timestamps)).map(|line| line.text)
    }

    #[test]
    fn a_stream_that_breaks_off_goes_on_without_a_line_twice_or_missing() {
        let (one, two) = ("2026-11-24T10:00:00.000000001Z", "2026-11-24T10:00:00.000000002Z");
        let mut place = Place::default();
        assert_eq!(
            shown(&mut place, false, &format!("{one} a")).as_deref(),
            Some("a")
        );
        assert_eq!(
            shown(&mut place, false, &format!("{two} b")).as_deref(),
            Some("b")
        );
        assert_eq!(
            shown(&mut place, false, &format!("{two} b")).as_deref(),
            Some("b")
        );
        place.reopened();
        assert!(place.moment().is_some());
        for again in [format!("{one} a"), format!("{two} b"), format!("{two} b")] {
            assert_eq!(shown(&mut place, false, &again), None);
        }
        assert_eq!(
            shown(&mut place, false, &format!("{two} c")).as_deref(),
            Some("c")
        );
        assert_eq!(
            shown(&mut place, true, &format!("{two} d")),
            Some(format!("{two} d"))
        );
        assert_eq!(
            shown(&mut place, false, "piece of a line").as_deref(),
            Some("piece of a line")
        );
    }
}
