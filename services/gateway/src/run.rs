//! The gateway from start to end.

use crate::{
    app::{App, MAX_STREAMS},
    auth::Sessions,
    feed::Feed,
    limit::RateLimit,
    news::Registries,
    options::{Facts, GatewayOptions},
    router::router,
    server::Server,
};
use berth_gateway_core::ApiView;
use berth_service_kit::{ServiceContext, ServiceError, answer_health, start_projection};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// The gateway, listening but not yet serving.
pub struct Gateway {
    context: ServiceContext,
    https: Option<Server>,
    http: Option<Server>,
}

impl Gateway {
    /// Brings the read model to the end of the log and listens.
    ///
    /// # Errors
    /// [`ServiceError`]: Postgres cannot be used, or an address cannot be listened on.
    pub async fn start(context: ServiceContext, options: GatewayOptions) -> Result<Self, ServiceError> {
        let service = context.service;
        let failed = move |what: String| {
            move |error: Box<dyn std::error::Error + Send + Sync>| ServiceError::new(service, what, error)
        };
        let view = start_projection::<ApiView>(&context)
            .await
            .map_err(|error| failed("read the log".into())(error.into()))?;
        let app = Arc::new(App {
            feed: Feed::start(&context, view.moves()),
            view,
            facts: Facts::from(&options),
            sessions: Sessions::default(),
            rates: RateLimit::default(),
            registries: Registries::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            context: context.clone(),
        });
        let router =
            router(app).map_err(|error| failed("write its OpenAPI document".into())(error.into()))?;
        let https = match options.https_listen {
            Some(address) => {
                let server = Server::https(address, options.tls.clone(), router.clone()).await;
                Some(server.map_err(|error| failed(format!("listen on https://{address}"))(error.into()))?)
            }
            None => None,
        };
        let http = match options.http_listen {
            Some(address) => {
                let server = Server::http(address, router).await;
                Some(server.map_err(|error| failed(format!("listen on http://{address}"))(error.into()))?)
            }
            None => None,
        };
        Ok(Self { context, https, http })
    }

    /// Where HTTPS is served.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https.as_ref().and_then(|server| server.address().ok())
    }

    /// Where plain HTTP is served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|server| server.address().ok())
    }

    /// Serves until shutdown.
    pub async fn serve(self) {
        let tasks = TaskTracker::new();
        for server in [self.https, self.http].into_iter().flatten() {
            if let Ok(address) = server.address() {
                tracing::info!(%address, "the API is served");
            }
            tasks.spawn(server.run(self.context.shutdown.clone()));
        }
        tasks.spawn(answer_health(self.context.clone()));
        tasks.close();
        tasks.wait().await;
    }
}

/// Runs the gateway until shutdown.
///
/// # Errors
/// [`ServiceError`] if it cannot start.
pub async fn run(context: ServiceContext, options: GatewayOptions) -> Result<(), ServiceError> {
    Gateway::start(context, options).await?.serve().await;
    Ok(())
}
