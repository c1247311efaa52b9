//! Which nodes may take a container. A list of small functions, each with its reason.

use super::{
    countable,
    rejection::{Filter, Refused},
    request::{Request, Rule, Wary},
    site::{Avoids, Resident, Site},
    world::Known,
};
use crate::view::{Availability, Home, NodeRow};
use berth_events::{
    NodeKeys,
    spec::{Operator, PortSpec, ServiceSpec},
};
use berth_ids::ApplicationId;

/// Subjects of rules on neighbours that are no images and no labels.
const SERVICE: &str = "service";
/// The name of a container, which no other slot has.
pub(super) const CONTAINER: &str = "container";

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
type Dynamic = fn(&Site<'_>, &Request<'_>) -> Result<(), Refused>;
const DYNAMIC: &[Dynamic] = &[per_node, port, cpu, memory, countable::enough];

/// Whether one more container fits, after [`fixed`] has passed.
pub(super) fn dynamic(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    DYNAMIC.iter().try_for_each(|filter| filter(site, request))?;
    affinity(site, request, slot)
}

/// The filter of [`dynamic`] that refuses, if one does.
pub(super) fn refusing(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Option<Filter> {
    let refused = DYNAMIC.iter().find_map(|filter| filter(site, request).err());
    let unwelcome = || is_unwelcome(site, request, slot).then_some(Filter::Affinity);
    refused.map_or_else(unwelcome, |refused| Some(refused.filter()))
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
    if request.engine_volumes.is_empty() {
        return Ok(());
    }
    let going = site.drop_volumes().into_iter().flatten();
    let mut taken = going.filter(|name| request.engine_volumes.contains(*name));
    match taken.next() {
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

fn per_node(site: &Site<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let limit = request.spec.placement.max_replicas_per_node;
    if limit == 0 || request.count(site) < limit {
        Ok(())
    } else {
        Err(Refused::PerNode { limit })
    }
}

fn port(site: &Site<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let wanted = &request.spec.container.ports;
    let taken = wanted.iter().find_map(|port| {
        let mut others = site.ports(port.published?).into_iter();
        let holder = others.find_map(|(other, holder)| clashes(port, other).then_some(holder));
        holder.map(|holder| (port, holder))
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

fn cpu(site: &Site<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let need = request.spec.container.resources.cpu_reserved_millis;
    let free = site.cpu_free();
    if need <= free {
        return Ok(());
    }
    let total = site.row.facts.cpu_millis;
    Err(Refused::Cpu { need, free, total })
}

fn memory(site: &Site<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let need = request.spec.container.resources.memory_reserved_bytes;
    let free = site.memory_free();
    if need <= free {
        return Ok(());
    }
    let total = site.row.facts.memory_bytes;
    Err(Refused::Memory { need, free, total })
}

fn affinity(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    if !is_unwelcome(site, request, slot) {
        return Ok(());
    }
    let hard = request.affinities.iter().filter(|rule| !rule.soft);
    match hard.into_iter().find(|rule| is_broken(site, request, rule, slot)) {
        Some(rule) => Err(Refused::Affinity {
            rule: rule.shown(),
            neighbour: neighbour(site, request, rule).map(Resident::name),
        }),
        None => avoided(site, request, slot),
    }
}

/// A hard rule on neighbours is against it: one of its own, or one of a container that is there.
fn is_unwelcome(site: &Site<'_>, request: &Request<'_>, slot: u32) -> bool {
    let mut hard = request.affinities.iter().filter(|rule| !rule.soft);
    let met = |wary: &&Wary<'_>| site.count(wary.application_id, wary.service) > 0;
    let mut wary = request.wary.iter().filter(met);
    hard.any(|rule| is_broken(site, request, rule, slot))
        || wary.any(|wary| wary.of_all || avoided(site, request, slot).is_err())
}

fn is_broken(site: &Site<'_>, request: &Request<'_>, rule: &Rule<'_>, slot: u32) -> bool {
    match (rule.operator, has_neighbour(site, request, rule)) {
        (Operator::Equal, true) | (Operator::NotEqual, false) => false,
        (Operator::Equal, false) => !(request.first_of_its_kind && means_itself(rule, request, slot)),
        (Operator::NotEqual, true) => true,
    }
}

/// Who is there already may not want the newcomer beside it.
fn avoided(site: &Site<'_>, request: &Request<'_>, slot: u32) -> Result<(), Refused> {
    let mut wary = site.residents().filter(|resident| !resident.avoids.is_empty());
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
    site.residents()
        .find(|resident| is_meant(rule, request.application.application_id, resident))
}

fn has_neighbour(site: &Site<'_>, request: &Request<'_>, rule: &Rule<'_>) -> bool {
    match &rule.meant {
        Some(meant) => meant
            .iter()
            .any(|known| site.count(known.application_id, known.service) > 0),
        None => neighbour(site, request, rule).is_some(),
    }
}

/// The services of which a rule of a service of `owner` speaks, if it speaks of services.
pub(super) fn meant<'a>(
    rule: &Rule<'_>,
    owner: ApplicationId,
    services: &[Known<'a>],
) -> Option<Vec<Known<'a>>> {
    let known = services.iter().copied();
    (rule.subject == SERVICE).then(|| {
        known
            .filter(|known| is_meant_service(rule, owner, known))
            .collect()
    })
}

/// The services that do not want a container of the service beside them, or may not.
pub(super) fn wary<'a>(request: &Request<'_>, avoids: &Avoids<'a>) -> Vec<Wary<'a>> {
    let newcomer = request.resident(0);
    let wary = avoids.iter().filter_map(|((application_id, service), rules)| {
        let means = |rule: &Rule<'_>| is_meant(rule, *application_id, &newcomer);
        let (by_slot, whole): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.subject == CONTAINER);
        let of_all = whole.into_iter().any(means);
        (of_all || !by_slot.is_empty()).then_some(Wary {
            application_id: *application_id,
            service,
            of_all,
        })
    });
    wary.collect()
}

fn is_meant_service(rule: &Rule<'_>, owner: ApplicationId, known: &Known<'_>) -> bool {
    (known.application_id == owner && rule.fits(known.service))
        || rule.fits(&format!("{}_{}", known.application, known.service))
}

/// Whether a rule about neighbours, of a service of `owner`, speaks of this container.
fn is_meant(rule: &Rule<'_>, owner: ApplicationId, resident: &Resident<'_>) -> bool {
    match rule.subject {
        SERVICE => is_meant_service(
            rule,
            owner,
            &Known {
                application_id: resident.application_id,
                application: resident.application,
                service: resident.service,
            },
        ),
        CONTAINER => rule.fits(&resident.name()),
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
    let held = request
        .affinities
        .iter()
        .filter(|rule| rule.soft && (rule.operator == Operator::Equal) == has_neighbour(site, request, rule));
    i64::try_from(held.count()).unwrap_or(i64::MAX)
}

/// The service wants to be near to itself and nobody of the kind is anywhere yet.
pub(super) fn is_first_of_its_kind(request: &Request<'_>, sites: &[Site<'_>]) -> bool {
    let near = |rule: &&Rule<'_>| !rule.soft && rule.operator == Operator::Equal;
    request
        .affinities
        .iter()
        .filter(near)
        .all(|rule| sites.iter().all(|site| !has_neighbour(site, request, rule)))
}
