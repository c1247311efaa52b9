//! What the engine says of a container, in the words of the core.

use super::logs::{hide, secret_values};
use berth_agent_core::{Container, MAX_MESSAGE_BYTES, Seen, names};
use berth_events::{ExitStatus, PortBinding};
use berth_ids::{AllocationId, Timestamp};
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, Health, HealthStatusEnum,
    NetworkSettings,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What the engine waits between the signal and the kill unless told otherwise.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// State and description of one container.
pub(super) fn seen(answer: &ContainerInspectResponse) -> Seen {
    let container = container(answer);
    let Some(state) = &answer.state else {
        return Seen::Removing(container);
    };
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED => Seen::Created(container),
        Status::RUNNING | Status::PAUSED | Status::RESTARTING => {
            let health = state.health.as_ref().map(|health| self::health(health, answer));
            let (healthy, health_output) = health.unwrap_or_default();
            Seen::Running {
                container,
                healthy,
                health_output,
            }
        }
        // A dead one is left over from a removal that failed: it has ended and can be removed again.
        Status::EXITED | Status::DEAD => ended(container, state),
        Status::REMOVING | Status::STOPPING | Status::EMPTY => Seen::Removing(container),
    }
}

fn ended(container: Container, state: &ContainerState) -> Seen {
    Seen::Ended {
        container,
        exit: ExitStatus {
            exit_code: state.exit_code.unwrap_or(-1),
            oom_killed: state.oom_killed.unwrap_or(false),
        },
        started_at: moment(state.started_at.as_deref()),
        finished_at: moment(state.finished_at.as_deref()),
        output: String::new(),
    }
}

fn moment(text: Option<&str>) -> Timestamp {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Ids of containers of which it shares a namespace.
fn joined(answer: &ContainerInspectResponse) -> BTreeSet<String> {
    let Some(host) = &answer.host_config else {
        return BTreeSet::new();
    };
    let modes = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
    let ids = modes
        .into_iter()
        .flatten()
        .filter_map(|mode| mode.strip_prefix("container:"));
    ids.map(str::to_owned).collect()
}

fn health(health: &Health, answer: &ContainerInspectResponse) -> (Option<bool>, String) {
    let healthy = match health.status.unwrap_or(HealthStatusEnum::EMPTY) {
        HealthStatusEnum::HEALTHY => Some(true),
        HealthStatusEnum::UNHEALTHY => Some(false),
        HealthStatusEnum::NONE | HealthStatusEnum::STARTING | HealthStatusEnum::EMPTY => None,
    };
    let last = health.log.as_ref().and_then(|log| log.last());
    let output = last.and_then(|result| result.output.clone()).unwrap_or_default();
    let output = match healthy {
        Some(false) => hide(&output, &secret_values(answer)),
        Some(true) | None => output,
    };
    (healthy, head(output.trim(), MAX_MESSAGE_BYTES).to_owned())
}

/// The beginning of a text, at most so many bytes, cut between characters.
fn head(text: &str, most: usize) -> &str {
    let cut = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..cut.unwrap_or(0)]
}

fn container(answer: &ContainerInspectResponse) -> Container {
    let config = answer.config.as_ref();
    let labels: BTreeMap<String, String> = config
        .and_then(|config| config.labels.clone())
        .unwrap_or_default()
        .into_iter()
        .collect();
    let grace = config
        .and_then(|config| config.stop_timeout)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEFAULT_GRACE, Duration::from_secs);
    let settings = answer.network_settings.as_ref();
    let name = answer.name.as_deref().unwrap_or_default();
    Container {
        id: answer.id.clone().unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        image_id: answer.image.clone().unwrap_or_default(),
        image_digest: labels.get(names::LABEL_IMAGE_DIGEST).cloned(),
        application_id: names::application_of(&labels).unwrap_or_default(),
        service: labels.get(names::LABEL_SERVICE).cloned().unwrap_or_default(),
        slot: labels
            .get(names::LABEL_SLOT)
            .and_then(|slot| slot.parse().ok())
            .unwrap_or_default(),
        grace,
        addresses: settings.map(addresses).unwrap_or_default(),
        ports: settings.map(ports).unwrap_or_default(),
        started_at: moment(
            answer
                .state
                .as_ref()
                .and_then(|state| state.started_at.as_deref()),
        ),
        joined: joined(answer),
        volumes: volumes(answer),
    }
}

fn addresses(settings: &NetworkSettings) -> BTreeMap<String, String> {
    let networks = settings.networks.iter().flatten();
    networks
        .filter_map(|(network, endpoint)| Some((network.clone(), endpoint.ip_address.clone()?)))
        .filter(|(_, address)| !address.is_empty())
        .collect()
}

fn ports(settings: &NetworkSettings) -> Vec<PortBinding> {
    let mut all = BTreeSet::new();
    for (port, bindings) in settings.ports.iter().flatten() {
        let Some((target, protocol)) = port.split_once('/') else {
            continue;
        };
        for binding in bindings.iter().flatten() {
            let (Ok(target), Some(Ok(host_port))) = (
                target.parse(),
                binding.host_port.as_deref().map(str::parse::<u16>),
            ) else {
                continue;
            };
            all.insert(PortBinding {
                target,
                protocol: protocol.to_owned(),
                host_ip: binding.host_ip.clone().unwrap_or_default(),
                host_port,
            });
        }
    }
    all.into_iter().collect()
}

fn volumes(answer: &ContainerInspectResponse) -> BTreeSet<String> {
    let mounts = answer.mounts.iter().flatten();
    mounts
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| mount.name.clone())
        .collect()
}

/// One container an allocation: one that runs, else the one that came furthest. Gives ids of the others.
pub(super) fn one_each(found: Vec<(AllocationId, Seen)>) -> (BTreeMap<AllocationId, Seen>, Vec<String>) {
    let mut all: BTreeMap<AllocationId, Seen> = BTreeMap::new();
    let mut surplus = Vec::new();
    for (allocation, seen) in found {
        if seen == Seen::Absent {
            continue;
        }
        let better = all.get(&allocation).is_none_or(|other| rank(&seen) > rank(other));
        let loser = if better {
            all.insert(allocation, seen)
        } else {
            Some(seen)
        };
        surplus.extend(loser.and_then(|seen| seen.container().map(|c| c.id.clone())));
    }
    (all, surplus)
}

const fn rank(seen: &Seen) -> u8 {
    match seen {
        Seen::Absent => 0,
        Seen::Removing(_) => 1,
        Seen::Created(_) => 2,
        Seen::Ended { .. } => 3,
        Seen::Running { .. } => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_engine_is_read() {
        let text = r#"{"Id":"c1","Name":"/shop_web_1","Image":"sha256:aa",
            "State":{"Status":"exited","ExitCode":137,"OOMKilled":true,
                "StartedAt":"2026-11-24T06:00:00.5Z","FinishedAt":"2026-11-24T06:00:03.25Z"},
            "Config":{"StopTimeout":3,"Labels":{"io.berth.service":"web","io.berth.slot":"2"}},
            "Mounts":[{"Type":"volume","Name":"shop_data"},{"Type":"bind","Source":"/srv"}],
            "NetworkSettings":{"Networks":{"shop_default":{"IPAddress":"172.18.0.2"},"gone":{"IPAddress":""}},
                "Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"81/tcp":null}}}"#;
        let Seen::Ended {
            container,
            exit,
            started_at,
            finished_at,
            ..
        } = seen(&serde_json::from_str(text).unwrap())
        else {
            panic!("not ended")
        };
        assert_eq!((exit.exit_code, exit.oom_killed), (137, true));
        assert_eq!(finished_at.since(started_at), Duration::from_millis(2_750));
        assert_eq!(
            (
                container.name.as_str(),
                container.service.as_str(),
                container.slot
            ),
            ("shop_web_1", "web", 2)
        );
        assert_eq!(container.grace, Duration::from_secs(3));
        assert_eq!(container.volumes, BTreeSet::from(["shop_data".to_owned()]));
        assert_eq!(container.addresses.len(), 1);
        assert_eq!(
            (container.ports[0].target, container.ports[0].host_port),
            (80, 8080)
        );
    }

    #[test]
    fn of_two_containers_the_running_one_counts() {
        let made = |id: &str| Container {
            id: id.into(),
            ..Container::default()
        };
        let running = Seen::Running {
            container: made("b"),
            healthy: None,
            health_output: String::new(),
        };
        let id = AllocationId::from_u128(1);
        for order in [
            vec![(id, Seen::Created(made("a"))), (id, running.clone())],
            vec![(id, running.clone()), (id, Seen::Created(made("a")))],
        ] {
            let (all, surplus) = one_each(order);
            assert_eq!(all[&id], running);
            assert_eq!(surplus, ["a"]);
        }
    }
}
