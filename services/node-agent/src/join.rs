//! How a server becomes a node: once, over HTTPS, with a token that pins the platform's CA.

mod pin;
mod token;

pub use token::{JoinToken, TokenError};

use crate::{
    engine::{Engine, EngineError},
    state::{Identity, Membership, StateDir, StateError},
};
use berth_api::{JoinAnswer, JoinRequest, Problem};
use berth_ids::{ClusterId, Name, NodeId};
use berth_service_kit::new_id;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// The longest wait for the platform.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to join.
#[derive(Debug, Clone, Default)]
pub struct JoinOptions {
    /// URL of the gateway.
    pub url: String,
    /// The join token.
    pub token: String,
    /// Folder for the agent's data.
    pub data_dir: PathBuf,
    /// `unix://…` of the engine.
    pub docker_host: String,
    /// Name of the node; absent: the host name.
    pub name: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Address by which other nodes reach it; absent: that of the route to the platform.
    pub address: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Countable resources, by kind.
    pub resources: BTreeMap<String, u64>,
}

/// What a join made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its address.
    pub address: String,
}

/// Why a server did not become a node.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The URL is none.
    #[error("`{0}` is no URL of a platform; give https://HOST:PORT")]
    Url(String),
    /// Plain HTTP to another machine.
    #[error("`{0}` would send the token in the clear; use https:// (plain http:// is for this machine only)")]
    Plaintext(String),
    /// The name is none.
    #[error("`{0}` cannot be the name of a node: {1}")]
    Name(String, berth_ids::NameError),
    /// This folder belongs to a node already.
    #[error("this server is the node `{name}` already; to join anew, remove the node and delete `{folder}`")]
    AlreadyJoined {
        /// Name of the node.
        name: String,
        /// The agent's folder.
        folder: PathBuf,
    },
    /// The server behind the URL is not the platform that made the token.
    #[error(
        "the server at {url} is not the platform that made the token: {reason}; check the URL, or whether somebody is between"
    )]
    Foreign {
        /// The URL.
        url: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// No answer.
    #[error("the platform at {url} does not answer; is it running, and is the port open?")]
    Silent {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It refused.
    #[error("{}", refusal(.0))]
    Refused(Box<Problem>),
    /// Its answer has another shape.
    #[error("the answer of {url} is not that of a Berth platform")]
    Shape {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The engine is away.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The agent's folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key could not be made.
    #[error("could not make the keys of the agent")]
    Key(#[source] nkeys::error::Error),
    /// No client for HTTPS could be made.
    #[error("could not make a client for HTTPS")]
    Client(#[source] reqwest::Error),
}

fn refusal(problem: &Problem) -> String {
    let what = match problem.code.as_str() {
        "access.token_expired" => "the join token has expired".to_owned(),
        "access.token_revoked" => "the join token was revoked".to_owned(),
        "access.token_used_up" => "the join token was used as often as it may be".to_owned(),
        "access.token_wrong" | "access.token_unknown" => {
            "the platform does not know this join token".to_owned()
        }
        _ if problem.detail.is_empty() => problem.title.clone(),
        _ => problem.detail.clone(),
    };
    match &problem.cure {
        Some(cure) => format!("{what}; {cure}"),
        None => what,
    }
}

/// Joins this server to the cluster that the token opens, and keeps what it needs in its folder.
///
/// Repeating it after a failure is harmless: the node's id and keys are made once.
///
/// # Errors
/// [`JoinError`].
pub async fn join(options: JoinOptions) -> Result<Joined, JoinError> {
    let token: JoinToken = options.token.parse()?;
    let url = checked_url(&options.url)?;
    let name = options.name.as_deref().map(checked_name).transpose()?;
    let state = StateDir::open(&options.data_dir)?;
    let mut identity = identity(&state)?;
    if let Some(member) = &identity.membership {
        return Err(JoinError::AlreadyJoined {
            name: member.name.clone(),
            folder: options.data_dir.join("agent"),
        });
    }
    let facts = Engine::at(&options.docker_host).facts().await?;
    let address = match options.address {
        Some(address) => address,
        None => route_address(&url).await.to_string(),
    };
    let request = JoinRequest {
        token_id: token.token_id,
        secret: token.secret.expose_secret().to_owned(),
        user_key: nkeys::KeyPair::from_seed(identity.user_seed.expose_secret())
            .map_err(JoinError::Key)?
            .public_key(),
        sealing_key: nkeys::XKey::from_seed(identity.sealing_seed.expose_secret())
            .map_err(JoinError::Key)?
            .public_key(),
        node_id: identity.node_id,
        name,
        zone: options.zone,
        address: address.clone(),
        labels: options.labels,
        resources: options.resources,
        facts,
    };
    let answer = ask(&url, &token, &request).await?;
    identity.membership = Some(Membership {
        name: answer.name.clone(),
        cluster_id: answer.cluster_id,
        tenant: answer.tenant,
        user_jwt: answer.user_jwt,
        nats_urls: answer.nats_urls,
        ca_pem: answer.ca_pem,
        address: address.clone(),
    });
    state.keep_identity(&identity)?;
    Ok(Joined {
        node_id: identity.node_id,
        name: answer.name,
        cluster_id: answer.cluster_id,
        address,
    })
}

/// Id and keys of this agent, made once and kept before the first try.
fn identity(state: &StateDir) -> Result<Identity, JoinError> {
    if let Some(identity) = state.identity()? {
        return Ok(identity);
    }
    let user_seed = nkeys::KeyPair::new_user().seed().map_err(JoinError::Key)?;
    let sealing_seed = nkeys::XKey::new().seed().map_err(JoinError::Key)?;
    let identity = Identity {
        node_id: new_id(),
        membership: None,
        user_seed: SecretString::from(user_seed),
        sealing_seed: SecretString::from(sealing_seed),
    };
    state.keep_identity(&identity)?;
    Ok(identity)
}

fn checked_name(name: &str) -> Result<Name, JoinError> {
    Name::parse(name).map_err(|error| JoinError::Name(name.to_owned(), error))
}

fn checked_url(text: &str) -> Result<Url, JoinError> {
    let bad = || JoinError::Url(text.to_owned());
    let url: Url = text.parse().map_err(|_| bad())?;
    let host = url.host_str().ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(JoinError::Plaintext(text.to_owned())),
        _ => Err(bad()),
    }
}

async fn ask(url: &Url, token: &JoinToken, request: &JoinRequest) -> Result<JoinAnswer, JoinError> {
    let client = Client::builder()
        .tls_backend_preconfigured(pin::config(token.ca_sha256))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // A redirect would carry the secret elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(JoinError::Client)?;
    let target = url
        .join("/v1/join")
        .map_err(|_| JoinError::Url(url.to_string()))?;
    let shape = |source| JoinError::Shape {
        url: url.to_string(),
        source,
    };
    let answer = client
        .post(target)
        .json(request)
        .send()
        .await
        .map_err(|source| unanswered(url, source))?;
    if answer.status().is_success() {
        return answer.json().await.map_err(shape);
    }
    Err(JoinError::Refused(Box::new(answer.json().await.map_err(shape)?)))
}

/// Tells a wrong certificate from a server that is not there.
fn unanswered(url: &Url, source: reqwest::Error) -> JoinError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return JoinError::Foreign {
                url: url.to_string(),
                reason: pin::reason(tls),
            };
        }
        // An error of the system gives the source of what it wraps, never what it wraps.
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        cause = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    JoinError::Silent {
        url: url.to_string(),
        source,
    }
}

/// This machine's address on the way to the platform. Connecting a datagram socket sends nothing.
async fn route_address(url: &Url) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return loopback;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(mut found) = tokio::net::lookup_host((host, port)).await else {
        return loopback;
    };
    let Some(target) = found.next() else {
        return loopback;
    };
    let any: SocketAddr = if target.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let local = async {
        let socket = tokio::net::UdpSocket::bind(any).await?;
        socket.connect(target).await?;
        socket.local_addr()
    };
    local.await.map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_goes_in_the_clear_to_another_machine() {
        for fine in [
            "https://berth.example:8443",
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:8",
        ] {
            assert!(checked_url(fine).is_ok(), "{fine}");
        }
        assert!(matches!(
            checked_url("http://10.0.0.1:8080"),
            Err(JoinError::Plaintext(_))
        ));
        assert!(matches!(checked_url("ftp://127.0.0.1"), Err(JoinError::Url(_))));
        assert!(matches!(checked_url("berth"), Err(JoinError::Url(_))));
    }

    #[test]
    fn each_refusal_has_its_words() {
        let problem = |code: &str| Problem {
            code: code.into(),
            detail: "detail".into(),
            cure: Some("mint a new one".into()),
            ..Problem::default()
        };
        assert_eq!(
            refusal(&problem("access.token_expired")),
            "the join token has expired; mint a new one"
        );
        assert_eq!(refusal(&problem("cluster.name_taken")), "detail; mint a new one");
    }

    #[tokio::test]
    async fn the_address_is_that_of_the_route() {
        let url: Url = "https://127.0.0.1:9".parse().unwrap();
        assert_eq!(route_address(&url).await.to_string(), "127.0.0.1");
    }
}
