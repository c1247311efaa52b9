//! How a service says how it is: over the bus, and over HTTP for probes and scrapers.

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use berth_events::{Feature, HealthState, ServiceHealth};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// How often a service looks at its queues.
const QUEUE_LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// Where a service says how it is. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Mutex<ServiceHealth>>,
    /// What is the matter with its queues; it does not do its work then, whatever its view is.
    queues: Arc<Mutex<Vec<String>>>,
}

impl Health {
    /// A service that has just started and works.
    pub fn new(service: &str, instance: &str) -> Self {
        Self {
            inner: Arc::new(Mutex::new(ServiceHealth {
                service: service.to_owned(),
                instance: instance.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                state: HealthState::Green,
                position: None,
                started_at: crate::Clock::now(),
                reads: Feature::introduced().collect(),
            })),
            queues: Arc::default(),
        }
    }

    /// Says how it is now.
    pub fn set(&self, state: HealthState) {
        let mut health = self.lock();
        if health.state != state {
            match &state {
                HealthState::Green => tracing::info!(service = health.service, "service is well again"),
                HealthState::Yellow(reason) => {
                    tracing::warn!(service = health.service, reason, "service is troubled");
                }
                HealthState::Red(reason) => {
                    tracing::error!(service = health.service, reason, "service is down")
                }
            }
            health.state = state;
        }
    }

    /// Says up to where its read model is.
    pub fn reached(&self, position: u64) {
        self.lock().position = Some(position);
    }

    /// Says what is the matter with its queues.
    pub fn queues(&self, troubles: Vec<String>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if *queues != troubles {
            let service = self.lock().service.clone();
            match troubles.first() {
                Some(reason) => tracing::error!(service, reason, "a queue of the service fails"),
                None => tracing::info!(service, "the queues of the service are well again"),
            }
            *queues = troubles;
        }
    }

    /// How it is now.
    pub fn get(&self) -> ServiceHealth {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut health = self.lock().clone();
        if let (Some(first), HealthState::Green | HealthState::Yellow(_)) = (queues.first(), &health.state) {
            health.state = HealthState::Red(match queues.len() {
                1 => first.clone(),
                all => format!("{first}; and {} more", all - 1),
            });
        }
        health
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ServiceHealth> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers `q.<service>.health.*` until shutdown; every instance answers.
pub async fn answer_health(context: crate::ServiceContext) {
    let sink = berth_bus::QuestionSink {
        service: context.service.to_owned(),
        question: "health".to_owned(),
        shutdown: context.shutdown,
    };
    let (health, bus, shutdown) = (context.health, context.bus.clone(), sink.shutdown.clone());
    let watched = health.clone();
    let watch_queues = async move {
        while !shutdown.is_cancelled() {
            watched.queues(bus.troubles());
            tokio::select! {
                () = tokio::time::sleep(QUEUE_LOOK_INTERVAL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    };
    let answer = move |_: String, _: serde_json::Value| {
        let health = health.clone();
        async move { Ok(health.get()) }
    };
    tokio::join!(context.bus.answer(sink, answer), watch_queues);
}

/// Serves `/health` and `/metrics` of all services of this process until shutdown.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_http(
    address: SocketAddr,
    services: Vec<Health>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(|| async { crate::metrics::render() }))
        .with_state(Arc::new(services));
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn health(State(services): State<Arc<Vec<Health>>>) -> (StatusCode, Json<Vec<ServiceHealth>>) {
    let all: Vec<_> = services.iter().map(Health::get).collect();
    let down = all
        .iter()
        .any(|service| matches!(service.state, HealthState::Red(_)));
    (
        if down {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        },
        Json(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_queue_is_red_whatever_the_view_is_and_says_why() {
        let health = Health::new("scheduler", "one");
        health.queues(vec!["a message on `rpt.alloc.n` failed 7 times".into()]);
        assert!(matches!(health.get().state, HealthState::Red(reason) if reason.contains("rpt.alloc.n")));
        health.set(HealthState::Yellow("the view is held up".into()));
        assert!(matches!(health.get().state, HealthState::Red(reason) if reason.contains("rpt.alloc.n")));
        health.queues(vec![]);
        assert!(matches!(health.get().state, HealthState::Yellow(_)));
    }
}
