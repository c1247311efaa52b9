//! The API over real services: Postgres, NATS with its rights, the log, and every service that answers.
//!
//! Only the engine is left out: what an agent would report is recorded by the test.

use berth_access_svc::{
    AccessOptions,
    nats_auth::{Bootstrap, SYSTEM_USER, credentials_text},
    vault::MasterKey,
};
use berth_bus::BusOptions;
use berth_events::{AccessCommand, CommandBody, CommandOutcome, NodeFacts};
use berth_gateway::{Gateway, GatewayOptions};
use berth_ids::{NodeId, TokenId};
use berth_service_kit::{Clock, ServiceContext, new_id};
use berth_testlog::{Failure, TestLog, submit};
use reqwest::{Method, RequestBuilder, StatusCode};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

/// Secret of the root token.
const ROOT_SECRET: &str = "root-secret-of-a-test";

/// A platform without engines.
pub struct Platform {
    /// The log with its servers.
    pub log: TestLog,
    /// Where HTTPS is served.
    pub https: SocketAddr,
    /// Certificate of the authority.
    pub ca_pem: String,
    base: String,
    root: String,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

/// One certificate for all.
struct Fixed(Arc<CertifiedKey>);

impl std::fmt::Debug for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fixed")
    }
}

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Platform {
    /// Starts everything.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn start() -> Result<Self, Failure> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        let bootstrap = Bootstrap::create_or_load(&keys, Clock::now())?;
        let log = TestLog::start_with(bootstrap.nats_config(), Some(keys)).await?;
        let options = AccessOptions {
            master_key: MasterKey::create_or_load(&folder.path().join("master.key"))?,
            signer: bootstrap.signer()?,
            system: Some(BusOptions {
                url: log.services().nats_url(),
                user: SYSTEM_USER.into(),
                credentials: Some(bootstrap.credentials(SYSTEM_USER)),
                ca: None,
            }),
            removed_secret_grace: berth_access_svc::REMOVED_SECRET_GRACE,
            agents_ca_pem: Arc::new(|| Ok("pins".to_owned())),
        };
        tokio::spawn(berth_access_svc::run(log.context("access").await?, options));
        tokio::spawn(berth_cluster_svc::run(log.context("cluster").await?));
        tokio::spawn(berth_scheduler_svc::run(log.context("scheduler").await?));
        tokio::spawn(berth_monitor_svc::run(log.context("monitor").await?));
        tokio::spawn(berth_log_svc::run(log.context("log").await?));
        let authority = berth_access_svc::ca::Ca::create_or_load(&folder.path().join("ca"), Clock::now())?;
        let (gateway, https, http) = start_gateway(log.context("gateway").await?, &authority).await?;
        tokio::spawn(gateway.serve());
        let root = bootstrap_root(&log).await?;
        Ok(Self {
            log,
            https,
            ca_pem: authority.pem().to_owned(),
            base: format!("http://{http}"),
            root,
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            folder,
        })
    }

    /// A request without a token.
    pub fn open(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request as root.
    pub fn root(&self, method: Method, path: &str) -> RequestBuilder {
        self.open(method, path).bearer_auth(&self.root)
    }

    /// A read as root that must work.
    ///
    /// # Errors
    /// It did not.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        expect(self.root(Method::GET, path), StatusCode::OK).await
    }

    /// A read as root that shows a position.
    ///
    /// # Errors
    /// It did not work.
    pub async fn get_at(&self, path: &str, position: &Value) -> Result<Value, Failure> {
        let request = self
            .root(Method::GET, path)
            .header("min-position", position.to_string());
        expect(request, StatusCode::OK).await
    }

    /// A write as root that must be answered so.
    ///
    /// # Errors
    /// It was not.
    pub async fn post(&self, path: &str, body: Value, status: u16) -> Result<Value, Failure> {
        expect(
            self.root(Method::POST, path).json(&body),
            StatusCode::from_u16(status)?,
        )
        .await
    }

    /// A cluster with this name; answers the write.
    ///
    /// # Errors
    /// It was refused.
    pub async fn cluster(&self, name: &str) -> Result<Value, Failure> {
        self.post("/v1/clusters", json!({ "name": name }), 201).await
    }

    /// A token with these scopes and clusters.
    ///
    /// # Errors
    /// It was refused.
    pub async fn token(&self, scopes: &[&str], clusters: &[&str]) -> Result<String, Failure> {
        let minted = self
            .post(
                "/v1/tokens",
                json!({ "scopes": scopes, "clusters": clusters }),
                201,
            )
            .await?;
        Ok(text(&minted, "/token"))
    }

    /// The body of a join with a token of a cluster.
    ///
    /// # Errors
    /// No token.
    pub async fn join_body(&self, cluster: &str, name: &str) -> Result<Value, Failure> {
        let path = format!("/v1/clusters/{cluster}/join-tokens");
        let minted = self
            .post(&path, json!({ "ttl_seconds": 600, "max_uses": 1 }), 201)
            .await?;
        let token = text(&minted, "/token");
        let secret = token.split('.').nth(1).unwrap_or_default();
        let node: NodeId = new_id();
        Ok(json!({
            "token_id": minted["id"], "secret": secret, "node_id": node, "name": name,
            "user_key": nkeys::KeyPair::new_user().public_key(),
            "sealing_key": nkeys::XKey::new().public_key(),
            "address": "10.0.0.1", "zone": "a", "labels": { "disk": "ssd" },
            "facts": facts(name),
        }))
    }

    /// A node of a cluster; answers the join.
    ///
    /// # Errors
    /// It was refused.
    pub async fn join(&self, cluster: &str, name: &str) -> Result<Value, Failure> {
        let mut body = self.join_body(cluster, name).await?;
        let user = nkeys::KeyPair::new_user();
        body["user_key"] = json!(user.public_key());
        let joined = expect(
            self.open(Method::POST, "/v1/join").json(&body),
            StatusCode::CREATED,
        )
        .await?;
        let credentials = credentials_text(&text(&joined, "/user_jwt"), &user.seed()?);
        std::fs::write(self.credentials(&joined), credentials)?;
        Ok(joined)
    }

    /// The bus credentials of a node that [`Self::join`] made.
    pub fn credentials(&self, joined: &Value) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.creds", text(joined, "/node_id")))
    }
}

async fn start_gateway(
    context: ServiceContext,
    authority: &berth_access_svc::ca::Ca,
) -> Result<(Gateway, SocketAddr, SocketAddr), Failure> {
    let leaf = authority.issue_server(&["127.0.0.1".to_owned(), "localhost".to_owned()], Clock::now())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = GatewayOptions {
        https_listen: Some(any),
        http_listen: Some(any),
        nats_urls: vec!["tls://127.0.0.1:4222".into()],
        ca_pem: authority.pem().to_owned(),
        ca_sha256: authority.fingerprint(),
        tls: Arc::new(Fixed(Arc::new(certified(&leaf)?))),
        tenant: "main".into(),
    };
    let gateway = Gateway::start(context, options).await?;
    let (https, http) = (gateway.https_address(), gateway.http_address());
    Ok((gateway, https.ok_or("no HTTPS")?, http.ok_or("no HTTP")?))
}

fn certified(leaf: &berth_access_svc::ca::Leaf) -> Result<CertifiedKey, Failure> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    Ok(CertifiedKey::new(
        chain,
        rustls::crypto::ring::sign::any_supported_type(&key)?,
    ))
}

async fn bootstrap_root(log: &TestLog) -> Result<String, Failure> {
    let token_id: TokenId = new_id();
    let command = AccessCommand::Bootstrap {
        account_id: new_id(),
        token_id,
        hash: hex::encode(Sha256::digest(ROOT_SECRET)),
    };
    match submit(&log.bus("gateway").await?, CommandBody::Access(command), None).await? {
        CommandOutcome::Accepted { .. } => {
            Ok(format!("berth-api-{}.{ROOT_SECRET}", token_id.as_uuid().simple()))
        }
        CommandOutcome::Rejected(rejection) => Err(rejection.message.into()),
    }
}

/// Sends a request that must be answered with a status; its JSON.
///
/// # Errors
/// Another status, with the answer in the message.
pub async fn expect(request: RequestBuilder, status: StatusCode) -> Result<Value, Failure> {
    let response = request.send().await?;
    let (found, url) = (response.status(), response.url().clone());
    let body = response.text().await?;
    if found != status {
        return Err(format!("{url}: {found}, not {status}: {body}").into());
    }
    Ok(serde_json::from_str(&body)?)
}

/// A text in an answer.
pub fn text(answer: &Value, pointer: &str) -> String {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What an agent would measure.
pub fn facts(hostname: &str) -> NodeFacts {
    NodeFacts {
        hostname: hostname.into(),
        engine_version: "20.10.24".into(),
        engine_api_version: "1.41".into(),
        os: "linux".into(),
        architecture: "amd64".into(),
        kernel: "6.1".into(),
        cpu_millis: 4_000,
        memory_bytes: 8 << 30,
        disk_bytes: 100 << 30,
        agent_version: "0.1.0".into(),
        ..NodeFacts::default()
    }
}
