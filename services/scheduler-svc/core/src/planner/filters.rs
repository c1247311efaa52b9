//! Which nodes may take a container. A list of small functions, each with its reason.

use super::{
    countable,
    rejection::Refused,
    request::{Request, Rule},
    world::{Resident, Site},
};
use crate::view::{Availability, Home, NodeRow};
use berth_events::{
    NodeKeys,
    spec::{Operator, PortSpec, ServiceSpec},
};
use berth_ids::ApplicationId;

/// What does not change within a plan: state, platform, constraints.
pub(super) fn fixed(node: &NodeRow, spec: &ServiceSpec, constraints: &[Rule<'_>]) -> Option<Refused> {
    state(node).and_then(|()| suits(node, spec, constraints)).err()
}

/// Whether the node is right for the service, whatever its state: platform and constraints.
pub(super) fn suits(node: &NodeRow, spec: &ServiceSpec, constraints: &[Rule<'_>]) -> Result<(), Refused> {
    platform(node, spec)?;
    constraints
        .iter()
        .filter(|rule| !rule.soft)
        .try_for_each(|rule| constraint(node, rule))
}

/// What one more container on a site changes. Cheapest first; the order is that of [`super::Filter`].
type Dynamic = fn(&Site<'_>, &Request<'_>, u32) -> Result<(), Refused>;
const DYNAMIC: &[Dynamic] = &[per_node, port, cpu, memory, countable::enough, affinity];

/// Whether one more container fits, after [`fixed`] has passed.
pub(super) fn dynamic(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    DYNAMIC.iter().try_for_each(|filter| filter(site, request, slot))
}

/// Volumes hold a slot to its home, and a volume that is to go must be gone first.
pub(super) fn volume(site: &Site<'_>, request: &Request<'_>, home: Option<&Home>) -> Result<(), Refused> {
    if let Some(home) = home
        && home.node_id != site.row.node_id
    {
        return Err(Refused::VolumeElsewhere {
            home: home.node_name.clone(),
        });
    }
    let going = &site.assigned.drop_volumes;
    match request.engine_volumes.iter().find(|name| going.contains(*name)) {
        None => Ok(()),
        Some(volume) => Err(Refused::VolumeGoing {
            volume: volume.clone(),
        }),
    }
}

fn state(node: &NodeRow) -> Result<(), Refused> {
    if node.lost {
        return Err(Refused::Lost);
    }
    match node.availability {
        Availability::Active => Ok(()),
        Availability::Cordoned | Availability::Drained => Err(Refused::Cordoned),
        Availability::Draining { .. } => Err(Refused::Draining),
    }
}

fn platform(node: &NodeRow, spec: &ServiceSpec) -> Result<(), Refused> {
    let Some(wanted) = &spec.container.platform else {
        return Ok(());
    };
    let mut parts = wanted.split('/');
    let os = parts.next().unwrap_or_default();
    let architecture = parts.next();
    let fits = os.eq_ignore_ascii_case(&node.facts.os)
        && architecture.is_none_or(|wanted| same_architecture(wanted, &node.facts.architecture));
    if fits {
        return Ok(());
    }
    Err(Refused::Platform {
        wanted: wanted.clone(),
        found: format!("{}/{}", node.facts.os, node.facts.architecture),
    })
}

/// Engines say `x86_64` and `aarch64` where files say `amd64` and `arm64`.
fn same_architecture(a: &str, b: &str) -> bool {
    fn plain(name: &str) -> &str {
        match name {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
    plain(a) == plain(b)
}

fn constraint(node: &NodeRow, rule: &Rule<'_>) -> Result<(), Refused> {
    if holds(node, rule) {
        return Ok(());
    }
    let label = label_name(rule.subject);
    let found = value_of(node, rule.subject);
    let settable = rule.operator == Operator::Equal && !rule.text.contains(['*', '?', '/']);
    Err(Refused::Constraint {
        rule: rule.shown(),
        label: label
            .filter(|_| settable)
            .map(|label| format!("{label}={}", rule.text)),
        found: found.map(|value| format!("{}={value}", rule.subject)),
    })
}

fn holds(node: &NodeRow, rule: &Rule<'_>) -> bool {
    let value = value_of(node, rule.subject);
    match rule.operator {
        Operator::Equal => value.is_some_and(|value| rule.fits(&value)),
        Operator::NotEqual => value.is_none_or(|value| !rule.fits(&value)),
    }
}

pub(super) fn soft_constraints_held(node: &NodeRow, constraints: &[Rule<'_>]) -> i64 {
    let held = constraints.iter().filter(|rule| rule.soft && holds(node, rule));
    i64::try_from(held.count()).unwrap_or(i64::MAX)
}

/// The label of a node that a key names, if people can set it.
fn label_name(key: &str) -> Option<&str> {
    if let Some(label) = key.strip_prefix("node.labels.") {
        return Some(label);
    }
    let fact = key.starts_with("node.")
        || key.starts_with("engine.")
        || matches!(key, "node" | "zone" | "aliyun.node_index" | "berth.node_index");
    (!fact).then_some(key)
}

/// The value of a key on a node.
pub(super) fn value_of(node: &NodeRow, key: &str) -> Option<String> {
    let keys = NodeKeys {
        node_id: node.node_id,
        name: node.name.as_str(),
        index: node.index,
        zone: &node.zone,
        labels: &node.labels,
        facts: &node.facts,
    };
    keys.value(key)
}

fn per_node(site: &Site<'_>, request: &Request<'_>, _slot: u32) -> Result<(), Refused> {
    let limit = request.spec.placement.max_replicas_per_node;
    let count = site
        .services
        .get(&(request.application.application_id, request.name))
        .copied()
        .unwrap_or(0);
    if limit == 0 || count < limit {
        Ok(())
    } else {
        Err(Refused::PerNode { limit })
    }
}

fn port(site: &Site<'_>, request: &Request<'_>, _slot: u32) -> Result<(), Refused> {
    let wanted = &request.spec.container.ports;
    let taken = wanted.iter().find_map(|port| {
        let clash = |(other, holder): &(&PortSpec, String)| clashes(port, other).then(|| holder.clone());
        site.ports.iter().find_map(clash).map(|holder| (port, holder))
    });
    match taken {
        None => Ok(()),
        Some((port, holder)) => Err(Refused::Port {
            port: format!("{}/{}", port.published.unwrap_or_default(), port.protocol),
            holder,
        }),
    }
}

/// Two published ports cannot be had at once.
pub(super) fn clashes(a: &PortSpec, b: &PortSpec) -> bool {
    fn any(address: Option<&str>) -> bool {
        address.is_none_or(|address| matches!(address, "" | "0.0.0.0" | "::"))
    }
    let (one, other) = (a.host_ip.as_deref(), b.host_ip.as_deref());
    a.published.is_some()
        && a.published == b.published
        && a.protocol == b.protocol
        && (any(one) || any(other) || one == other)
}

fn cpu(site: &Site<'_>, request: &Request<'_>, _slot: u32) -> Result<(), Refused> {
    let need = request.spec.container.resources.cpu_reserved_millis;
    let free = site.cpu_free();
    if need <= free {
        return Ok(());
    }
    let total = site.row.facts.cpu_millis;
    Err(Refused::Cpu { need, free, total })
}

fn memory(site: &Site<'_>, request: &Request<'_>, _slot: u32) -> Result<(), Refused> {
    let need = request.spec.container.resources.memory_reserved_bytes;
    let free = site.memory_free();
    if need <= free {
        return Ok(());
    }
    let total = site.row.facts.memory_bytes;
    Err(Refused::Memory { need, free, total })
}

fn affinity(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    let hard = request.affinities.iter().filter(|rule| !rule.soft);
    hard.into_iter().try_for_each(|rule| {
        let neighbour = neighbour(site, request, rule);
        match (rule.operator, neighbour) {
            (Operator::Equal, Some(_)) | (Operator::NotEqual, None) => Ok(()),
            (Operator::Equal, None) if request.first_of_its_kind && means_itself(rule, request, slot) => {
                Ok(())
            }
            (Operator::Equal, None) => Err(Refused::Affinity {
                rule: rule.shown(),
                neighbour: None,
            }),
            (Operator::NotEqual, Some(resident)) => Err(Refused::Affinity {
                rule: rule.shown(),
                neighbour: Some(resident.name()),
            }),
        }
    })?;
    avoided(site, request, slot)
}

/// Who is there already may not want the newcomer beside it.
fn avoided(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    let mut wary = site
        .residents
        .iter()
        .filter(|resident| !resident.avoids.is_empty());
    let Some(first) = wary.next() else {
        return Ok(());
    };
    let newcomer = request.resident(slot);
    std::iter::once(first).chain(wary).try_for_each(|resident| {
        let against = |rule: &&Rule<'_>| is_meant(rule, resident.application_id, &newcomer);
        match resident.avoids.iter().find(against) {
            None => Ok(()),
            Some(rule) => Err(Refused::Affinity {
                rule: rule.shown(),
                neighbour: Some(format!("{}, whose rule that is", resident.name())),
            }),
        }
    })
}

fn means_itself(rule: &Rule<'_>, request: &Request<'_>, slot: u32) -> bool {
    is_meant(rule, request.application.application_id, &request.resident(slot))
}

fn neighbour<'a>(site: &'a Site<'_>, request: &Request<'_>, rule: &Rule<'_>) -> Option<&'a Resident<'a>> {
    site.residents
        .iter()
        .find(|resident| is_meant(rule, request.application.application_id, resident))
}

/// Whether a rule about neighbours, of a service of `owner`, speaks of this container.
fn is_meant(rule: &Rule<'_>, owner: ApplicationId, resident: &Resident<'_>) -> bool {
    match rule.subject {
        "service" => {
            let own = resident.application_id == owner;
            (own && rule.fits(resident.service))
                || rule.fits(&format!("{}_{}", resident.application, resident.service))
        }
        "container" => rule.fits(&resident.name()),
        "image" => {
            let image = resident.container.image.as_str();
            let untagged = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
            rule.fits(image) || untagged.is_some_and(|(name, _)| rule.fits(name))
        }
        label => resident
            .container
            .labels
            .get(label)
            .is_some_and(|value| rule.fits(value)),
    }
}

/// How many soft rules on neighbours hold on a site.
pub(super) fn soft_affinities_held(site: &Site<'_>, request: &Request<'_>) -> i64 {
    let held = request.affinities.iter().filter(|rule| {
        let found = || neighbour(site, request, rule).is_some();
        rule.soft && (rule.operator == Operator::Equal) == found()
    });
    i64::try_from(held.count()).unwrap_or(i64::MAX)
}

/// The service wants to be near to itself and nobody of the kind is anywhere yet.
pub(super) fn is_first_of_its_kind(request: &Request<'_>, sites: &[Site<'_>]) -> bool {
    let near = |rule: &&Rule<'_>| !rule.soft && rule.operator == Operator::Equal;
    request
        .affinities
        .iter()
        .filter(near)
        .all(|rule| sites.iter().all(|site| neighbour(site, request, rule).is_none()))
}
