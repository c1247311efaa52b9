//! What containers of one application share on a node: networks and volumes.

use super::{Engine, EngineError, spec};
use berth_agent_core::{Container, Wanted, names};
use berth_events::spec::MountSource;
use berth_ids::{ApplicationId, ClusterId};
use bollard::{
    models::{NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder, RemoveVolumeOptionsBuilder},
};
use std::collections::{BTreeMap, HashMap};

/// Why a network or volume is not there.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The file says that it exists, and it does not.
    #[error(
        "the {kind} `{name}` is external, but this node does not have it; create it on the node (`docker {kind} create {name}`) or take `external` out of the file"
    )]
    External {
        /// `network` or `volume`.
        kind: &'static str,
        /// Its name in the engine.
        name: String,
    },
    /// The engine refused or is away.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What became of a volume that should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone.
    Gone,
    /// It was not made by Berth and stays.
    Foreign,
    /// Something still uses it.
    InUse,
}

impl Engine {
    /// Makes the networks and volumes of a container present.
    ///
    /// # Errors
    /// [`SharedError`].
    pub async fn ensure_shared(&self, wanted: &Wanted, cluster_id: ClusterId) -> Result<(), SharedError> {
        for network in names::joined_networks(wanted) {
            self.ensure_network(wanted, cluster_id, &network).await?;
        }
        for mount in &wanted.container.mounts {
            if let MountSource::Volume { name } = &mount.source {
                self.ensure_volume(wanted, cluster_id, name).await?;
            }
        }
        Ok(())
    }

    async fn ensure_network(
        &self,
        wanted: &Wanted,
        cluster_id: ClusterId,
        network: &str,
    ) -> Result<(), SharedError> {
        let spec = wanted.project.networks.get(network).cloned().unwrap_or_default();
        let name = names::network_name(&wanted.project, network);
        let docker = self.docker().await?;
        let _one_at_a_time = self.networks.lock().await;
        let found = docker.inspect_network(&name, None::<InspectNetworkOptions>).await;
        match found.map_err(|e| self.error(e)) {
            Ok(_) => return Ok(()),
            Err(error) if !error.is_absent() => return Err(error.into()),
            Err(_) if spec.external => {
                return Err(SharedError::External {
                    kind: "network",
                    name,
                });
            }
            Err(_) => {}
        }
        let labels = names::shared_labels(wanted, cluster_id, &spec.labels);
        let request = NetworkCreateRequest {
            name,
            driver: Some("bridge".to_owned()),
            internal: Some(spec.internal),
            labels: Some(labels.into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        docker.create_network(request).await.map_err(|e| self.error(e))?;
        Ok(())
    }

    async fn ensure_volume(
        &self,
        wanted: &Wanted,
        cluster_id: ClusterId,
        volume: &str,
    ) -> Result<(), SharedError> {
        let spec = wanted.project.volumes.get(volume).cloned().unwrap_or_default();
        let name = names::volume_name(&wanted.project, volume);
        let docker = self.docker().await?;
        match docker.inspect_volume(&name).await.map_err(|e| self.error(e)) {
            Ok(_) => return Ok(()),
            Err(error) if !error.is_absent() => return Err(error.into()),
            Err(_) if spec.external => return Err(SharedError::External { kind: "volume", name }),
            Err(_) => {}
        }
        let labels = names::shared_labels(wanted, cluster_id, &spec.labels);
        let request = VolumeCreateRequest {
            name: Some(name),
            driver: spec.driver,
            driver_opts: Some(spec.driver_opts.into_iter().collect()),
            labels: Some(labels.into_iter().collect()),
            cluster_volume_spec: None,
        };
        docker.create_volume(request).await.map_err(|e| self.error(e))?;
        Ok(())
    }

    /// Joins the networks that a created container has not joined yet.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn join_networks(&self, wanted: &Wanted, container: &Container) -> Result<(), EngineError> {
        if names::joined_networks(wanted).len() <= 1 {
            return Ok(());
        }
        let docker = self.docker().await?;
        let none = None::<bollard::query_parameters::InspectContainerOptions>;
        let answer = docker.inspect_container(&container.id, none).await;
        let settings = answer.map_err(|e| self.error(e))?.network_settings;
        let joined = settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        for network in names::joined_networks(wanted) {
            let name = names::network_name(&wanted.project, &network);
            if joined.contains_key(&name) {
                continue;
            }
            let request = NetworkConnectRequest {
                container: container.id.clone(),
                endpoint_config: Some(spec::endpoint(wanted, &network)),
            };
            docker
                .connect_network(&name, request)
                .await
                .map_err(|e| self.error(e))?;
        }
        Ok(())
    }

    /// Networks that Berth made for applications of this cluster.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn our_networks(
        &self,
        cluster_id: ClusterId,
    ) -> Result<BTreeMap<String, ApplicationId>, EngineError> {
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![format!("{}={cluster_id}", names::LABEL_CLUSTER)],
        )]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker().await?;
        let networks = docker
            .list_networks(Some(options))
            .await
            .map_err(|e| self.error(e))?;
        Ok(networks
            .into_iter()
            .filter_map(|network| {
                let labels = network.labels.unwrap_or_default().into_iter().collect();
                Some((network.name?, names::application_of(&labels)?))
            })
            .collect())
    }

    /// Removes a network; one that is not there or still in use is no error: the next round tries again.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let _one_at_a_time = self.networks.lock().await;
        match docker.remove_network(name).await.map_err(|e| self.error(e)) {
            Err(EngineError::Refused {
                status: 403 | 404, ..
            })
            | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a volume that Berth made.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn drop_volume(&self, name: &str) -> Result<Dropped, EngineError> {
        let docker = self.docker().await?;
        match docker.inspect_volume(name).await.map_err(|e| self.error(e)) {
            Ok(volume) if !volume.labels.contains_key(names::LABEL_APPLICATION) => {
                return Ok(Dropped::Foreign);
            }
            Ok(_) => {}
            Err(error) if error.is_absent() => return Ok(Dropped::Gone),
            Err(error) => return Err(error),
        }
        let options = RemoveVolumeOptionsBuilder::default().build();
        match docker
            .remove_volume(name, Some(options))
            .await
            .map_err(|e| self.error(e))
        {
            Ok(()) => Ok(Dropped::Gone),
            Err(EngineError::Refused { status: 409, .. }) => Ok(Dropped::InUse),
            Err(error) if error.is_absent() => Ok(Dropped::Gone),
            Err(error) => Err(error),
        }
    }
}
