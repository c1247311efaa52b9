//! Docker's Swarm mode on engines of its own, through the API of its manager.

use crate::{engine::Engine, moment};
use anyhow::{Context, Result, bail, ensure};
use berth_e2e::IMAGE;
use berth_ids::Timestamp;
use berth_lab::Lab;
use bollard::{
    models::{
        EndpointSpec, EndpointSpecModeEnum, NetworkAttachmentConfig, NodeState, ServiceSpec, ServiceSpecMode,
        ServiceSpecModeReplicated, TaskSpec, TaskSpecContainerSpec, TaskState,
    },
    query_parameters::{ListNodesOptions, ListTasksOptionsBuilder},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// A bridge of each node under one name, as an application of Berth has: the engines do the same work for a
/// container then.
const NETWORK: &str = "berth-bench";
const NETWORK_CONFIG: &str = "berth-bench-config";
/// Label of the engine for containers of a service.
const LABEL: &str = "com.docker.swarm.service.name";
/// Time between two looks at the manager: it has no stream of what its tasks do.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(180);

/// A swarm whose first node is the manager.
pub struct Swarm {
    /// Its engines.
    pub lab: Lab,
    /// Id of the image, the same on every engine.
    image: String,
    engines: Vec<Engine>,
    manager: Engine,
}

/// Gives every engine the same image. Named by its id it is not asked for at a registry before each task.
fn share_image(lab: &Lab) -> Result<String> {
    let (first, others) = lab.nodes().split_first().context("at least one node")?;
    first.import_busybox(IMAGE)?;
    let file = first.folder().join("image.tar").display().to_string();
    first.docker(&["save", "-o", &file, IMAGE])?;
    for node in others {
        node.docker(&["load", "-q", "-i", &file])?;
    }
    let id = first.docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE])?;
    Ok(id.trim().to_owned())
}

/// A task that runs.
pub struct Task {
    /// Number of its node in the lab; 0: unknown.
    pub node: usize,
    /// Since when, as its node said.
    pub since: Timestamp,
    /// Id of its container.
    pub container: String,
}

impl Swarm {
    /// Makes engines and joins them.
    pub async fn start(nodes: usize) -> Result<Self> {
        let mut lab = tokio::task::block_in_place(|| Lab::start(nodes))?;
        let mut engines = Vec::new();
        let mut join = Vec::new();
        for number in 1..=nodes {
            let node = lab.node(number).context("a node of the lab")?;
            let address = node.address().to_string();
            if join.is_empty() {
                node.docker(&["swarm", "init", "--advertise-addr", &address])?;
                let token = node.docker(&["swarm", "join-token", "-q", "worker"])?;
                join = vec![token.trim().to_owned(), format!("{address}:2377")];
            } else if let [token, manager] = join.as_slice() {
                node.docker(&[
                    "swarm",
                    "join",
                    "--advertise-addr",
                    &address,
                    "--token",
                    token,
                    manager,
                ])?;
            }
            node.docker(&["network", "create", "--config-only", NETWORK_CONFIG])?;
            engines.push(Engine::of(node).await?);
        }
        let first = lab.node(1).context("at least one node")?;
        let mut create = vec!["network", "create", "--driver", "bridge", "--scope", "swarm"];
        create.extend(["--config-from", NETWORK_CONFIG, NETWORK]);
        first.docker(&create)?;
        let manager = engines.first().context("at least one node")?.clone();
        let image = share_image(&lab)?;
        Ok(Self {
            lab,
            image,
            engines,
            manager,
        })
    }

    /// Creates a service; the moment just before.
    pub async fn create(&self, name: &str, replicas: usize) -> Result<Timestamp> {
        let spec = ServiceSpec {
            name: Some(name.to_owned()),
            mode: Some(ServiceSpecMode {
                replicated: Some(ServiceSpecModeReplicated {
                    replicas: Some(i64::try_from(replicas)?),
                }),
                ..ServiceSpecMode::default()
            }),
            task_template: Some(TaskSpec {
                container_spec: Some(TaskSpecContainerSpec {
                    image: Some(self.image.clone()),
                    ..TaskSpecContainerSpec::default()
                }),
                networks: Some(vec![NetworkAttachmentConfig {
                    target: Some(NETWORK.to_owned()),
                    ..NetworkAttachmentConfig::default()
                }]),
                ..TaskSpec::default()
            }),
            endpoint_spec: Some(EndpointSpec {
                // Its virtual addresses need IPVS, which this kernel may not have.
                mode: Some(EndpointSpecModeEnum::DNSRR),
                ports: None,
            }),
            ..ServiceSpec::default()
        };
        let asked = moment::now();
        self.manager.docker().create_service(spec, None).await?;
        Ok(asked)
    }

    /// Tasks of a service that should run and do.
    pub async fn running(&self, name: &str) -> Result<Vec<Task>> {
        let nodes = self.numbers().await?;
        let filters = HashMap::from([("service", vec![name]), ("desired-state", vec!["running"])]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        let tasks = self.manager.docker().list_tasks(Some(options)).await?;
        let mut found = Vec::new();
        for task in tasks {
            let status = task.status.unwrap_or_default();
            if status.state != Some(TaskState::RUNNING) {
                continue;
            }
            found.push(Task {
                node: task
                    .node_id
                    .and_then(|id| nodes.get(&id).copied())
                    .unwrap_or_default(),
                since: moment::parse(status.timestamp.as_deref())?,
                container: status
                    .container_status
                    .and_then(|status| status.container_id)
                    .unwrap_or_default(),
            });
        }
        Ok(found)
    }

    /// Waits until this many tasks run, not counting those on a node; these tasks.
    pub async fn wait_running(&self, name: &str, count: usize, without: usize) -> Result<Vec<Task>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut tasks = self.running(name).await?;
            tasks.retain(|task| task.node != without);
            if tasks.len() >= count {
                return Ok(tasks);
            }
            ensure!(
                Instant::now() < until,
                "{} of {count} tasks of {name} ran after {PATIENCE:?}",
                tasks.len()
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// When the process of a task's container began.
    pub async fn began(&self, task: &Task) -> Result<Timestamp> {
        let engine = task.node.checked_sub(1).and_then(|index| self.engines.get(index));
        engine.context("a task has a node")?.began(&task.container).await
    }

    /// Waits until the manager takes a node for down, or for ready again.
    pub async fn wait_node(&self, number: usize, down: bool) -> Result<Timestamp> {
        let until = Instant::now() + PATIENCE;
        let wanted = if down { NodeState::DOWN } else { NodeState::READY };
        while Instant::now() < until {
            if self.states().await?.get(&number) == Some(&wanted) {
                return Ok(moment::now());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bail!("the manager did not take node {number} for {wanted} within {PATIENCE:?}")
    }

    /// Removes a service and waits until its containers are gone.
    pub async fn remove(&self, name: &str) -> Result<()> {
        self.manager.docker().delete_service(name).await?;
        for engine in &self.engines {
            engine.wait_empty(&format!("{LABEL}={name}")).await?;
        }
        Ok(())
    }

    async fn numbers(&self) -> Result<BTreeMap<String, usize>> {
        let listed = self.manager.docker().list_nodes(None::<ListNodesOptions>).await?;
        let numbers = listed.into_iter().filter_map(|node| {
            let number = self.number(node.status?.addr.as_deref()?)?;
            Some((node.id?, number))
        });
        Ok(numbers.collect())
    }

    async fn states(&self) -> Result<BTreeMap<usize, NodeState>> {
        let listed = self.manager.docker().list_nodes(None::<ListNodesOptions>).await?;
        let states = listed.into_iter().filter_map(|node| {
            let status = node.status?;
            Some((self.number(status.addr.as_deref()?)?, status.state?))
        });
        Ok(states.collect())
    }

    /// All engines have the machine's host name: only addresses tell them apart.
    fn number(&self, address: &str) -> Option<usize> {
        let node = self
            .lab
            .nodes()
            .iter()
            .find(|node| node.address().to_string() == address);
        node.map(berth_lab::Node::number)
    }
}
