//! Carries out one step on the engine and looks at the container afterwards.

use super::{SecretSource, WorkerOptions, files::Files};
use crate::engine::{Dropped, Engine, EngineError, ImageError, Key, Order, Recipe, SharedError};
use berth_agent_core::{Container, Failure, Seen, Step, Wanted, names};
use berth_events::FailureReason;
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use berth_service_kit::telemetry;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Steps on the engine at the same time.
const MAX_PARALLEL_STEPS: usize = 8;
/// Stops at the same time: they mostly wait for the containers.
const MAX_PARALLEL_STOPS: usize = 64;

/// What every step needs.
pub(super) struct Context {
    pub(super) engine: Engine,
    node_id: NodeId,
    cluster_id: ClusterId,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) files: Files,
    /// Told when an image has to be fetched.
    fetching: mpsc::Sender<(AllocationId, String)>,
    steps: Semaphore,
    stops: Semaphore,
}

/// One step to carry out.
pub(super) struct Work {
    pub(super) id: AllocationId,
    pub(super) step: Step,
    pub(super) wanted: Option<Wanted>,
    pub(super) container: Option<Container>,
    /// Containers of which it shares a namespace, by service; `None`: the service has none here.
    pub(super) peers: BTreeMap<String, Option<String>>,
    /// Cancelled when an image is no longer needed.
    pub(super) let_go: CancellationToken,
}

/// What came of a step.
pub(super) struct StepResult {
    /// Whether it was carried out.
    pub(super) outcome: Result<(), Failure>,
    /// A look at the container after it; `None`: the engine did not say.
    pub(super) seen: Option<Seen>,
}

impl Context {
    pub(super) fn new(options: &WorkerOptions, fetching: mpsc::Sender<(AllocationId, String)>) -> Self {
        Self {
            engine: options.engine.clone(),
            node_id: options.node_id,
            cluster_id: options.cluster_id,
            secrets: Arc::clone(&options.secrets),
            files: Files::new(options.state.path()),
            fetching,
            steps: Semaphore::new(MAX_PARALLEL_STEPS),
            stops: Semaphore::new(MAX_PARALLEL_STOPS),
        }
    }

    /// A complete look. What doubles another container is removed on the way.
    pub(super) async fn look(&self) -> Result<BTreeMap<AllocationId, Seen>, EngineError> {
        let (all, doubles) = self.engine.look(self.node_id).await?;
        for id in doubles {
            tracing::warn!(container.id = %id, "removing a container that doubles another of its allocation");
            if let Err(error) = self.engine.remove(&id).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not remove container `{id}`"
                );
            }
        }
        Ok(all)
    }

    /// Removes volumes; gives those that are gone or are not ours to remove.
    pub(super) async fn drop_volumes(&self, volumes: BTreeSet<String>) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        for name in volumes {
            match self.engine.drop_volume(&name).await {
                Ok(Dropped::Gone) => {
                    gone.insert(name);
                }
                Ok(Dropped::Foreign) => {
                    tracing::warn!("volume `{name}` was not made by Berth and stays");
                    gone.insert(name);
                }
                Ok(Dropped::InUse) => {
                    tracing::warn!("volume `{name}` is still used by a container that is not of Berth");
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not remove volume `{name}`"
                    );
                }
            }
        }
        gone
    }

    /// Removes networks that nobody needs any more.
    pub(super) async fn remove_networks(&self, networks: BTreeSet<String>) {
        for name in networks {
            if let Err(error) = self.engine.remove_network(&name).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not remove network `{name}`"
                );
            }
        }
    }

    /// Networks of our cluster on this node.
    pub(super) async fn our_networks(&self) -> BTreeMap<String, ApplicationId> {
        self.engine
            .our_networks(self.cluster_id)
            .await
            .unwrap_or_default()
    }

    /// Carries out a step within the trace of the order behind it.
    pub(super) async fn carry_out(&self, work: Work, traceparent: Option<&str>) -> StepResult {
        let (what, slots) = match work.step {
            // Those that wait for one image take no place of another's.
            Step::Pull => ("allocation.pull", None),
            Step::Create => ("allocation.create", Some(&self.steps)),
            Step::Start => ("allocation.start", Some(&self.steps)),
            Step::Restart => ("allocation.restart", Some(&self.steps)),
            Step::Stop { .. } => ("allocation.stop", Some(&self.stops)),
            Step::Kill => ("allocation.kill", Some(&self.stops)),
            _ => ("allocation.remove", Some(&self.steps)),
        };
        let span = telemetry::continued(what, traceparent);
        async {
            // Never closed.
            let _slot = match slots {
                Some(slots) => slots.acquire().await.ok(),
                None => None,
            };
            let result = self.step(&work).await;
            match &result.outcome {
                Ok(()) => tracing::debug!(allocation.id = %work.id, "{what}"),
                Err(failure) => tracing::warn!(allocation.id = %work.id, "{what} failed: {failure:?}"),
            }
            result
        }
        .instrument(span)
        .await
    }

    async fn step(&self, work: &Work) -> StepResult {
        match (&work.step, &work.wanted, &work.container) {
            (Step::Pull, Some(wanted), _) => self.pull(work, wanted).await,
            (Step::Create, Some(wanted), _) => self.create(wanted, &work.peers).await,
            (Step::Start | Step::Restart, Some(wanted), Some(container)) => {
                let started = self.start(wanted, container).await;
                self.after(started, &container.id).await
            }
            (Step::Stop { grace }, _, Some(container)) => {
                let stopped = self.engine.stop(&container.id, *grace).await;
                self.after(
                    stopped.map_err(|e| failure(FailureReason::Start, &e)),
                    &container.id,
                )
                .await
            }
            (Step::Kill, _, Some(container)) => {
                let killed = self.engine.kill(&container.id).await;
                self.after(
                    killed.map_err(|e| failure(FailureReason::Start, &e)),
                    &container.id,
                )
                .await
            }
            (Step::Remove, _, Some(container)) => {
                let removed = self.engine.remove(&container.id).await;
                if removed.is_ok() {
                    self.files.remove(work.id);
                }
                let outcome = removed.map_err(|e| failure(FailureReason::Start, &e));
                self.after(outcome, &container.id).await
            }
            // The assignment changed between plan and step: look again.
            _ => StepResult {
                outcome: Ok(()),
                seen: None,
            },
        }
    }

    async fn after(&self, outcome: Result<(), Failure>, container: &str) -> StepResult {
        let seen = match outcome {
            Err(Failure::EngineAway) => None,
            Ok(()) | Err(_) => self.engine.inspect_closely(container).await.ok(),
        };
        StepResult { outcome, seen }
    }

    async fn pull(&self, work: &Work, wanted: &Wanted) -> StepResult {
        let spec = &wanted.container;
        let fetching = async || {
            // The worker is gone only at shutdown.
            let _ = self
                .fetching
                .send((work.id, names::full_image(&spec.image)))
                .await;
        };
        let key = async |registry: &str| match self.secrets.login(work.id, registry).await {
            Ok(Some(login)) => Key::Stored(login),
            Ok(None) => Key::None,
            Err(error) => {
                tracing::info!(%error, "no login of `{registry}` is known; its image is pulled without one");
                Key::Unknown
            }
        };
        let order = Order {
            image: &spec.image,
            policy: spec.pull_policy,
            platform: spec.platform.as_deref(),
            digest: wanted.placed.image_digest.as_deref(),
        };
        let outcome = tokio::select! {
            result = self.engine.ensure_image(order, fetching, key) => result.map_err(|error| pull_failure(&error)),
            () = work.let_go.cancelled() => Err(Failure::Waiting),
        };
        StepResult {
            outcome,
            seen: Some(Seen::Absent),
        }
    }

    async fn create(&self, wanted: &Wanted, peers: &BTreeMap<String, Option<String>>) -> StepResult {
        match self.try_create(wanted, peers).await {
            Ok(id) => self.after(Ok(()), &id).await,
            Err(Failure::EngineAway) => StepResult {
                outcome: Err(Failure::EngineAway),
                seen: None,
            },
            Err(failure) => StepResult {
                outcome: Err(failure),
                seen: Some(Seen::Absent),
            },
        }
    }

    async fn try_create(
        &self,
        wanted: &Wanted,
        peers: &BTreeMap<String, Option<String>>,
    ) -> Result<String, Failure> {
        let peers = all_there(peers)?;
        let secrets = self.secrets_of(wanted).await?;
        let files = self.files_of(wanted).await?;
        let pinned = wanted.placed.image_digest.as_deref();
        // At the same time: nobody is to wait for the name of the bytes.
        let (shared, digest) = tokio::join!(
            self.engine.ensure_shared(wanted, self.cluster_id),
            self.engine.image_digest(&wanted.container.image, pinned),
        );
        shared.map_err(|error| shared_failure(&error))?;
        let recipe = Recipe {
            wanted,
            cluster_id: self.cluster_id,
            node_id: self.node_id,
            secrets: &secrets,
            image_digest: digest.as_deref(),
            files: files.as_deref(),
            peers: &peers,
        };
        let name = names::container_name(wanted, false);
        match self.engine.create(&name, &recipe).await {
            Err(EngineError::Refused { status: 409, .. }) => {}
            result => return result.map_err(|error| create_failure(&error)),
        }
        // The name is taken: by ourselves, if an earlier answer was lost.
        for name in [name, names::container_name(wanted, true)] {
            let labels = self
                .engine
                .labels(&name)
                .await
                .map_err(|error| create_failure(&error))?;
            match labels {
                Some(labels) if names::allocation_of(&labels) == Some(wanted.placed.allocation_id) => {
                    return Ok(name);
                }
                Some(_) => {}
                None => {
                    let created = self.engine.create(&name, &recipe).await;
                    return created.map_err(|error| create_failure(&error));
                }
            }
        }
        Err(Failure::Passing {
            reason: FailureReason::Create,
            message: "both names of the container are taken by containers that are not of Berth; remove them"
                .into(),
        })
    }

    async fn start(&self, wanted: &Wanted, container: &Container) -> Result<(), Failure> {
        // A reboot took the files away.
        self.files_of(wanted).await?;
        let failed = |error| failure(FailureReason::Start, &error);
        self.engine
            .join_networks(wanted, container)
            .await
            .map_err(failed)?;
        self.engine.start(&container.id).await.map_err(failed)
    }
}

/// Containers of which it shares a namespace, if each service has one here.
fn all_there(peers: &BTreeMap<String, Option<String>>) -> Result<BTreeMap<String, String>, Failure> {
    let found = peers.iter().map(|(service, id)| match id {
        Some(id) => Ok((service.clone(), id.clone())),
        None => Err(Failure::Passing {
            reason: FailureReason::Create,
            message: format!("it shares a namespace of service `{service}`, which does not run on this node"),
        }),
    });
    found.collect()
}

/// Whether trying again may help is told by the status: the engine's own trouble (5xx) passes.
fn failure(reason: FailureReason, error: &EngineError) -> Failure {
    match error {
        EngineError::Away { .. } | EngineError::Address(_) | EngineError::Answer(_) => Failure::EngineAway,
        EngineError::Refused { status, message } => {
            let message = message.trim().to_owned();
            if (400..500).contains(status) && *status != 404 {
                Failure::Final { reason, message }
            } else {
                Failure::Passing { reason, message }
            }
        }
    }
}

fn create_failure(error: &EngineError) -> Failure {
    // 404 is the image, which somebody removed: it is fetched again. 409 is a name that came free or went.
    match error {
        EngineError::Refused { status: 409, message } => Failure::Passing {
            reason: FailureReason::Create,
            message: message.clone(),
        },
        error => failure(FailureReason::Create, error),
    }
}

fn shared_failure(error: &SharedError) -> Failure {
    match error {
        SharedError::External { .. } => Failure::Final {
            reason: FailureReason::Create,
            message: error.to_string(),
        },
        SharedError::Engine(error) => failure(FailureReason::Create, error),
    }
}

fn pull_failure(error: &ImageError) -> Failure {
    let reason = FailureReason::Pull;
    let message = error.to_string();
    match error {
        ImageError::Forbidden(_) => Failure::Final { reason, message },
        ImageError::Refused(refusal) if refusal.is_final => Failure::Final { reason, message },
        ImageError::Refused(_) => Failure::Passing { reason, message },
        ImageError::Engine(error) => failure(reason, error),
    }
}
