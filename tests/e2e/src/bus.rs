//! A user of the bus that tries what it may not: with the credentials of a service, or as a stolen node.

use crate::platform::Platform;
use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// The longest wait for a word of the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// A subject that nobody may publish or hear: its refusal says that everything before it was judged.
const FENCE: &str = "fence";

/// What an agent keeps: who it is, where it belongs, and the key of its user.
#[derive(Debug, Clone)]
pub struct StolenNode {
    /// Its node.
    pub node: String,
    /// Its cluster.
    pub cluster: String,
    /// Its tenant.
    pub tenant: String,
    jwt: String,
    seed: String,
    ca: PathBuf,
}

impl StolenNode {
    /// Reads the folder of an agent, as a thief would.
    ///
    /// # Errors
    /// The agent has not joined.
    pub fn of(platform: &Platform, number: usize) -> Result<Self> {
        let mut nodes = platform.lab.nodes().iter();
        let node = nodes
            .find(|node| node.number() == number)
            .context("a node of the lab")?;
        let folder = node.folder().join("agent/agent");
        let text = std::fs::read_to_string(folder.join("identity.json")).context("the agent's identity")?;
        let identity: Value = serde_json::from_str(&text)?;
        let word = |value: &Value, key: &str| -> Result<String> {
            let found = value[key].as_str();
            Ok(found
                .with_context(|| format!("the identity has `{key}`"))?
                .to_owned())
        };
        let member = &identity["membership"];
        Ok(Self {
            node: word(&identity, "node_id")?,
            cluster: word(member, "cluster_id")?,
            tenant: word(member, "tenant")?,
            jwt: word(member, "user_jwt")?,
            seed: word(&identity, "user_seed")?,
            ca: folder.join("ca.pem"),
        })
    }

    /// Connects as this node.
    ///
    /// # Errors
    /// The bus refuses it.
    pub async fn connect(&self, platform: &Platform) -> Result<BusUser> {
        let key = Arc::new(nkeys::KeyPair::from_seed(&self.seed).context("the seed of a user")?);
        let options = ConnectOptions::with_jwt(self.jwt.clone(), move |nonce| {
            let key = Arc::clone(&key);
            async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
        });
        BusUser::connect(options, platform, &self.ca, &self.node).await
    }
}

/// A connection whose refusals are counted.
pub struct BusUser {
    /// The client.
    pub client: Client,
    /// Service or node.
    pub name: String,
    said: UnboundedReceiver<String>,
    fences: u32,
}

impl BusUser {
    /// Connects with the credentials file of a service.
    ///
    /// # Errors
    /// The bus refuses it.
    pub async fn service(platform: &Platform, name: &str) -> Result<Self> {
        let file = platform.data().join(format!("creds/{name}.creds"));
        let options = ConnectOptions::with_credentials_file(file).await?;
        Self::connect(options, platform, &platform.data().join("ca/ca.pem"), name).await
    }

    async fn connect(options: ConnectOptions, platform: &Platform, ca: &Path, name: &str) -> Result<Self> {
        let (tell, said) = unbounded_channel();
        let client = options
            .require_tls(true)
            .add_root_certificates(ca.to_owned())
            .custom_inbox_prefix(format!("_INBOX.{name}"))
            .request_timeout(Some(PATIENCE))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    // A user that is gone hears nothing.
                    let _ = tell.send(error.to_string());
                }
                std::future::ready(())
            })
            .connect(platform.nats())
            .await
            .with_context(|| format!("connect as {name}"))?;
        Ok(Self {
            client,
            name: name.to_owned(),
            said,
            fences: 0,
        })
    }

    /// Publishes nothing to each subject; those that were refused.
    ///
    /// # Errors
    /// The bus is away.
    pub async fn refused_to_say(&mut self, subjects: &[String]) -> Result<Vec<String>> {
        for subject in subjects {
            self.client.publish(subject.clone(), Bytes::new()).await?;
        }
        self.fence(subjects, "Publish to").await
    }

    /// Subscribes to each subject; those that were refused.
    ///
    /// # Errors
    /// The bus is away.
    pub async fn refused_to_hear(&mut self, subjects: &[String]) -> Result<Vec<String>> {
        let mut open: Vec<Subscriber> = Vec::new();
        for subject in subjects {
            open.push(self.client.subscribe(subject.clone()).await?);
        }
        self.fence(subjects, "Subscription to").await
    }

    /// The server judges in order: once the fence is refused, all before it were judged.
    async fn fence(&mut self, subjects: &[String], what: &str) -> Result<Vec<String>> {
        self.fences += 1;
        let fence = format!("{FENCE}.{}", self.fences);
        self.client.publish(fence.clone(), Bytes::new()).await?;
        self.client.flush().await?;
        let mut refused = Vec::new();
        loop {
            let Some(said) = timeout(PATIENCE, self.said.recv()).await.context("a fence")? else {
                bail!("the connection of {} ended", self.name);
            };
            let Some(subject) = said.split('"').nth(1) else {
                continue;
            };
            if subject == fence {
                return Ok(refused);
            }
            if said.to_lowercase().contains(&what.to_lowercase()) && subjects.iter().any(|one| one == subject)
            {
                refused.push(subject.to_owned());
            }
        }
    }

    /// Asks and gives the answer as it came.
    ///
    /// # Errors
    /// No answer.
    pub async fn ask(&self, subject: &str, body: &Value) -> Result<Message> {
        let payload = serde_json::to_vec(body)?;
        let answer = self.client.request(subject.to_owned(), payload.into()).await;
        answer.with_context(|| format!("{} asks `{subject}`", self.name))
    }

    /// The next message of a subscription, if one comes soon.
    pub async fn next(&self, from: &mut Subscriber, within: Duration) -> Option<Message> {
        timeout(within, from.next()).await.ok().flatten()
    }
}
