//! Listeners: HTTPS for all, plain HTTP on loopback, and a tidy end of both.

use axum::{Router, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use rustls::server::ResolvesServerCert;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections of one listener at the same time.
const MAX_CONNECTIONS: usize = 4_096;
/// The longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The longest time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Requests of one HTTP/2 connection at the same time.
const MAX_H2_STREAMS: u32 = 256;
/// How often an HTTP/2 connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long open requests may take to end when the process stops.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);
/// Wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// First byte of every TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// What who speaks HTTP to the HTTPS port is told.
const PLAINTEXT_BODY: &str = r#"{"type":"urn:berth:problem:request.plaintext","title":"Bad Request","status":400,"code":"request.plaintext","detail":"this port speaks HTTPS","cure":"use a URL that begins with https"}"#;

/// A listener that serves the router.
pub(crate) struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
}

impl Server {
    /// Listens with HTTPS.
    pub(crate) async fn https(
        address: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
        router: Router,
    ) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(io::Error::other)?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(certificates);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            tls: Some(TlsAcceptor::from(Arc::new(config))),
            router,
        })
    }

    /// Listens without TLS, on loopback only.
    pub(crate) async fn http(address: SocketAddr, router: Router) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{address} is not a loopback address: plain HTTP is served on loopback only; use HTTPS"
                ),
            ));
        }
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            tls: None,
            router,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown, then lets open requests end within a deadline.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let limit = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let permit = tokio::select! {
                permit = limit.clone().acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, permit, &graceful, shutdown.clone()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if tokio::time::timeout(SHUTDOWN_DEADLINE, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still open at the deadline of the shutdown");
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
        shutdown: CancellationToken,
    ) {
        let (tls, router, watcher) = (self.tls.clone(), self.router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            // Small answers and events go out at once.
            let _ = stream.set_nodelay(true);
            let Some(tls) = tls else {
                return converse(stream, router, watcher).await;
            };
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(HANDSHAKE, secured(stream, &tls)) => handshake,
                () = shutdown.cancelled() => return,
            };
            match handshake {
                Ok(Ok(Some(stream))) => converse(stream, router, watcher).await,
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            }
        });
    }
}

/// The connection under TLS; nothing if the other side did not speak TLS, and was told so.
async fn secured(
    mut stream: TcpStream,
    tls: &TlsAcceptor,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] != TLS_HANDSHAKE {
        stream.write_all(plaintext_answer().as_bytes()).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    tls.accept(stream).await.map(Some)
}

async fn converse<S>(stream: S, router: Router, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.map_request(|request: Request<Incoming>| request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .keep_alive_interval(KEEP_ALIVE);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

fn plaintext_answer() -> String {
    let length = PLAINTEXT_BODY.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{PLAINTEXT_BODY}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plaintext_is_a_problem() {
        let answer = plaintext_answer();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let problem: berth_api::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.code, "request.plaintext");
    }
}
