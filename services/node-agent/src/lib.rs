//! Makes one node match its assignment through its engine; reports what it sees.
//!
//! Reaches nothing but its own engine and the bus. Goes on with every service away: containers keep running
//! and are restarted by policy, also after a restart of the agent or the machine.

pub mod engine;
pub mod join;
pub mod link;
pub mod state;
pub mod usage;
pub mod worker;

pub use join::{JoinError, JoinOptions, Joined, join};

use engine::Engine;
use link::{BusSecrets, Link, LinkError, LinkOptions, Serving};
use state::{StateDir, StateError};
use std::{path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;
use worker::{WorkerError, WorkerOptions};

/// How the agent runs.
#[derive(Debug, Clone, Default)]
pub struct AgentOptions {
    /// Folder of its data, as given to [`join()`].
    pub data_dir: PathBuf,
    /// `unix://…` of the engine.
    pub docker_host: String,
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It belongs to no cluster.
    #[error("this server is no node yet (looked in `{0}`); join it with `berth agent join URL TOKEN`")]
    NotJoined(PathBuf),
    /// Its folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The link to the bus cannot be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The worker cannot start.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Runs the agent until shutdown; its containers go on after it.
///
/// # Errors
/// [`AgentError`] if it cannot start; later troubles heal by themselves.
pub async fn run(options: AgentOptions, shutdown: CancellationToken) -> Result<(), AgentError> {
    let state = StateDir::open(&options.data_dir)?;
    let not_joined = || AgentError::NotJoined(options.data_dir.clone());
    let identity = state.identity()?.ok_or_else(not_joined)?;
    let member = identity.membership.clone().ok_or_else(not_joined)?;
    tracing::info!(node.id = %identity.node_id, cluster.id = %member.cluster_id, "agent of node `{}` starts", member.name);
    let cluster_id = member.cluster_id;
    let engine = Engine::at(&options.docker_host);
    let link = Link::open(LinkOptions {
        identity: identity.clone(),
        member,
        state: state.clone(),
    })
    .await?;
    let secrets = Arc::new(BusSecrets::new(&link, identity.sealing_seed));
    let worker = worker::start(WorkerOptions {
        node_id: identity.node_id,
        cluster_id,
        engine: engine.clone(),
        state: state.clone(),
        secrets: secrets.clone(),
        shutdown: shutdown.clone(),
    })?;
    let serving = Serving {
        worker: worker.remote(),
        engine,
        secrets,
        state,
    };
    link.run(serving, shutdown).await;
    worker.stopped().await;
    Ok(())
}
