//! A raw engine, through its API and nothing between.

use crate::moment;
use anyhow::{Context, Result, ensure};
use berth_e2e::IMAGE;
use berth_ids::Timestamp;
use berth_lab::Node;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerCreateBody, HostConfig, NetworkCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The longest call.
const CALL_SECONDS: u64 = 120;
/// How long containers may take to be gone.
const EMPTY_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Calls at the same time on one engine, as many as an agent of ours has under way.
const MAX_PARALLEL: usize = 8;
/// Marks what this benchmark makes by itself.
const MARK: &str = "berth-bench.raw";

/// An engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
}

/// A container that was created and started.
pub struct Started {
    /// Id in the engine.
    pub id: String,
    /// Just before the first call.
    pub asked: Timestamp,
    /// When the engine had answered the last call.
    pub answered: Timestamp,
}

impl Engine {
    /// The engine of a node of the lab.
    pub async fn of(node: &Node) -> Result<Self> {
        let docker = Docker::connect_with_unix(&node.docker_host(), CALL_SECONDS, API_DEFAULT_VERSION)?;
        Ok(Self {
            docker: docker.negotiate_version().await?,
        })
    }

    /// The client.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Makes a network.
    pub async fn make_network(&self, name: &str) -> Result<()> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await?;
        Ok(())
    }

    /// Removes a network.
    pub async fn remove_network(&self, name: &str) -> Result<()> {
        Ok(self.docker.remove_network(name).await?)
    }

    /// Creates and starts a container on a network; makes the network first if asked.
    pub async fn run(&self, name: &str, network: &str, make_network: bool) -> Result<Started> {
        let asked = moment::now();
        if make_network {
            self.make_network(network).await?;
        }
        let body = ContainerCreateBody {
            image: Some(IMAGE.into()),
            labels: Some(HashMap::from([(MARK.to_owned(), String::new())])),
            host_config: Some(HostConfig {
                network_mode: Some(network.to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let id = self.docker.create_container(Some(options), body).await?.id;
        self.docker
            .start_container(&id, None::<StartContainerOptions>)
            .await?;
        Ok(Started {
            id,
            asked,
            answered: moment::now(),
        })
    }

    /// Creates and starts many, some at the same time; when the last one ran.
    pub async fn run_many(&self, name: &str, network: &str, count: usize) -> Result<Timestamp> {
        let ends: Vec<Timestamp> = stream::iter(0..count)
            .map(|number| async move {
                let started = self.run(&format!("{name}-{number}"), network, false).await?;
                anyhow::Ok(started.answered)
            })
            .buffer_unordered(MAX_PARALLEL)
            .try_collect()
            .await?;
        ends.into_iter().max().context("at least one container")
    }

    /// When the process of a container began.
    pub async fn began(&self, id: &str) -> Result<Timestamp> {
        let answer = self
            .docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await?;
        moment::parse(answer.state.and_then(|state| state.started_at).as_deref())
    }

    /// Removes everything that was made here by this benchmark itself.
    pub async fn clear(&self) -> Result<()> {
        let ids = self.labelled(MARK).await?;
        stream::iter(ids)
            .map(Ok)
            .try_for_each_concurrent(MAX_PARALLEL, |id| async move {
                let options = RemoveContainerOptionsBuilder::default().force(true).build();
                self.docker.remove_container(&id, Some(options)).await
            })
            .await?;
        Ok(())
    }

    /// Waits until no container has a label.
    pub async fn wait_empty(&self, label: &str) -> Result<()> {
        let until = Instant::now() + EMPTY_PATIENCE;
        while !self.labelled(label).await?.is_empty() {
            ensure!(
                Instant::now() < until,
                "containers with label {label} are still there after {EMPTY_PATIENCE:?}"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn labelled(&self, label: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self.docker.list_containers(Some(options)).await?;
        Ok(listed.into_iter().filter_map(|container| container.id).collect())
    }
}
