//! What a specification must hold to before it becomes a release.

use crate::{
    limits::{MAX_REPLICAS, MAX_SERVICE_NAME_CHARS, MAX_SERVICES, MAX_SPEC_BYTES},
    planner::Pattern,
    reject,
};
use berth_events::{
    Rejection, RejectionKind,
    spec::{ApplicationSpec, ServiceMode, ServiceSpec},
};
use std::collections::BTreeMap;

/// Checks a specification.
///
/// # Errors
/// The first rule that it breaks, with the service and the cure.
pub fn validate(spec: &ApplicationSpec) -> Result<(), Rejection> {
    check_size(spec)?;
    for (name, service) in &spec.services {
        check_name(name)?;
        check_count(name, service)?;
        check_patterns(name, service)?;
        check_dependencies(name, service, spec)?;
    }
    match cycle(spec) {
        None => Ok(()),
        Some(path) => Err(reject(
            RejectionKind::Invalid,
            "application.depends_on_cycle",
            format!("services depend on each other in a circle: {}", path.join(" → ")),
            "take one of these out of `depends_on`",
        )),
    }
}

fn invalid(code: &str, message: String, cure: impl Into<String>) -> Rejection {
    reject(RejectionKind::Invalid, code, message, cure)
}

fn check_size(spec: &ApplicationSpec) -> Result<(), Rejection> {
    if spec.services.is_empty() {
        return Err(invalid(
            "application.no_service",
            "the application has no service".to_owned(),
            "name at least one under `services`",
        ));
    }
    if spec.services.len() > MAX_SERVICES {
        return Err(invalid(
            "application.too_many_services",
            format!(
                "the application has {} services: the limit is {MAX_SERVICES}",
                spec.services.len()
            ),
            "split it into several applications",
        ));
    }
    let bytes = serde_json::to_vec(spec).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_SPEC_BYTES {
        return Err(invalid(
            "application.too_large",
            format!("the application takes {bytes} bytes: the limit is {MAX_SPEC_BYTES}"),
            "split it, or move large values into files of the image",
        ));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Rejection> {
    let length = name.chars().count();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_SERVICE_NAME_CHARS).contains(&length)
        && name.chars().all(good)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Ok(());
    }
    Err(invalid(
        "application.bad_service_name",
        format!("`{name}` is no name of a service"),
        format!(
            "use 1 to {MAX_SERVICE_NAME_CHARS} letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
        ),
    ))
}

fn check_count(name: &str, service: &ServiceSpec) -> Result<(), Rejection> {
    match service.mode {
        ServiceMode::Replicated { replicas } if replicas > MAX_REPLICAS => Err(invalid(
            "application.too_many_replicas",
            format!("service `{name}` asks for {replicas} containers: the limit is {MAX_REPLICAS}"),
            format!("ask for at most {MAX_REPLICAS}, or split the service"),
        )),
        ServiceMode::Replicated { .. } | ServiceMode::Global => Ok(()),
    }
}

fn check_patterns(name: &str, service: &ServiceSpec) -> Result<(), Rejection> {
    let placement = &service.placement;
    let constraints = placement.constraints.iter().map(|rule| &rule.pattern);
    let affinities = placement.affinities.iter().map(|rule| &rule.pattern);
    for pattern in constraints.chain(affinities) {
        if let Err(problem) = Pattern::compile(pattern) {
            return Err(invalid(
                "application.bad_pattern",
                format!("service `{name}`: `{pattern}` is no regular expression: {problem}"),
                "correct it, or leave the slashes out to mean the plain text",
            ));
        }
    }
    Ok(())
}

fn check_dependencies(name: &str, service: &ServiceSpec, spec: &ApplicationSpec) -> Result<(), Rejection> {
    match service
        .depends_on
        .keys()
        .find(|on| !spec.services.contains_key(*on))
    {
        None => Ok(()),
        Some(on) => Err(invalid(
            "application.depends_on_unknown",
            format!("service `{name}` depends on `{on}`, which is not there"),
            format!("add service `{on}`, or take it out of `depends_on`"),
        )),
    }
}

/// The services of a circle in `depends_on`, the first one again at the end.
fn cycle(spec: &ApplicationSpec) -> Option<Vec<String>> {
    // Takes away what depends on nothing left; what stays is in a circle or leads into one.
    let mut open: BTreeMap<&str, Vec<&str>> = spec
        .services
        .iter()
        .map(|(name, service)| {
            (
                name.as_str(),
                service.depends_on.keys().map(String::as_str).collect(),
            )
        })
        .collect();
    loop {
        let done: Vec<&str> = open
            .iter()
            .filter(|(_, on)| on.iter().all(|name| !open.contains_key(name)))
            .map(|(name, _)| *name)
            .collect();
        if done.is_empty() {
            break;
        }
        for name in done {
            open.remove(name);
        }
    }
    let mut path: Vec<&str> = vec![open.keys().next()?];
    loop {
        let last = path.last()?;
        let next = open.get(last)?.iter().find(|name| open.contains_key(*name))?;
        if let Some(start) = path.iter().position(|name| name == next) {
            let mut circle: Vec<String> = path[start..].iter().map(|name| (*name).to_owned()).collect();
            circle.push((*next).to_owned());
            return Some(circle);
        }
        path.push(next);
    }
}
