//! Waiting with a display of what is waited for.

use super::{Session, application::containers};
use crate::{
    cli::Wait,
    exit::{Exit, Failure, Outcome},
    output::{Printer, is_terminal, word},
};
use berth_api::{Application, ApplicationStatus, Container, Why};
use berth_ids::AllocationId;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(300);
/// Time between two turns of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// What is waited for, as a moving line on a terminal, as plain lines elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    printer: Printer,
    last: String,
}

impl Progress {
    /// Begins to show.
    pub fn start(printer: Printer) -> Self {
        let bar = is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self {
            bar,
            printer,
            last: String::new(),
        }
    }

    /// Says how far it is. Where there is no terminal, only news are printed.
    pub fn say(&mut self, text: &str) {
        if self.last == text {
            return;
        }
        text.clone_into(&mut self.last);
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.printer.note(text),
        }
    }

    /// Says how far it is in several lines: all of them where they are written over, else only the news.
    pub fn say_lines(&mut self, all: String, news: Vec<String>) {
        match &self.bar {
            Some(bar) => bar.set_message(all),
            None => news.iter().for_each(|line| self.printer.note(line)),
        }
    }

    /// Ends the display.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Looks again and again until something is found, or gives up with `None`.
/// A platform that is away for a moment is waited for too.
///
/// # Errors
/// What the look says, unless it may heal within the time.
pub async fn until<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Outcome<Option<T>>,
) -> Outcome<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        match look().await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(failure) if failure.exit == Exit::Unavailable && Instant::now() < end => {}
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// An application that is waited for.
pub struct Target<'a> {
    /// How the platform finds it: name or id.
    pub key: &'a str,
    /// How people call it.
    pub name: &'a str,
}

/// Waits until every wanted container of an application runs; ends with exit code 6 and the reasons if not.
///
/// # Errors
/// Not ready in time, or what the platform answered.
pub async fn ready(session: &Session, app: Target<'_>, wait: &Wait) -> Outcome<Application> {
    status(session, app, ApplicationStatus::Running, wait).await
}

/// Waits until an application has a status.
///
/// # Errors
/// It does not have it in time, or what the platform answered.
pub async fn status(
    session: &Session,
    app: Target<'_>,
    wanted: ApplicationStatus,
    wait: &Wait,
) -> Outcome<Application> {
    let words = word(&wanted);
    let note = format!(
        "waiting until {} is {words} (at most {}s)",
        app.name,
        wait.timeout.as_secs()
    );
    session.printer.note(&note);
    let mut progress = Progress::start(session.printer);
    let path = session.path("applications", app.key, "");
    let found = until(wait.timeout, async || {
        let application: Application = session.client.get(&path).await?;
        let mut text = describe(&application);
        if application.containers.total > application.containers.running {
            text.push_str(&pulls(session, app.key).await);
        }
        progress.say(&text);
        // A blue-green release runs as far as it can by itself.
        let reached = application.status == wanted
            || (wanted == ApplicationStatus::Running
                && application.status == ApplicationStatus::AwaitingConfirmation);
        Ok((reached && settled(&application)).then_some(application))
    })
    .await?;
    progress.end();
    match found {
        Some(application) => Ok(application),
        None => Err(not_ready(session, &app, &words, wait).await),
    }
}

/// Nothing is on its way: what has not ended runs, and no more than is wanted.
fn settled(application: &Application) -> bool {
    let counts = application.containers;
    let wanted = match application.status {
        ApplicationStatus::Stopped => 0,
        _ => counts.running,
    };
    let services = &application.services;
    counts.total == wanted
        && (wanted == 0 || services.iter().all(|service| service.running <= service.wanted))
}

/// Waits until none of some containers is left.
///
/// # Errors
/// Some are left in the end, or what the platform answered.
pub async fn replaced(session: &Session, app: &str, old: &BTreeSet<AllocationId>, wait: &Wait) -> Outcome {
    let mut progress = Progress::start(session.printer);
    let gone = until(wait.timeout, async || {
        let now = containers(session, Some(app), false).await?;
        let stays = |one: &&Container| one.pending.is_none() && old.contains(&one.id);
        let left = now.iter().filter(stays).count();
        progress.say(&format!(
            "{left} of {} containers are still to be replaced",
            old.len()
        ));
        Ok((left == 0).then_some(()))
    })
    .await?;
    progress.end();
    gone.ok_or_else(|| {
        let message = format!(
            "not every container of {app} is replaced after {}s",
            wait.timeout.as_secs()
        );
        Failure::new(Exit::NotReady, message).cure(format!("see `berth why {app}`"))
    })
}

/// Which images are fetched, and how far each is on the slowest node.
async fn pulls(session: &Session, app: &str) -> String {
    // A look that fails says nothing: the next one may.
    let Ok(containers) = containers(session, Some(app), false).await else {
        return String::new();
    };
    let mut slowest: BTreeMap<&str, u8> = BTreeMap::new();
    for container in &containers {
        if let Some(percent) = container.pull_percent {
            let known = slowest.entry(&container.image).or_insert(percent);
            *known = percent.min(*known);
        }
    }
    let texts = slowest.iter();
    texts
        .map(|(image, percent)| format!(", pulling {image} {percent}%"))
        .collect()
}

fn describe(application: &Application) -> String {
    let services: Vec<_> = application
        .services
        .iter()
        .map(|service| {
            let mut text = format!("{} {}/{}", service.name, service.running, service.wanted);
            if service.has_healthcheck {
                text.push_str(&format!(" ({} healthy)", service.healthy));
            }
            if let Some(report) = &service.pending {
                text.push_str(&format!(" [{}]", report.summary));
            }
            text
        })
        .collect();
    format!(
        "{} {}: {}",
        application.name,
        word(&application.status),
        services.join(", ")
    )
}

async fn not_ready(session: &Session, app: &Target<'_>, wanted: &str, wait: &Wait) -> Failure {
    let mut message = format!("{} is not {wanted} after {}s", app.name, wait.timeout.as_secs());
    match session
        .client
        .get::<Why>(&session.path("applications", app.key, "/why"))
        .await
    {
        Ok(why) => {
            message.push('\n');
            message.push_str(&super::why::reasons(&why));
        }
        Err(failure) => message.push_str(&format!("; the reasons could not be read: {}", failure.message)),
    }
    Failure::new(Exit::NotReady, message.trim_end().to_owned()).cure(format!(
        "it heals by itself when the reasons are gone; look again with `berth why {}`",
        app.name
    ))
}

/// An application that people and the platform call the same.
pub fn named(app: &str) -> Target<'_> {
    Target { key: app, name: app }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_api::ContainerCounts;
    use berth_ids::Timestamp;

    fn application(status: ApplicationStatus, total: u32, running: u32) -> Application {
        let service = serde_json::json!({
            "name": "web", "image": "i", "mode": { "kind": "global" }, "status": "running", "wanted": 2,
            "running": running, "healthy": 0, "unhealthy": 0, "completed": 0, "has_healthcheck": false,
            "ports": [], "pending_slots": [],
        });
        Application {
            id: berth_ids::ApplicationId::from_u128(1),
            name: "shop".into(),
            cluster_id: berth_ids::ClusterId::from_u128(1),
            cluster: "main".into(),
            status,
            services: vec![serde_json::from_value(service).unwrap()],
            containers: ContainerCounts {
                total,
                running,
                healthy: 0,
            },
            volumes: BTreeSet::new(),
            networks: BTreeSet::new(),
            warnings: Vec::new(),
            releases: Vec::new(),
            weights: Default::default(),
            waits_for: Vec::new(),
            image_news: Vec::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            version: 1,
        }
    }

    #[test]
    fn what_is_still_stopping_or_too_much_is_waited_for() {
        use ApplicationStatus::{Running, Stopped};
        let settled = |status, total, running| super::settled(&application(status, total, running));
        assert!(settled(Running, 2, 2));
        assert!(!settled(Running, 3, 2), "one is stopping");
        assert!(!settled(Running, 3, 3), "one is too much");
        assert!(!settled(Stopped, 1, 0), "one is stopping");
        assert!(settled(Stopped, 0, 0));
    }
}
