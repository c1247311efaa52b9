//! Speaking TLS as a stranger would: any certificate is looked at, and servers with wrong ones are made.

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// The longest silence of a server.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection with TLS, kept open.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Connects and trusts the CA of a file; with `greeted`, the server speaks a line in the clear first (NATS).
    ///
    /// # Errors
    /// The server is away or not trusted.
    pub fn open(port: u16, ca: &Path, greeted: bool) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).context("the CA")?)?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if greeted {
            line(&mut stream)?;
        }
        let name = ServerName::try_from("127.0.0.1")?;
        let mut session = ClientConnection::new(Arc::new(config), name)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(session, stream)))
    }

    /// The certificate that the server showed.
    ///
    /// # Errors
    /// It showed none.
    pub fn certificate(&self) -> Result<Vec<u8>> {
        let shown = self.0.conn.peer_certificates().and_then(<[_]>::first);
        Ok(shown.context("a certificate")?.to_vec())
    }

    /// Says something and gives what comes back until the server closes or is silent.
    ///
    /// # Errors
    /// It could not be said.
    pub fn say(&mut self, text: &str) -> Result<String> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()?;
        let mut answer = Vec::new();
        // A close without a farewell or a silence ends it too.
        let _ = self.0.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Asks for a path over HTTP/1.1 and gives the status; the connection stays open.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn get(&mut self, path: &str) -> Result<u16> {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: berth\r\n\r\n")?;
        let mut answer = BufReader::new(&mut self.0);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            anyhow::ensure!(
                answer.read_line(&mut line)? > 0,
                "the server has closed the connection"
            );
            let line = line.trim_end().to_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().unwrap_or_default().parse()?;
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse()?;
            } else if line.is_empty() {
                break;
            }
        }
        answer.read_exact(&mut vec![0; length])?;
        Ok(status)
    }
}

/// One line of a server, a byte at a time: what follows is TLS.
fn line(stream: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while text.last() != Some(&b'\n') {
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The port at the end of a URL.
///
/// # Errors
/// There is none.
pub fn port_of(url: &str) -> Result<u16> {
    let (_, port) = url.rsplit_once(':').context("a port")?;
    Ok(port.parse()?)
}

/// Says something in the clear and gives what comes back until the server closes or is silent.
///
/// # Errors
/// Nobody listens.
pub fn in_the_clear(port: u16, said: &str) -> Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(said.as_bytes())?;
    let mut answer = Vec::new();
    // A reset or a silence ends it too.
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Listens on loopback with a certificate that has ended, signed by a CA of its own. Gives the port, the CA
/// in PEM and its fingerprint. Ends with the test's process.
///
/// # Errors
/// The certificate could not be made.
pub fn expired_server() -> Result<(u16, String, String)> {
    let ca_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key)?;
    let issuer = Issuer::from_ca_cert_der(ca.der(), ca_key)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    let leaf = params.signed_by(&key, &issuer)?;
    let chain = vec![leaf.der().clone(), ca.der().clone()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let config = Arc::new(
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?,
    );
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(mut session) = ServerConnection::new(Arc::clone(&config)) else {
                return;
            };
            // The client refuses the certificate: that is the point.
            while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
        }
    });
    let fingerprint = hex::encode(Sha256::digest(ca.der()));
    Ok((port, ca.pem(), fingerprint))
}
