//! Certificates of the own authority, tried in real handshakes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use berth_access_svc::ca::{Ca, LEAF_LIFE, Leaf, fingerprint_of};
use berth_ids::Timestamp;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{sync::Arc, time::SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::default().plus(since)
}

/// A handshake over memory; the client trusts `roots`.
async fn handshake(leaf: &Leaf, roots: &str, name: &str) -> std::io::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut store = RootCertStore::empty();
    store
        .add(CertificateDer::from_pem_slice(roots.as_bytes()).unwrap())
        .unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(store)
        .with_no_client_auth();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let accepting = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    assert_eq!(heard, "hello");
    accepting.await.unwrap()
}

fn names() -> Vec<String> {
    vec!["localhost".into(), "10.0.0.1".into()]
}

#[tokio::test]
async fn a_certificate_is_good_for_its_names_and_for_who_trusts_us() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::create_or_load(folder.path(), now()).unwrap();
    let leaf = ca.issue_server(&names(), now()).unwrap();
    handshake(&leaf, ca.pem(), "localhost").await.unwrap();
    handshake(&leaf, ca.pem(), "10.0.0.1").await.unwrap();
    let wrong_name = handshake(&leaf, ca.pem(), "elsewhere").await.unwrap_err();
    assert!(
        wrong_name.to_string().contains("not valid for name"),
        "{wrong_name}"
    );

    let foreign = tempfile::tempdir().unwrap();
    let foreign = Ca::create_or_load(foreign.path(), now()).unwrap();
    let refused = handshake(&leaf, foreign.pem(), "localhost").await.unwrap_err();
    assert!(
        refused.to_string().contains("invalid peer certificate"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_renewal_comes_before() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::create_or_load(folder.path(), now()).unwrap();
    let long_ago =
        Timestamp::from_micros(now().as_micros() - 2 * i64::try_from(LEAF_LIFE.as_micros()).unwrap());
    let old = ca.issue_server(&names(), long_ago).unwrap();
    assert!(old.renew_at < old.not_after);
    let refused = handshake(&old, ca.pem(), "localhost").await.unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    let renewed = ca.issue_server(&names(), now()).unwrap();
    handshake(&renewed, ca.pem(), "localhost").await.unwrap();
}

#[test]
fn the_authority_is_made_once_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("ca");
    let first = Ca::create_or_load(&folder, now()).unwrap().fingerprint();
    let again = Ca::create_or_load(&folder, now()).unwrap();
    assert_eq!(again.fingerprint(), first);
    assert_eq!(fingerprint_of(again.pem()).unwrap(), first);
    assert_eq!(first.len(), 64);
    let mode = std::fs::metadata(folder.join("ca.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(folder.join("ca.pem"), "nonsense").unwrap();
    assert!(Ca::create_or_load(&folder, now()).is_err());
}
