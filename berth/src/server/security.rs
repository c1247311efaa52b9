//! The platform's own CA, the users of its bus, and certificates that renew themselves.

use super::{
    folder::{Folder, make_private, write_private},
    foundation::Foundation,
    host,
};
use crate::{
    config::Config,
    exit::{Failure, Outcome},
};
use arc_swap::ArcSwap;
use berth_access_svc::{
    AccessOptions, REMOVED_SECRET_GRACE,
    ca::{Ca, LEAF_LIFE, Leaf},
    nats_auth::{Bootstrap, OPERATOR_SEED, SERVICES_SEED, SYSTEM_USER, Signer},
    vault::MasterKey,
};
use berth_bus::BusOptions;
use berth_ids::Timestamp;
use berth_service_kit::{Clock, ServiceContext, ServiceError};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Messages of the bus: what the log can hold must fit.
const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;
const _: () = assert!(MAX_PAYLOAD_BYTES >= berth_ledger_svc::MIN_MAX_PAYLOAD);
/// Certificate of the CA of a NATS that has certificates of its own, beside the users' credentials.
const BUS_CA: &str = "nats-ca.pem";
/// Seconds for a TLS handshake with NATS.
const NATS_TLS_SECONDS: u32 = 5;
/// The longest time between two looks at the certificates: clocks jump.
const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// How long certificates are good, if not [`LEAF_LIFE`]: for those who want to see a renewal.
const LIFE_ENV: &str = "BERTH_CERT_LIFETIME";
/// The shortest life of a certificate: a renewal takes time.
const MIN_LIFE: Duration = Duration::from_secs(3);
/// Wait after a renewal that failed.
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// CA, bus users and certificates of a data folder.
pub struct Security {
    ca: Ca,
    ca_file: PathBuf,
    ca_sha256: String,
    names: Vec<String>,
    nats_listen: IpAddr,
    vault_key: PathBuf,
    creds: PathBuf,
    bus_lines: Option<String>,
    certificates: PathBuf,
    life: Duration,
    renew_at: Mutex<Timestamp>,
    https: Arc<HotCertificate>,
}

impl Security {
    /// Loads what the folder has. Whoever runs NATS (`owner`) makes what is missing and signs users anew.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn ensure(config: &Config, folder: &Folder, owner: bool) -> Outcome<Self> {
        let now = Clock::now();
        let ca = Ca::create_or_load(&folder.ca(), now)
            .map_err(|error| Failure::from_error("prepare the CA", &error))?;
        let bus_lines = if owner && config.nats_url.is_none() {
            make_private(&config.creds_dir)?;
            let users = Bootstrap::create_or_load(&config.creds_dir, now)
                .map_err(|error| Failure::from_error("prepare the users of the bus", &error))?;
            Some(users.nats_config().to_owned())
        } else {
            None
        };
        let names = host::advertised(&config.advertise, config.listen.ip());
        let life = life(std::env::var(LIFE_ENV).ok().as_deref())?;
        let leaf = ca
            .issue_server_for(&names, now, life)
            .map_err(|error| Failure::from_error("make a certificate", &error))?;
        let security = Self {
            ca_sha256: ca.fingerprint(),
            ca_file: folder.ca().join("ca.pem"),
            ca,
            names,
            nats_listen: config.nats.ip(),
            vault_key: folder.root().join("vault.key"),
            creds: config.creds_dir.clone(),
            bus_lines,
            certificates: folder.ca(),
            life,
            renew_at: Mutex::new(leaf.renew_at),
            https: Arc::new(HotCertificate(ArcSwap::from_pointee(certified(&leaf)?))),
        };
        security.write_nats(&leaf)?;
        Ok(security)
    }

    /// File of the CA's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.ca_file.clone()
    }
    /// File of the certificate that the bus is checked by: our own CA's, or that of a NATS which has others.
    pub fn bus_ca_file(&self) -> PathBuf {
        let foreign = self.foreign_bus_ca();
        if foreign.is_file() {
            foreign
        } else {
            self.ca_file()
        }
    }
    fn foreign_bus_ca(&self) -> PathBuf {
        self.creds.join(BUS_CA)
    }
    /// The certificates by which agents check the bus.
    ///
    /// # Errors
    /// The file of the bus's CA cannot be read.
    pub fn agents_ca_pem(&self) -> Outcome<String> {
        let foreign = self.foreign_bus_ca();
        if !foreign.is_file() {
            return Ok(self.ca.pem().to_owned());
        }
        let read = std::fs::read_to_string(&foreign);
        let foreign = read.map_err(|error| Failure::from_error("read the CA of the bus", &error))?;
        Ok(format!("{}\n{foreign}", self.ca.pem().trim_end()))
    }
    /// What join tokens pin.
    pub fn ca_sha256(&self) -> &str {
        &self.ca_sha256
    }
    /// The certificate for HTTPS; changes when it is renewed.
    pub fn https(&self) -> Arc<dyn ResolvesServerCert> {
        self.https.clone()
    }
    /// The name under which clients find the API.
    pub fn host(&self) -> &str {
        self.names.first().map_or("localhost", String::as_str)
    }

    /// URLs of the own NATS for agents: names that lead here from elsewhere, if NATS listens to elsewhere.
    pub fn public_urls(&self, port: u16) -> Vec<String> {
        public_names(&self.names, self.nats_listen)
            .iter()
            .map(|name| {
                if name.contains(':') {
                    format!("tls://[{name}]:{port}")
                } else {
                    format!("tls://{name}:{port}")
                }
            })
            .collect()
    }

    /// Lines of the configuration of the own NATS: accounts, TLS, limits.
    ///
    /// # Errors
    /// This process does not run it.
    pub fn nats_lines(&self) -> Outcome<String> {
        let users = self
            .bus_lines
            .as_deref()
            .ok_or_else(|| Failure::other("this process does not run NATS"))?;
        let (certificate, key) = self.nats_files();
        Ok(format!(
            "{users}\nmax_payload: {MAX_PAYLOAD_BYTES}\ntls {{\n  cert_file: {:?}\n  key_file: {:?}\n  timeout: {NATS_TLS_SECONDS}\n}}\n",
            certificate.display().to_string(),
            key.display().to_string(),
        ))
    }

    fn nats_files(&self) -> (PathBuf, PathBuf) {
        (
            self.certificates.join("nats.pem"),
            self.certificates.join("nats.key"),
        )
    }

    fn write_nats(&self, leaf: &Leaf) -> Outcome {
        if self.bus_lines.is_none() {
            return Ok(());
        }
        let (certificate, key) = self.nats_files();
        write_private(&key, &leaf.key_pem)?;
        write_private(&certificate, &leaf.chain_pem)
    }

    /// Makes a new certificate and takes it into use: at once for HTTPS, by a reload for NATS.
    fn renew(&self) -> Outcome {
        let leaf = self
            .ca
            .issue_server_for(&self.names, Clock::now(), self.life)
            .map_err(|error| Failure::from_error("make a certificate", &error))?;
        self.https.0.store(Arc::new(certified(&leaf)?));
        self.write_nats(&leaf)?;
        *self.renew_at.lock().unwrap_or_else(PoisonError::into_inner) = leaf.renew_at;
        Ok(())
    }

    fn until_renewal(&self) -> Duration {
        self.renew_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .since(Clock::now())
    }
}

/// How long certificates are good.
fn life(given: Option<&str>) -> Outcome<Duration> {
    let Some(text) = given else {
        return Ok(LEAF_LIFE);
    };
    crate::cli::duration(text)
        .ok()
        .filter(|life| (MIN_LIFE..=LEAF_LIFE).contains(life))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{LIFE_ENV} is `{text}`, which is no life of a certificate"
            ))
            .cure("give 3s to 7d, or unset it")
        })
}

/// Renews certificates until shutdown, without a restart of anything.
pub async fn keep_fresh(foundation: Arc<Foundation>, shutdown: CancellationToken) {
    loop {
        let wait = foundation.security.until_renewal().min(LOOK_INTERVAL);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
        if !foundation.security.until_renewal().is_zero() {
            continue;
        }
        let renewed = match foundation.security.renew() {
            Ok(()) => foundation.reload_nats().await,
            Err(failure) => Err(failure),
        };
        match renewed {
            Ok(()) => tracing::info!("certificates were renewed"),
            Err(failure) => {
                tracing::error!(%failure, "certificates could not be renewed; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// Runs access-svc with the keys of the folder.
///
/// # Errors
/// A key cannot be used, or the service failed.
pub async fn run_access(
    context: ServiceContext,
    security: Arc<Security>,
    nats_url: String,
) -> Result<(), ServiceError> {
    let failed = |what: &str, error: Failure| ServiceError::new("access", what, Box::new(error));
    let master_key = MasterKey::create_or_load(&security.vault_key)
        .map_err(|error| failed("use the master key", Failure::from_error("vault", &error)))?;
    let signer = signer(&security.creds).map_err(|error| failed("use the keys of the bus", error))?;
    let system = BusOptions {
        url: nats_url,
        user: SYSTEM_USER.to_owned(),
        credentials: Some(security.creds.join(format!("{SYSTEM_USER}.creds"))),
        ca: Some(security.bus_ca_file()),
    };
    let options = AccessOptions {
        master_key,
        signer,
        system: Some(system),
        agents_ca_pem: Arc::new(move || security.agents_ca_pem().map_err(|failure| failure.to_string())),
        removed_secret_grace: REMOVED_SECRET_GRACE,
    };
    berth_access_svc::run(context, options).await
}

/// The keys that sign agents' users, which the process that runs NATS has made.
fn signer(creds: &Path) -> Outcome<Signer> {
    let seed = |name: &str| {
        let path = creds.join(name);
        std::fs::read_to_string(&path).map_err(|error| {
            Failure::other(format!("could not read `{}`: {error}", path.display()))
                .cure("start a process with an own NATS on this data folder first, or give --creds-dir")
        })
    };
    let (operator, services) = (seed(OPERATOR_SEED)?, seed(SERVICES_SEED)?);
    Signer::from_seeds(operator.trim(), services.trim())
        .map_err(|error| Failure::from_error("use the keys of the bus", &error))
}

fn certified(leaf: &Leaf) -> Outcome<CertifiedKey> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::other(format!("an own certificate cannot be used: {error}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(|error| unreadable(&error))?;
    let key = any_supported_type(&key).map_err(|error| unreadable(&error))?;
    Ok(CertifiedKey::new(chain.map_err(|error| unreadable(&error))?, key))
}

/// A certificate that can be replaced while it is served.
struct HotCertificate(ArcSwap<CertifiedKey>);

impl std::fmt::Debug for HotCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HotCertificate")
    }
}

impl ResolvesServerCert for HotCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The names that lead from elsewhere to what listens on an address; loopback ones if there is nothing else.
fn public_names(names: &[String], listen: IpAddr) -> Vec<&String> {
    let local = |name: &&String| {
        name.as_str() == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let elsewhere: Vec<_> = names.iter().filter(|name| !local(name)).collect();
    if listen.is_loopback() || elsewhere.is_empty() {
        return names.iter().filter(local).collect();
    }
    elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_names_that_lead_here() {
        let names: Vec<String> = ["10.0.0.1", "localhost", "127.0.0.1"].map(str::to_owned).into();
        let public = |listen: &str| public_names(&names, listen.parse().unwrap());
        assert_eq!(public("0.0.0.0"), ["10.0.0.1"]);
        assert_eq!(public("127.0.0.1"), ["localhost", "127.0.0.1"]);
        assert_eq!(
            public_names(&names[1..], "0.0.0.0".parse().unwrap()),
            ["localhost", "127.0.0.1"]
        );
    }

    #[test]
    fn a_certificate_lives_as_long_as_is_sensible() {
        assert_eq!(life(None).unwrap(), LEAF_LIFE);
        assert_eq!(life(Some("9s")).unwrap(), Duration::from_secs(9));
        for wrong in ["1s", "8d", "soon"] {
            assert!(life(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_renewed_certificate_is_served_at_once_and_the_ca_stays() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let place = tempfile::tempdir().unwrap();
        let options = [("data", place.path().display().to_string())].into();
        let source = crate::config::Source {
            file: None,
            environment: &|_| None,
            options,
        };
        let config = crate::config::gather(&source).check().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let security = Security::ensure(&config, &folder, true).unwrap();
        let (ca, before) = (security.ca_sha256().to_owned(), security.https.0.load_full());
        let file = std::fs::read_to_string(folder.ca().join("nats.pem")).unwrap();
        security.renew().unwrap();
        assert_ne!(before.cert, security.https.0.load_full().cert);
        assert_ne!(
            file,
            std::fs::read_to_string(folder.ca().join("nats.pem")).unwrap()
        );
        assert_eq!(Security::ensure(&config, &folder, false).unwrap().ca_sha256(), ca);
        assert!(security.nats_lines().unwrap().contains("max_payload: 2097152"));
        assert!(config.creds_dir.join("scheduler.creds").is_file());
    }
}
