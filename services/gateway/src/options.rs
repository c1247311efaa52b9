//! What can be chosen about the gateway.

use rustls::server::ResolvesServerCert;
use std::{net::SocketAddr, sync::Arc};

/// What can be chosen about the gateway.
#[derive(Clone)]
pub struct GatewayOptions {
    /// Where HTTPS is served; absent: nowhere.
    pub https_listen: Option<SocketAddr>,
    /// Where plain HTTP is served, on loopback only; absent: nowhere.
    pub http_listen: Option<SocketAddr>,
    /// Where agents find the bus.
    pub nats_urls: Vec<String>,
    /// Certificate of the platform's CA, PEM.
    pub ca_pem: String,
    /// SHA-256 of that certificate (DER), hexadecimal: pinned by join tokens.
    pub ca_sha256: String,
    /// Certificate and key for HTTPS; may change at any time.
    pub tls: Arc<dyn ResolvesServerCert>,
    /// Account that owns what is not said to be another's.
    pub tenant: String,
}

/// What the gateway tells those who join.
pub(crate) struct Facts {
    pub(crate) nats_urls: Vec<String>,
    pub(crate) ca_pem: String,
    pub(crate) ca_sha256: String,
    pub(crate) tenant: String,
}

impl From<&GatewayOptions> for Facts {
    fn from(options: &GatewayOptions) -> Self {
        Self {
            nats_urls: options.nats_urls.clone(),
            ca_pem: options.ca_pem.clone(),
            ca_sha256: options.ca_sha256.clone(),
            tenant: options.tenant.clone(),
        }
    }
}
