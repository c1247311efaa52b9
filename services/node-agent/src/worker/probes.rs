//! Probes: checks of containers by the agent, from outside over their address or by a command in them
//! (`probe.url`, `probe.cmd`). One task a container; it tells only what is new.

use super::{Worker, steps::Context};
use crate::engine::{Engine, EngineError, Ran};
use berth_agent_core::{Probing, Verdict};
use berth_events::spec::{ProbeCheck, ProbeSpec};
use berth_ids::AllocationId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

/// Checks of all containers at the same time.
const MAX_PARALLEL_CHECKS: usize = 32;
/// Bad checks in a row after which a container is ill; one may be an accident.
const ILL_AFTER: u32 = 3;
/// Where a container of the node's own network is reached.
const NODE_ADDRESS: &str = "127.0.0.1";

/// What a probe has to say.
pub(super) type Word = (AllocationId, Verdict);

/// Made for the first probe of a URL.
type Client = Arc<OnceLock<Option<reqwest::Client>>>;

/// The probes of a node.
pub(super) struct Probes {
    tasks: BTreeMap<AllocationId, (Probing, AbortOnDropHandle<()>)>,
    words: mpsc::Sender<Word>,
    slots: Arc<Semaphore>,
    client: Client,
}

impl Probes {
    /// None yet.
    pub(super) fn new(words: mpsc::Sender<Word>) -> Self {
        Self {
            tasks: BTreeMap::new(),
            words,
            slots: Arc::new(Semaphore::new(MAX_PARALLEL_CHECKS)),
            client: Client::default(),
        }
    }

    /// Begins probes of containers that came, and ends those of containers that went or changed.
    fn keep(&mut self, probing: BTreeMap<AllocationId, Probing>, context: &Context) {
        let ids: BTreeSet<AllocationId> = probing.keys().copied().collect();
        self.tasks.retain(|id, _| ids.contains(id));
        for (id, probing) in probing {
            let same = self.tasks.get(&id).is_some_and(|(known, _)| {
                known.container == probing.container && known.addresses == probing.addresses
            });
            let Some(probe) = probing.spec.probe.clone().filter(|_| !same) else {
                continue;
            };
            let task = Probe {
                id,
                container: probing.container.clone(),
                address: probing
                    .addresses
                    .first()
                    .cloned()
                    .unwrap_or_else(|| NODE_ADDRESS.to_owned()),
                probe,
                engine: context.engine.clone(),
                client: self.client.clone(),
                words: self.words.clone(),
                slots: Arc::clone(&self.slots),
            };
            let handle = AbortOnDropHandle::new(tokio::spawn(task.run()));
            self.tasks.insert(id, (probing, handle));
        }
    }
}

/// Asks no proxy and follows no way to elsewhere: 3xx is an answer.
fn client() -> Option<reqwest::Client> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build();
    client
        .inspect_err(|error| tracing::error!(%error, "probes of URLs will fail"))
        .ok()
}

impl Worker {
    /// Every container that runs and has a probe is probed.
    pub(super) fn keep_probes(&mut self) {
        self.probes.keep(self.node.probing().collect(), &self.context);
    }
}

struct Probe {
    id: AllocationId,
    container: String,
    address: String,
    probe: ProbeSpec,
    engine: Engine,
    client: Client,
    words: mpsc::Sender<Word>,
    slots: Arc<Semaphore>,
}

/// What one check found; nothing if the engine did not answer, which says nothing about the container.
type Found = Option<Result<(), String>>;

impl Probe {
    async fn run(self) {
        tokio::time::sleep(Duration::from_millis(self.probe.initial_delay_ms)).await;
        let mut last = None;
        let mut bad = 0;
        loop {
            let began = Instant::now();
            let (healthy, output) = match self.once().await {
                Some(Ok(())) => (true, String::new()),
                Some(Err(output)) => (false, output),
                None => {
                    tokio::time::sleep(Duration::from_millis(ProbeSpec::INTERVAL_MS)).await;
                    continue;
                }
            };
            bad = if healthy { 0 } else { bad + 1 };
            if (healthy || bad >= ILL_AFTER) && last != Some(healthy) {
                last = Some(healthy);
                let verdict = Verdict {
                    container: self.container.clone(),
                    healthy,
                    output,
                };
                if self.words.send((self.id, verdict)).await.is_err() {
                    return;
                }
            }
            let next = began + Duration::from_millis(ProbeSpec::INTERVAL_MS);
            tokio::time::sleep_until(next).await;
        }
    }

    async fn once(&self) -> Found {
        // Never closed.
        let _slot = self.slots.acquire().await;
        match &self.probe.check {
            ProbeCheck::Http { port, path } => self.within(self.http(*port, path)).await,
            ProbeCheck::Tcp { port } => self.within(self.tcp(*port)).await,
            ProbeCheck::Command { line } => self.command(line).await,
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.probe.timeout_ms)
    }

    fn late(&self) -> String {
        format!("no answer within {} s", self.probe.timeout_ms.div_ceil(1_000))
    }

    async fn within(&self, check: impl Future<Output = Result<(), String>>) -> Found {
        Some(
            tokio::time::timeout(self.timeout(), check)
                .await
                .unwrap_or_else(|_| Err(self.late())),
        )
    }

    async fn http(&self, port: u16, path: &str) -> Result<(), String> {
        let client = self.client.get_or_init(client).as_ref();
        let client = client.ok_or("the agent has no client for URLs; its log says why")?;
        let url = format!("http://{}:{port}{path}", self.address);
        let answer = client.get(&url).send().await.map_err(|error| {
            let mut source: &dyn std::error::Error = &error;
            while let Some(next) = source.source() {
                source = next;
            }
            format!("{url}: {source}")
        })?;
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            Ok(())
        } else {
            Err(format!("{url} answers {status}"))
        }
    }

    async fn tcp(&self, port: u16) -> Result<(), String> {
        let address = format!("{}:{port}", self.address);
        match TcpStream::connect(&address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{address}: {error}")),
        }
    }

    async fn command(&self, line: &str) -> Found {
        match self.engine.run(&self.container, line, self.timeout()).await {
            Ok(Ran::Ended { code: 0, .. }) => Some(Ok(())),
            Ok(Ran::Ended { code, output }) => Some(Err(format!("exit code {code}: {output}"))),
            Ok(Ran::Late) => Some(Err(self.late())),
            Err(error @ EngineError::Refused { .. }) => Some(Err(error.to_string())),
            Err(_) => None,
        }
    }
}
