//! Options of a service in a scenario.

use crate::{chaos::port, size};
use berth_events::spec::{
    Constraint, ContainerSpec, DependencyCondition, FailureAction, HealthcheckSpec, MountSource, MountSpec,
    Operator, ReschedulePolicy, RestartCondition, ServiceMode, ServiceSpec, UpdateOrder, UpdatePolicy,
};

/// Options that make an update policy.
const POLICY: &[&str] = &[
    "parallel",
    "start-first",
    "delay",
    "monitor",
    "failures",
    "on-failure",
];

/// Bytes of an amount.
pub(crate) fn amount(text: &str) -> Result<u64, String> {
    size::bytes(text).ok_or_else(|| format!("`{text}` is no amount, such as 512MiB"))
}

/// Milliseconds of a time.
pub(crate) fn millis(text: &str) -> Result<u64, String> {
    size::millis(text).ok_or_else(|| "a time is `500ms`, `30s` or `5m`".to_owned())
}

/// A service from its options.
pub(crate) fn service_spec(options: &[&str]) -> Result<ServiceSpec, String> {
    let mut spec = ServiceSpec {
        mode: ServiceMode::Replicated { replicas: 1 },
        container: ContainerSpec {
            image: "ok".to_owned(),
            ..ContainerSpec::default()
        },
        ..ServiceSpec::default()
    };
    let mut update = UpdatePolicy::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let number = || {
            value
                .parse::<u32>()
                .map_err(|_| format!("`{value}` is no number"))
        };
        match key {
            "image" => value.clone_into(&mut spec.container.image),
            "replicas" => spec.mode = ServiceMode::Replicated { replicas: number()? },
            "global" => spec.mode = ServiceMode::Global,
            "memory" => spec.container.resources.memory_reserved_bytes = amount(value)?,
            "port" => {
                let published = u16::try_from(number()?).map_err(|error| error.to_string())?;
                spec.container.ports.push(port(published));
            }
            "volume" => spec.container.mounts.push(MountSpec {
                source: MountSource::Volume {
                    name: value.to_owned(),
                },
                target: "/data".to_owned(),
                read_only: false,
                ..MountSpec::default()
            }),
            "check" => {
                spec.container.healthcheck = Some(HealthcheckSpec {
                    test: vec!["CMD".to_owned(), "true".to_owned()],
                    ..HealthcheckSpec::default()
                });
            }
            "after" => {
                let condition = DependencyCondition::ServiceHealthy;
                spec.depends_on.insert(value.to_owned(), condition);
            }
            "gpu" => {
                let count = value.parse().map_err(|_| format!("`{value}` is no number"))?;
                spec.container.generic_resources.insert("gpu".to_owned(), count);
            }
            "parallel" => update.parallelism = number()?,
            "start-first" => update.order = UpdateOrder::StartFirst,
            "delay" => update.delay_ms = millis(value)?,
            "monitor" => update.monitor_ms = millis(value)?,
            "failures" => update.max_failure_permille = number()?.saturating_mul(10),
            "on-failure" => {
                update.failure_action = match value {
                    "pause" => FailureAction::Pause,
                    "continue" => FailureAction::Continue,
                    "rollback" => FailureAction::Rollback,
                    _ => return Err("on-failure=pause, continue or rollback".to_owned()),
                }
            }
            "once" => spec.restart.condition = RestartCondition::OnFailure,
            "off" => spec.reschedule = ReschedulePolicy::Off,
            "where" => {
                let (key, pattern) = value.split_once(':').ok_or("where=KEY:PATTERN")?;
                spec.placement.constraints.push(Constraint {
                    key: key.to_owned(),
                    operator: Operator::Equal,
                    pattern: pattern.to_owned(),
                    soft: false,
                });
            }
            _ => return Err(format!("`{option}` says nothing of a service")),
        }
    }
    let about_updates = |option: &&str| POLICY.contains(&option.split('=').next().unwrap_or_default());
    spec.update = options.iter().any(about_updates).then_some(update);
    Ok(spec)
}
