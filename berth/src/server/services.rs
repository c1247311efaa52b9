//! The services of this process, each with its own bus user and its own database role.

use super::{
    foundation::Foundation,
    roles,
    security::run_access,
    supervise::{Start, supervise},
};
use crate::{
    config::{Config, SERVICES},
    exit::{Exit, Failure, Outcome, chain},
};
use berth_bus::{Bus, BusOptions};
use berth_events::HealthState;
use berth_gateway::GatewayOptions;
use berth_service_kit::{Health, ServiceContext};
use futures::FutureExt as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The longest wait for the first connection to the bus.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_DELAY: Duration = Duration::from_millis(500);
/// The longest wait for the log before the other services start; they wait for it by themselves too.
const LOG_PATIENCE: Duration = Duration::from_secs(15);
const LOG_POLL: Duration = Duration::from_millis(20);
/// From so many servers of NATS on, streams have as many copies.
const REPLICATED_SERVERS: usize = 3;
/// Account that owns what is not said to be another's.
pub const TENANT: &str = "main";

/// The services of this process.
pub struct Services {
    tasks: TaskTracker,
    /// Ends all of them.
    pub shutdown: CancellationToken,
    /// How each is, in order of start.
    pub healths: Vec<(&'static str, Health)>,
}

impl Services {
    /// Starts all that the settings name.
    ///
    /// # Errors
    /// One has no credentials or database role, or the bus cannot be reached.
    pub async fn start(config: &Config, foundation: &Foundation) -> Outcome<Self> {
        let mut services = Self {
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            healths: Vec::new(),
        };
        for service in SERVICES
            .into_iter()
            .filter(|service| config.services.contains(service))
        {
            let context = services.context(service, config, foundation).await?;
            services.healths.push((service, context.health.clone()));
            let start = start_of(service, config, foundation)?;
            services.tasks.spawn(supervise(context.clone(), start));
            if service == "ledger" {
                wait_for_log(&context.health).await;
            }
        }
        Ok(services)
    }

    async fn context(
        &self,
        service: &'static str,
        config: &Config,
        foundation: &Foundation,
    ) -> Outcome<ServiceContext> {
        let instance = format!("{}-{}", super::host::name(), std::process::id());
        Ok(ServiceContext {
            service,
            bus: connect(service, config, foundation).await?,
            db: roles::pool(service, &foundation.urls)?,
            shutdown: self.shutdown.clone(),
            health: Health::new(service, &instance),
            instance,
        })
    }

    /// Asks all to end and waits; says whether they did in time.
    pub async fn stop(self, patience: Duration) -> bool {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

/// Connects to the bus as a service.
///
/// # Errors
/// The bus is not there in time, or refuses the credentials.
pub async fn connect(service: &str, config: &Config, foundation: &Foundation) -> Outcome<Bus> {
    let credentials = config.creds_dir.join(format!("{service}.creds"));
    if !credentials.is_file() {
        let message = format!(
            "service `{service}` has no bus credentials at `{}`",
            credentials.display()
        );
        return Err(Failure::usage(message)
            .cure("start a process with an own NATS on this data folder first, or give --creds-dir"));
    }
    let options = BusOptions {
        url: foundation.nats_url.clone(),
        user: service.to_owned(),
        credentials: Some(credentials),
        ca: Some(foundation.security.bus_ca_file()),
    };
    let until = Instant::now() + CONNECT_PATIENCE;
    loop {
        match Bus::connect(&options).await {
            Ok(bus) => return Ok(bus),
            Err(error) if Instant::now() > until => {
                return Err(
                    Failure::new(Exit::Unavailable, chain(&error)).cure("see nats.log in the data folder")
                );
            }
            Err(error) => tracing::debug!(service, error = chain(&error), "the bus is not there yet"),
        }
        tokio::time::sleep(CONNECT_DELAY).await;
    }
}

async fn wait_for_log(health: &Health) {
    let until = Instant::now() + LOG_PATIENCE;
    while Instant::now() < until && health.get().state != HealthState::Green {
        tokio::time::sleep(LOG_POLL).await;
    }
}

fn start_of(service: &'static str, config: &Config, foundation: &Foundation) -> Outcome<Start> {
    let (security, nats_url) = (foundation.security.clone(), foundation.nats_url.clone());
    let start: Start = match service {
        "ledger" => {
            let replicas = replicas(&nats_url);
            Arc::new(move |context| berth_ledger_svc::run_replicated(context, replicas).boxed())
        }
        "access" => Arc::new(move |context| {
            let (security, nats_url) = (security.clone(), nats_url.clone());
            async move { run_access(context, security, nats_url).await }.boxed()
        }),
        "cluster" => Arc::new(|context| berth_cluster_svc::run(context).boxed()),
        "scheduler" => Arc::new(|context| berth_scheduler_svc::run(context).boxed()),
        "lb" => Arc::new(|context| berth_lb_svc::run(context).boxed()),
        "monitor" => Arc::new(|context| berth_monitor_svc::run(context).boxed()),
        "log" => Arc::new(|context| berth_log_svc::run(context).boxed()),
        _ => {
            let options = GatewayOptions {
                https_listen: Some(config.listen),
                http_listen: config.http,
                nats_urls: foundation.nats_public.clone(),
                ca_pem: security.agents_ca_pem()?,
                ca_sha256: security.ca_sha256().to_owned(),
                tls: security.https(),
                tenant: TENANT.to_owned(),
            };
            Arc::new(move |context| berth_gateway::run(context, options.clone()).boxed())
        }
    };
    Ok(start)
}

/// Copies of each stream: of three servers every one has all, so that one may die.
fn replicas(nats_url: &str) -> usize {
    match nats_url.split(',').count() {
        servers if servers >= REPLICATED_SERVERS => REPLICATED_SERVERS,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_servers_have_three_copies() {
        assert_eq!(replicas("nats://127.0.0.1:4222"), 1);
        assert_eq!(replicas("tls://a:1,tls://b:1"), 1, "two copies are no quorum");
        assert_eq!(replicas("tls://a:1,tls://b:1,tls://c:1,tls://d:1"), 3);
    }
}
