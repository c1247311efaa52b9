//! Services of many kinds for the planner's properties.

use crate::lab::{GIB, service, with_memory, with_port, with_volume};
use berth_events::spec::{
    Affinity, Constraint, DomainSpread, FailureAction, Operator, ReschedulePolicy, ServiceMode, ServiceSpec,
    UpdateOrder, UpdatePolicy,
};

pub(super) fn variant(variant: u8, replicas: u32) -> ServiceSpec {
    let mut spec = service(replicas, &format!("image-{}", variant % 3));
    match variant {
        1 => spec = with_memory(spec, GIB),
        2 => spec = with_port(spec, 80),
        3 => spec = with_volume(spec, "data"),
        4 => spec.mode = ServiceMode::Global,
        5 => spec.placement.constraints.push(Constraint {
            key: "disk".into(),
            operator: Operator::Equal,
            pattern: "ssd".into(),
            soft: false,
        }),
        6 => spec.placement.affinities.push(Affinity {
            subject: "service".into(),
            operator: Operator::NotEqual,
            pattern: "web".into(),
            soft: false,
        }),
        7 => {
            spec.reschedule = ReschedulePolicy::Off;
            spec.placement.max_replicas_per_node = 2;
        }
        8 => {
            spec.container.generic_resources.insert("gpu".into(), 1);
        }
        9 => spec.placement.domains.push(DomainSpread {
            label: "zone".into(),
            domains: 2,
            soft: false,
        }),
        _ => {}
    }
    spec
}

pub(super) fn with_policy(mut spec: ServiceSpec, policy: u8) -> ServiceSpec {
    let action = [
        FailureAction::Pause,
        FailureAction::Continue,
        FailureAction::Rollback,
    ];
    spec.update = (policy > 0).then(|| UpdatePolicy {
        parallelism: u32::from(policy % 3),
        order: if policy.is_multiple_of(2) {
            UpdateOrder::StartFirst
        } else {
            UpdateOrder::StopFirst
        },
        delay_ms: u64::from(policy / 4) * 7_000,
        monitor_ms: u64::from(policy / 6) * 9_000,
        failure_action: action[usize::from(policy % 3)],
        ..UpdatePolicy::default()
    });
    spec
}
