//! Joining over TLS: the pin of the token decides whom the agent trusts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

use berth_api::{JoinAnswer, Problem};
use berth_ids::ClusterId;
use berth_lab::Lab;
use berth_node_agent::{JoinError, JoinOptions, join, state::StateDir};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A platform that answers every request with the same status and body.
struct Platform {
    url: String,
    pin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Platform {
    async fn start(
        status: &'static str,
        body: impl Fn(&serde_json::Value) -> String + Send + Sync + 'static,
    ) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let chain = vec![leaf.der().clone(), ca_cert.der().clone()];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let request = read_request(&mut stream).await;
                let body = body(&serde_json::from_str(&request).unwrap());
                seen.lock().unwrap().push(request);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream
                    .write_all(format!("{head}{body}").as_bytes())
                    .await
                    .unwrap();
                let _ = stream.shutdown().await;
            }
        });
        Self {
            url,
            pin: hex::encode(Sha256::digest(ca_cert.der())),
            requests,
        }
    }

    fn token(&self) -> String {
        format!(
            "berth-join-00000000000070008000000000000001.c2VjcmV0.{}",
            self.pin
        )
    }
}

/// Body of one request.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        text.extend_from_slice(&buffer[..read]);
        let all = String::from_utf8_lossy(&text);
        let Some((head, body)) = all.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.unwrap().parse().unwrap() {
            return body.to_owned();
        }
    }
}

fn answer(request: &serde_json::Value) -> String {
    let answer = JoinAnswer {
        node_id: request["node_id"].as_str().unwrap().parse().unwrap(),
        name: "n1".into(),
        cluster_id: ClusterId::from_u128(5),
        tenant: "main".into(),
        user_jwt: "jwt".into(),
        nats_urls: vec!["tls://127.0.0.1:4222".into()],
        ca_pem: "-----BEGIN CERTIFICATE-----\n".into(),
        position: 3,
    };
    serde_json::to_string(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_joins_once_and_only_the_platform_of_its_token() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut lab = Lab::start(1).unwrap();
    let docker_host = lab.node(1).unwrap().docker_host();
    let folder = tempfile::tempdir().unwrap();
    let options = |url: &str, token: &str| JoinOptions {
        url: url.into(),
        token: token.into(),
        data_dir: folder.path().to_owned(),
        docker_host: docker_host.clone(),
        ..JoinOptions::default()
    };
    let ours = Platform::start("201 Created", answer).await;
    let other = Platform::start("201 Created", answer).await;
    let expired = Platform::start("403 Forbidden", |_| {
        let problem = Problem {
            code: "access.token_expired".into(),
            ..Problem::default()
        };
        serde_json::to_string(&problem).unwrap()
    })
    .await;

    let error = join(options(&other.url, &ours.token())).await.unwrap_err();
    assert!(matches!(error, JoinError::Foreign { .. }), "{error:?}");
    assert!(
        other.requests.lock().unwrap().is_empty(),
        "the secret went to a stranger"
    );
    let error = join(options(&expired.url, &expired.token())).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    let error = join(options("https://127.0.0.1:1", &ours.token()))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::Silent { .. }), "{error:?}");
    let error = join(options("http://10.1.2.3:80", &ours.token()))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::Plaintext(_)), "{error:?}");

    let joined = join(options(&ours.url, &ours.token())).await.unwrap();
    assert_eq!(
        (joined.name.as_str(), joined.address.as_str()),
        ("n1", "127.0.0.1")
    );
    let request = ours.requests.lock().unwrap()[0].clone();
    let refused = expired.requests.lock().unwrap()[0].clone();
    let of = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["node_id"].clone();
    assert_eq!(of(&request), of(&refused), "the id and keys are made once");
    assert!(!request.contains("SUA") && request.contains("\"user_key\":\"U"));
    let kept = StateDir::open(folder.path())
        .unwrap()
        .identity()
        .unwrap()
        .unwrap();
    assert_eq!(kept.membership.unwrap().cluster_id, ClusterId::from_u128(5));

    let error = join(options(&ours.url, &ours.token())).await.unwrap_err();
    assert!(matches!(error, JoinError::AlreadyJoined { .. }), "{error:?}");
}
