//! What keeps the agent from the bus, in words, and once for each kind of trouble.

use super::access::Access;
use berth_bus::async_nats::{Event, ServerError};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io::Read,
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Why the bus does not take the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Login,
    Expired,
    Foreign,
    CertificateExpired,
    Plaintext,
}

/// Time between two looks at why a connection fails.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait for the server in one look.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest greeting of a server.
const MAX_GREETING: usize = 64 * 1024;

/// Hears what happens to the connection and tells what people must know.
#[derive(Debug, Default)]
pub(super) struct Ear {
    last: Mutex<Option<Trouble>>,
    /// A connection failed and the client does not say why.
    unclear: Notify,
}

impl Ear {
    /// Takes note of an event of the client.
    pub(super) fn hear(&self, event: &Event) {
        match event {
            Event::Connected => self.note(None),
            Event::ServerError(ServerError::AuthorizationViolation) => self.note(Some(Trouble::Login)),
            Event::ServerError(ServerError::Other(text)) => self.note(of_text(text)),
            Event::ClientError(error) => match of_text(&error.to_string()) {
                Some(trouble) => self.note(Some(trouble)),
                // The client says that the connection failed, not why.
                None => self.unclear.notify_one(),
            },
            Event::ServerError(ServerError::SlowConsumer(_))
            | Event::Disconnected
            | Event::LameDuckMode
            | Event::Draining
            | Event::Closed
            | Event::SlowConsumer(_) => {}
        }
    }

    /// Tells a trouble when it begins or becomes another, not with every try.
    fn note(&self, trouble: Option<Trouble>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != trouble
            && let Some(trouble) = trouble
        {
            tracing::error!("{}; containers go on meanwhile", trouble.words());
        }
        *last = trouble;
    }

    /// Looks at the bus whenever a connection failed for a reason that the client does not give.
    pub(super) async fn listen(self: Arc<Self>, urls: Vec<String>, access: Arc<Access>) {
        loop {
            self.unclear.notified().await;
            let (urls, ca_pem) = (urls.clone(), access.ca_pem());
            let look = move || urls.iter().find_map(|url| look(url, &ca_pem));
            if let Ok(Some(trouble)) = tokio::task::spawn_blocking(look).await {
                self.note(Some(trouble));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

/// What a handshake with the bus comes to; `None`: nobody answers, or nothing is wrong.
fn look(url: &str, ca_pem: &str) -> Option<Trouble> {
    let (host, port) = url
        .rsplit_once("://")
        .map_or(url, |(_, rest)| rest)
        .rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = (host, port.parse::<u16>().ok()?).to_socket_addrs().ok()?.next()?;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    let greeting = greeting(&mut socket)?;
    if !greeting.contains("\"tls_required\":true") && !greeting.contains("\"tls_available\":true") {
        return Some(Trouble::Plaintext);
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.ok()?).ok()?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut session = ClientConnection::new(Arc::new(config), name).ok()?;
    let error = session.complete_io(&mut socket).err()?;
    let fault = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    of_handshake(fault)
}

/// The line with which a server of the bus begins.
fn greeting(socket: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < MAX_GREETING {
        socket.read_exact(&mut byte).ok()?;
        if byte == *b"\n" {
            return String::from_utf8(line).ok();
        }
        line.extend(byte);
    }
    None
}

fn of_handshake(fault: &rustls::Error) -> Option<Trouble> {
    match fault {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Some(Trouble::CertificateExpired),
        rustls::Error::InvalidCertificate(_) => Some(Trouble::Foreign),
        rustls::Error::InvalidMessage(_) => Some(Trouble::Plaintext),
        _ => None,
    }
}

impl Trouble {
    /// What is wrong and what cures it.
    const fn words(self) -> &'static str {
        match self {
            Self::Login => {
                "the bus refuses this agent's login: its node was removed, or the bus is another platform's; delete the agent's folder and join again with a new token"
            }
            Self::Expired => {
                "this agent's bus login has expired; check the clock of this machine, else delete the agent's folder and join again with a new token"
            }
            Self::Foreign => {
                "the bus shows a certificate that the CA of this platform did not sign for it: somebody stands in between, or the platform was made anew; then join again with a new token"
            }
            Self::CertificateExpired => {
                "the certificate of the bus has expired; check the clock of this machine, and that the platform renews its certificates"
            }
            Self::Plaintext => {
                "the bus does not speak TLS at its address, and the agent does not go on in the clear; check the address and the bus's configuration"
            }
        }
    }
}

/// What a text of client or server says of a login; `None`: nothing.
fn of_text(text: &str) -> Option<Trouble> {
    let text = text.to_lowercase();
    if text.contains("authentication expired") {
        Some(Trouble::Expired)
    } else if text.contains("authorization violation") || text.contains("authentication revoked") {
        Some(Trouble::Login)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls::{ServerConfig, ServerConnection, pki_types::PrivateKeyDer};
    use std::{io::Write, net::TcpListener};

    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Authority { pem, issuer }
    }

    /// Greets as a server of the bus does, then shakes hands once; gives its address.
    fn serve(by: &Authority, until: i32, tls: bool) -> String {
        rustls::crypto::ring::default_provider().install_default().ok();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        let leaf = params.signed_by(&key, &by.issuer).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let info = format!("INFO {{\"server_id\":\"x\",\"tls_required\":{tls}}}\r\n");
            socket.write_all(info.as_bytes()).unwrap();
            let mut session = ServerConnection::new(Arc::new(config)).unwrap();
            let _ = session.complete_io(&mut socket);
        });
        format!("tls://{address}")
    }

    #[test]
    fn each_wrong_server_has_its_own_words() {
        let (own, other) = (authority(), authority());
        let said = |url: &str| look(url, &own.pem);
        assert_eq!(said(&serve(&own, 2100, true)), None);
        assert_eq!(said(&serve(&other, 2100, true)), Some(Trouble::Foreign));
        assert_eq!(said(&serve(&own, 2001, true)), Some(Trouble::CertificateExpired));
        assert_eq!(said(&serve(&own, 2100, false)), Some(Trouble::Plaintext));
        assert_eq!(said("tls://127.0.0.1:1"), None);
        let both = format!("{}{}", own.pem, other.pem);
        assert_eq!(
            look(&serve(&other, 2100, true), &both),
            None,
            "each of several CAs counts"
        );
    }

    #[test]
    fn a_refused_login_is_told_once_until_it_is_over() {
        let ear = Ear::default();
        let now = || *ear.last.lock().unwrap();
        ear.hear(&Event::ServerError(ServerError::AuthorizationViolation));
        assert_eq!(now(), Some(Trouble::Login));
        ear.hear(&Event::Disconnected);
        assert_eq!(now(), Some(Trouble::Login));
        ear.hear(&Event::ServerError(ServerError::Other(
            "User Authentication Expired".into(),
        )));
        assert_eq!(now(), Some(Trouble::Expired));
        ear.hear(&Event::Connected);
        assert_eq!(now(), None);
    }
}
