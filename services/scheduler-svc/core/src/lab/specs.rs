//! Specifications as tests need them.

use berth_events::spec::{
    ApplicationSpec, ContainerSpec, MountSource, MountSpec, PortSpec, ServiceMode, ServiceSpec,
};

pub(crate) fn service(replicas: u32, image: &str) -> ServiceSpec {
    ServiceSpec {
        mode: ServiceMode::Replicated { replicas },
        container: ContainerSpec {
            image: image.into(),
            ..ContainerSpec::default()
        },
        ..ServiceSpec::default()
    }
}

pub(crate) fn app<const N: usize>(services: [(&str, ServiceSpec); N]) -> ApplicationSpec {
    ApplicationSpec {
        services: services
            .into_iter()
            .map(|(name, service)| (name.to_owned(), service))
            .collect(),
        ..ApplicationSpec::default()
    }
}

pub(crate) fn with_volume(mut spec: ServiceSpec, volume: &str) -> ServiceSpec {
    spec.container.mounts.push(MountSpec {
        source: MountSource::Volume { name: volume.into() },
        target: "/data".into(),
        read_only: false,
        ..MountSpec::default()
    });
    spec
}

pub(crate) fn with_memory(mut spec: ServiceSpec, bytes: u64) -> ServiceSpec {
    spec.container.resources.memory_reserved_bytes = bytes;
    spec
}

pub(crate) fn with_port(mut spec: ServiceSpec, published: u16) -> ServiceSpec {
    spec.container.ports.push(PortSpec {
        target: 80,
        published: Some(published),
        protocol: "tcp".into(),
        host_ip: None,
    });
    spec
}
