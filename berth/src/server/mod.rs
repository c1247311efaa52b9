//! `berth server`: the whole platform in one process, or a part of it.
//!
//! Starts what services stand on, then the services; stops in the other order.

mod bootstrap;
mod folder;
mod foundation;
mod host;
mod report;
mod roles;
mod security;
mod services;
mod settings;
mod signals;
mod supervise;

pub use folder::{read_json, write_json};
pub use settings::{checked, gather_settings};
pub use signals::Signals;

use crate::{
    cli::SettingArgs,
    config::Config,
    exit::{Failure, Outcome},
    output::print_text,
};
use berth_events::HealthState;
use berth_service_kit::telemetry::{self, TelemetryOptions};
use folder::Folder;
use foundation::Foundation;
use services::Services;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest wait for services to be well before the report is printed all the same.
const READY_PATIENCE: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(50);

/// Runs the platform until a signal.
///
/// # Errors
/// It could not be started.
pub async fn run(args: &SettingArgs) -> Outcome {
    let config = checked(&gather_settings(args)?)?;
    let telemetry = start_telemetry("berth-server", config.json_logs, config.otlp.clone())?;
    let mut signals = Signals::listen()?;
    let folder = Folder::open(&config.data)?;
    let foundation = tokio::select! {
        started = Foundation::start(&config, &folder) => started?,
        name = signals.next() => return Err(Failure::other(format!("{name} while starting"))),
    };
    let foundation = Arc::new(foundation);
    let ended = serve(&config, &folder, &foundation, &mut signals).await;
    signals.kill_on_next();
    let ended = match ended {
        Ok(services) => {
            stop(&config, services).await;
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    foundation.stop().await;
    telemetry.shutdown();
    ended
}

/// Sets logs and traces up.
///
/// # Errors
/// The collector's address is none.
pub fn start_telemetry(process: &str, json: bool, otlp: Option<String>) -> Outcome<telemetry::Telemetry> {
    let options = TelemetryOptions {
        process: process.to_owned(),
        json,
        otlp_endpoint: otlp,
    };
    telemetry::init(&options)
        .map_err(|error| Failure::other(format!("could not set logs and traces up: {error}")))
}

async fn serve(
    config: &Config,
    folder: &Folder,
    foundation: &Arc<Foundation>,
    signals: &mut Signals,
) -> Outcome<Services> {
    let services = tokio::select! {
        started = Services::start(config, foundation) => started?,
        name = signals.next() => return Err(Failure::other(format!("{name} while starting"))),
    };
    let background = services.shutdown.child_token();
    let root = accompany(config, folder, foundation, &services, &background);
    tokio::select! {
        () = wait_until_well(&services, root) => {}
        name = signals.next() => {
            tracing::info!("{name} while starting: stopping");
            return Ok(services);
        }
    }
    print_text(&report::report(config, folder, foundation, &services))?;
    let name = signals.next().await;
    tracing::info!("{name}: stopping (again: at once)");
    Ok(services)
}

/// Starts what goes along with the services: certificates, metrics, and the first token, whose end it gives.
fn accompany(
    config: &Config,
    folder: &Folder,
    foundation: &Arc<Foundation>,
    services: &Services,
    shutdown: &CancellationToken,
) -> Option<JoinHandle<()>> {
    tokio::spawn(security::keep_fresh(foundation.clone(), shutdown.clone()));
    if let Some(address) = config.metrics {
        let healths = services
            .healths
            .iter()
            .map(|(_, health)| health.clone())
            .collect();
        let serving = berth_service_kit::serve_http(address, healths, shutdown.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, %address, "metrics are not served; choose another address with --metrics");
            }
        });
    }
    config.services.contains("access").then(|| {
        let root = bootstrap::ensure_root(
            config.clone(),
            folder.clone(),
            foundation.clone(),
            shutdown.clone(),
        );
        tokio::spawn(root)
    })
}

/// Waits until every service is well and the root token is there, or until patience is over.
async fn wait_until_well(services: &Services, root: Option<JoinHandle<()>>) {
    let until = Instant::now() + READY_PATIENCE;
    let well = || {
        services
            .healths
            .iter()
            .all(|(_, health)| health.get().state == HealthState::Green)
    };
    let made = || root.as_ref().is_none_or(JoinHandle::is_finished);
    while Instant::now() < until && !(well() && made()) {
        tokio::time::sleep(READY_POLL).await;
    }
}

async fn stop(config: &Config, services: Services) {
    if services.stop(config.stop_timeout).await {
        tracing::info!("all services have ended");
    } else {
        tracing::warn!(
            "services did not end within {:?} and are left",
            config.stop_timeout
        );
    }
}
