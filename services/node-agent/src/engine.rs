//! The engine of this node, through its API. Moves and asks; decides nothing.
//!
//! The version is negotiated: Docker 20.10 speaks 1.41, and the client's own version would be refused.

mod build;
mod describe;
mod exec;
mod facts;
mod images;
mod logs;
mod pulls;
mod shared;
mod spec;
mod stats;

pub use build::{BuildFault, Built, Making, Progress};
pub use exec::Ran;
pub use facts::disk_bytes;
pub use images::{ImageError, Key, Login, Order, Refusal};
pub(crate) use logs::SECRET_FILE;
pub use logs::{LogChunk, LogRequest};
pub use shared::{Dropped, SharedError};
pub use spec::Recipe;
pub(crate) use spec::file_name;

use berth_agent_core::{Seen, names};
use berth_ids::{AllocationId, NodeId};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error as DockerError,
    models::EventMessage,
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions,
        KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::RwLock;

/// The longest wait for an answer of the engine, except for stops and pulls.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Time that a stop may take beyond the grace time of the container.
const STOP_MARGIN: Duration = Duration::from_secs(20);
/// Containers inspected at the same time in one look.
const MAX_PARALLEL_INSPECTS: usize = 8;
/// Events of containers that change what an agent sees; checks also cause `exec_…`, which do not.
const EVENTS: [&str; 8] = [
    "start",
    "die",
    "destroy",
    "health_status",
    "oom",
    "pause",
    "unpause",
    "update",
];

/// What went wrong with the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It does not answer.
    #[error("the engine at `{host}` does not answer; is it running, and may this user open its socket?")]
    Away {
        /// Its address.
        host: String,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// It answered that it will not.
    #[error("the engine refused ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// Its answer could not be read.
    #[error("the engine gave an answer that cannot be read")]
    Answer(#[source] DockerError),
    /// Its address is none.
    #[error("`{0}` is no address of an engine; give unix:///path/to/docker.sock")]
    Address(String),
}

impl EngineError {
    /// Whether the thing asked for is not there.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
    /// Whether the engine does not answer at all.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Address(_))
    }
}

/// The engine of this node. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    host: Arc<str>,
    client: Arc<RwLock<Option<Docker>>>,
    images: pulls::Pulls,
    /// Networks are made one at a time: the engine would make two of one name.
    networks: Arc<tokio::sync::Mutex<()>>,
}

impl Engine {
    /// The engine at `unix://…`; it need not be there yet.
    pub fn at(host: &str) -> Self {
        Self {
            host: host.into(),
            client: Arc::default(),
            images: pulls::Pulls::default(),
            networks: Arc::default(),
        }
    }

    /// Path of its socket.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.host.strip_prefix("unix://").unwrap_or(&self.host))
    }

    /// The client, connected and with a version that both sides speak.
    async fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.client.read().await.as_ref() {
            return Ok(docker.clone());
        }
        if !self.host.starts_with("unix://") {
            return Err(EngineError::Address(self.host.to_string()));
        }
        let away = |source| EngineError::Away {
            host: self.host.to_string(),
            source,
        };
        let docker =
            Docker::connect_with_unix(&self.host, TIMEOUT.as_secs(), API_DEFAULT_VERSION).map_err(away)?;
        let docker = docker.negotiate_version().await.map_err(away)?;
        *self.client.write().await = Some(docker.clone());
        Ok(docker)
    }

    /// The next call negotiates anew: the engine may come back as another version.
    pub async fn forget(&self) {
        *self.client.write().await = None;
    }

    fn error(&self, error: DockerError) -> EngineError {
        match error {
            DockerError::DockerResponseServerError { status_code, message } => EngineError::Refused {
                status: status_code,
                message,
            },
            DockerError::DockerStreamError { error } => EngineError::Refused {
                status: 500,
                message: error,
            },
            DockerError::JsonDataError { .. }
            | DockerError::JsonSerdeError { .. }
            | DockerError::StrParseError { .. } => EngineError::Answer(error),
            source => EngineError::Away {
                host: self.host.to_string(),
                source,
            },
        }
    }

    /// Every container with our labels of this node, and ids of those that double another.
    ///
    /// # Errors
    /// [`EngineError`]; a part of the containers is never given as all.
    pub async fn look(
        &self,
        node_id: NodeId,
    ) -> Result<(BTreeMap<AllocationId, Seen>, Vec<String>), EngineError> {
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![format!("{}={node_id}", names::LABEL_NODE)],
        )]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let docker = self.docker().await?;
        let listed = docker
            .list_containers(Some(options))
            .await
            .map_err(|e| self.error(e))?;
        let ids = listed.into_iter().filter_map(|summary| {
            let labels = summary.labels.unwrap_or_default().into_iter().collect();
            Some((names::allocation_of(&labels)?, summary.id?))
        });
        let found: Vec<(AllocationId, Seen)> =
            stream::iter(ids.collect::<Vec<_>>())
                .map(|(allocation, id)| async move {
                    Ok::<_, EngineError>((allocation, self.inspect(&id).await?))
                })
                .buffer_unordered(MAX_PARALLEL_INSPECTS)
                .try_collect()
                .await?;
        Ok(describe::one_each(found))
    }

    /// One container by its id or name.
    ///
    /// # Errors
    /// [`EngineError`]; a container that is not there is no error.
    pub async fn inspect(&self, id: &str) -> Result<Seen, EngineError> {
        let docker = self.docker().await?;
        match docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await
        {
            Ok(answer) => Ok(describe::seen(&answer)),
            Err(error) => match self.error(error) {
                error if error.is_absent() => Ok(Seen::Absent),
                error => Err(error),
            },
        }
    }

    /// Labels of a container; `None` if there is none.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn labels(&self, id: &str) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let docker = self.docker().await?;
        match docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await
        {
            Ok(answer) => Ok(answer
                .config
                .and_then(|config| config.labels)
                .map(|labels| labels.into_iter().collect())),
            Err(error) => match self.error(error) {
                error if error.is_absent() => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Process id of a running container; 0 if it does not run.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn process(&self, id: &str) -> Result<i64, EngineError> {
        let docker = self.docker().await?;
        let answer = docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        let answer = answer.map_err(|e| self.error(e))?;
        Ok(answer.state.and_then(|state| state.pid).unwrap_or(0))
    }

    /// Creates a container; gives its id.
    ///
    /// # Errors
    /// [`EngineError`], among them 409 if the name is taken.
    pub async fn create(&self, name: &str, recipe: &spec::Recipe<'_>) -> Result<String, EngineError> {
        let platform = recipe.wanted.container.platform.as_deref().unwrap_or_default();
        let options = CreateContainerOptionsBuilder::default()
            .name(name)
            .platform(platform)
            .build();
        let docker = self.docker().await?;
        let created = docker.create_container(Some(options), spec::body(recipe)).await;
        Ok(created.map_err(|e| self.error(e))?.id)
    }

    /// Starts a container; one that runs is no error.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let started = docker.start_container(id, None::<StartContainerOptions>).await;
        self.unless_already_so(started)
    }

    /// Asks a container to end and kills it after its grace time; returns when it has ended.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let docker = self.docker().await?.with_timeout(grace + STOP_MARGIN);
        let seconds = i32::try_from(grace.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        self.unless_already_so(docker.stop_container(id, Some(options)).await)
    }

    /// Kills a container; one that does not run is no error.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn kill(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        match self.unless_already_so(docker.kill_container(id, Some(options)).await) {
            Err(EngineError::Refused { status: 409, .. }) => Ok(()),
            result => result,
        }
    }

    /// Removes a container with its anonymous volumes, even if it runs; one that is not there is no error.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let options = RemoveContainerOptionsBuilder::default()
            .v(true)
            .force(true)
            .build();
        match self.unless_already_so(docker.remove_container(id, Some(options)).await) {
            // It is being removed already; the next look tells when that is done.
            Err(EngineError::Refused { status: 409, message }) if message.contains("already in progress") => {
                Ok(())
            }
            result => result,
        }
    }

    /// Doorbell: events of our containers. Ends when the engine goes.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn events(
        &self,
        node_id: NodeId,
    ) -> Result<impl Stream<Item = Result<EventMessage, EngineError>> + use<>, EngineError> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("event".to_owned(), EVENTS.map(str::to_owned).to_vec()),
            (
                "label".to_owned(),
                vec![format!("{}={node_id}", names::LABEL_NODE)],
            ),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker().await?;
        let engine = self.clone();
        Ok(docker
            .events(Some(options))
            .map_err(move |error| engine.error(error)))
    }

    /// 304 (it is so already) and 404 (it is gone) are what was wanted.
    fn unless_already_so(&self, result: Result<(), DockerError>) -> Result<(), EngineError> {
        match result.map_err(|e| self.error(e)) {
            Err(EngineError::Refused { status: 304, .. }) => Ok(()),
            Err(error) if error.is_absent() => Ok(()),
            result => result,
        }
    }
}
