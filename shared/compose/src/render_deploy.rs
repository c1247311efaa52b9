//! How many, where, with how much, and what after an end, as the keys of a Compose file.

use crate::{render::Entries, yaml::Yaml};
use berth_events::spec::{
    Affinity, Constraint, ContainerSpec, FailureAction, Operator, PlacementSpec, RestartCondition,
    RestartPolicy, ServiceMode, ServiceSpec, UpdateOrder, UpdatePolicy,
};

/// The short form of a restart policy; the default needs none, a delay needs the long form.
pub(crate) fn restart_word(restart: &RestartPolicy) -> Option<String> {
    match (restart.condition, restart.max_attempts, restart.delay_ms) {
        (RestartCondition::Never, 0, 0) => Some("no".to_owned()),
        (RestartCondition::OnFailure, 0, 0) => Some("on-failure".to_owned()),
        (RestartCondition::OnFailure, attempts, 0) => Some(format!("on-failure:{attempts}")),
        _ => None,
    }
}

pub(crate) fn deploy(service: &ServiceSpec) -> Yaml {
    let mut out = Entries::default();
    match service.mode {
        ServiceMode::Replicated { replicas: 1 } => {}
        ServiceMode::Replicated { replicas } => out.add("replicas", Yaml::raw(replicas)),
        ServiceMode::Global => out.add("mode", Yaml::text("global")),
    }
    for (key, policy) in [
        ("update_config", &service.update),
        ("rollback_config", &service.rollback),
    ] {
        if let Some(policy) = policy {
            out.add(key, update(policy));
        }
    }
    out.nested("placement", placement(&service.placement));
    out.nested("resources", resources(&service.container));
    let restart = &service.restart;
    if *restart != RestartPolicy::default() && restart_word(restart).is_none() {
        let mut policy = Entries::default();
        let condition = match restart.condition {
            RestartCondition::Any => "any",
            RestartCondition::OnFailure => "on-failure",
            RestartCondition::Never => "none",
        };
        policy.add("condition", Yaml::text(condition));
        policy.number("max_attempts", u64::from(restart.max_attempts));
        policy.duration("delay", Some(restart.delay_ms).filter(|ms| *ms > 0));
        out.add("restart_policy", policy.map());
    }
    out.nested("labels", Yaml::table(&service.service_labels));
    out.map()
}

fn update(policy: &UpdatePolicy) -> Yaml {
    let mut out = Entries::default();
    out.add("parallelism", Yaml::raw(policy.parallelism));
    if policy.order == UpdateOrder::StartFirst {
        out.add("order", Yaml::text("start-first"));
    }
    out.duration("delay", Some(policy.delay_ms).filter(|ms| *ms > 0));
    out.duration("monitor", Some(policy.monitor_ms).filter(|ms| *ms > 0));
    if policy.max_failure_permille > 0 {
        out.add(
            "max_failure_ratio",
            Yaml::raw(cores(u64::from(policy.max_failure_permille))),
        );
    }
    match policy.failure_action {
        FailureAction::Pause => {}
        FailureAction::Continue => out.add("failure_action", Yaml::text("continue")),
        FailureAction::Rollback => out.add("failure_action", Yaml::text("rollback")),
    }
    out.map()
}

fn placement(placement: &PlacementSpec) -> Yaml {
    let mut out = Entries::default();
    let constraints = placement
        .constraints
        .iter()
        .map(|rule| Yaml::text(constraint(rule)));
    out.nested("constraints", Yaml::List(constraints.collect()));
    let spread = |key: &String| Yaml::Map(vec![("spread".to_owned(), Yaml::text(key))]);
    out.nested(
        "preferences",
        Yaml::List(placement.spread.iter().map(spread).collect()),
    );
    out.number(
        "max_replicas_per_node",
        u64::from(placement.max_replicas_per_node),
    );
    out.map()
}

fn constraint(rule: &Constraint) -> String {
    rule_text(&rule.key, rule.operator, rule.soft, &rule.pattern)
}

pub(crate) fn affinity(rule: &Affinity) -> String {
    rule_text(&rule.subject, rule.operator, rule.soft, &rule.pattern)
}

fn rule_text(key: &str, operator: Operator, soft: bool, pattern: &str) -> String {
    let operator = match operator {
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
    };
    format!("{key}{operator}{}{pattern}", if soft { "~" } else { "" })
}

fn resources(container: &ContainerSpec) -> Yaml {
    let resources = &container.resources;
    let part = |cpu_millis: u64, memory_bytes: u64, pids: u64| {
        let mut out = Entries::default();
        if cpu_millis > 0 {
            out.add("cpus", Yaml::Raw(format!("\"{}\"", cores(cpu_millis))));
        }
        out.number("memory", memory_bytes);
        out.number("pids", pids);
        out
    };
    let mut out = Entries::default();
    out.nested(
        "limits",
        part(
            resources.cpu_limit_millis,
            resources.memory_limit_bytes,
            resources.pids_limit,
        )
        .map(),
    );
    let mut reserved = part(resources.cpu_reserved_millis, resources.memory_reserved_bytes, 0);
    let requests = crate::render_engine::requests(&container.engine.device_requests);
    reserved.nested("devices", requests);
    let generic = container.generic_resources.iter().map(|(kind, value)| {
        let mut spec = Entries::default();
        spec.text("kind", Some(kind));
        spec.add("value", Yaml::raw(value));
        let mut out = Entries::default();
        out.nested("discrete_resource_spec", spec.map());
        out.map()
    });
    reserved.nested("generic_resources", Yaml::List(generic.collect()));
    out.nested("reservations", reserved.map());
    out.map()
}

fn cores(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn duration(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
