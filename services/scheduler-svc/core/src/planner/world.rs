//! The nodes of a cluster with all that is on them, as the plan goes on.

use super::{countable::Countables, request::Rule};
use crate::{
    allocation::Phase,
    view::{AllocationRow, AssignedRow, Availability, NodeRow, SchedulerView},
};
use berth_events::spec::{ContainerSpec, Operator, PortSpec};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

/// A node and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    pub(super) row: &'a NodeRow,
    pub(super) assigned: AssignedRow,
    /// Reserved processor time in thousandths of a core.
    pub(super) cpu_used: u64,
    /// Reserved memory.
    pub(super) memory_used: u64,
    /// Reserved countable resources.
    pub(super) countables: Countables<'a>,
    /// Containers that run or will.
    pub(super) residents: Vec<Resident<'a>>,
    /// How many of each service.
    pub(super) services: HashMap<(ApplicationId, &'a str), u32>,
    /// Published ports with the container that has them.
    pub(super) ports: Vec<(&'a PortSpec, String)>,
    /// Images that the node has pulled.
    pub(super) images: HashSet<&'a str>,
}

/// A container on a node, as neighbours see it.
#[derive(Debug, Clone)]
pub(super) struct Resident<'a> {
    pub(super) application_id: ApplicationId,
    pub(super) application: &'a str,
    pub(super) service: &'a str,
    pub(super) slot: u32,
    pub(super) container: &'a ContainerSpec,
    /// Hard rules of its service about whom it does not want beside it.
    pub(super) avoids: Rc<[Rule<'a>]>,
}

impl Resident<'_> {
    /// Name on the engine.
    pub(super) fn name(&self) -> String {
        format!("{}_{}_{}", self.application, self.service, self.slot)
    }
}

impl<'a> Site<'a> {
    fn new(row: &'a NodeRow, assigned: AssignedRow) -> Self {
        Self {
            row,
            assigned,
            cpu_used: 0,
            memory_used: 0,
            countables: Countables::default(),
            residents: Vec::new(),
            services: HashMap::new(),
            ports: Vec::new(),
            images: HashSet::new(),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.row.availability, Availability::Draining { .. })
    }

    pub(super) fn cpu_free(&self) -> u64 {
        self.row.facts.cpu_millis.saturating_sub(self.cpu_used)
    }

    pub(super) fn memory_free(&self) -> u64 {
        self.row.facts.memory_bytes.saturating_sub(self.memory_used)
    }

    pub(super) fn count(&self, application: ApplicationId, service: &'a str) -> u32 {
        self.services.get(&(application, service)).copied().unwrap_or(0)
    }

    /// Takes a container away; [`Site::settle`] brings it back.
    pub(super) fn lift(
        &mut self,
        application: ApplicationId,
        service: &str,
        slot: u32,
    ) -> Option<Resident<'a>> {
        let at = self.residents.iter().position(|resident| {
            resident.application_id == application && resident.service == service && resident.slot == slot
        })?;
        let resident = self.residents.remove(at);
        let resources = resident.container.resources;
        self.cpu_used = self.cpu_used.saturating_sub(resources.cpu_reserved_millis);
        self.memory_used = self.memory_used.saturating_sub(resources.memory_reserved_bytes);
        self.countables.give_back(self.row, resident.container);
        let key = (resident.application_id, resident.service);
        if let Some(count) = self.services.get_mut(&key) {
            *count = count.saturating_sub(1);
        }
        let name = resident.name();
        self.ports.retain(|(_, holder)| *holder != name);
        Some(resident)
    }

    /// A container comes to the node.
    pub(super) fn settle(&mut self, resident: Resident<'a>) {
        let resources = resident.container.resources;
        self.cpu_used = self.cpu_used.saturating_add(resources.cpu_reserved_millis);
        self.memory_used = self.memory_used.saturating_add(resources.memory_reserved_bytes);
        self.countables.take(self.row, resident.container);
        *self
            .services
            .entry((resident.application_id, resident.service))
            .or_default() += 1;
        let published = resident
            .container
            .ports
            .iter()
            .filter(|port| port.published.is_some());
        for port in published {
            self.ports.push((port, resident.name()));
        }
        self.residents.push(resident);
    }

    /// Keeps what a container will need when what is leaving has left: `after` is the site as it is then.
    fn expect(&mut self, after: &Self, resident: Resident<'a>) {
        self.cpu_used = self.cpu_used.max(after.cpu_used);
        self.memory_used = self.memory_used.max(after.memory_used);
        self.countables.keep(&after.countables);
        *self
            .services
            .entry((resident.application_id, resident.service))
            .or_default() += 1;
        for port in resident
            .container
            .ports
            .iter()
            .filter(|port| port.published.is_some())
        {
            self.ports.push((port, resident.name()));
        }
        self.residents.push(resident);
    }

    /// A container on the node gets a successor in its own place: what the new one needs beyond the old one.
    pub(super) fn widen(&mut self, old: &Resident<'a>, new: &Resident<'a>) {
        let (had, needs) = (old.container.resources, new.container.resources);
        let more = |needs: u64, had: u64| needs.saturating_sub(had);
        self.cpu_used += more(needs.cpu_reserved_millis, had.cpu_reserved_millis);
        self.memory_used += more(needs.memory_reserved_bytes, had.memory_reserved_bytes);
        self.countables.widen(self.row, old.container, new.container);
        for port in &new.container.ports {
            if port.published.is_some() && !old.container.ports.contains(port) {
                self.ports.push((port, new.name()));
            }
        }
    }
}

/// All nodes, by name, and what the plan has changed so far.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) sites: Vec<Site<'a>>,
    by_id: BTreeMap<NodeId, usize>,
    /// Allocations that this plan gives up.
    pub(super) lost: BTreeMap<NodeId, BTreeSet<AllocationId>>,
    /// Whom each service does not want beside it.
    avoids: Avoids<'a>,
    /// Sites on which room is made, as they will be.
    promised: BTreeMap<usize, Site<'a>>,
    /// The least importance that a service of the cluster has.
    pub(super) lowest_priority: u32,
}

type Avoids<'a> = HashMap<(ApplicationId, &'a str), Rc<[Rule<'a>]>>;

impl<'a> World<'a> {
    pub(super) fn new(view: &'a SchedulerView, cluster: ClusterId) -> Self {
        let mut sites: Vec<_> = view
            .nodes_of(cluster)
            .map(|row| Site::new(row, view.assigned(row.node_id)))
            .collect();
        sites.sort_by(|a, b| (&a.row.name, a.row.node_id).cmp(&(&b.row.name, b.row.node_id)));
        let avoids = avoids(view, cluster);
        for site in &mut sites {
            for row in view.allocations_on(site.row.node_id) {
                populate(view, &avoids, site, row);
            }
        }
        let by_id = sites
            .iter()
            .enumerate()
            .map(|(at, site)| (site.row.node_id, at))
            .collect();
        Self {
            sites,
            by_id,
            lost: BTreeMap::new(),
            avoids,
            promised: BTreeMap::new(),
            lowest_priority: lowest_priority(view, cluster),
        }
    }

    /// A container comes to a site.
    pub(super) fn settle(&mut self, at: usize, resident: Resident<'a>) {
        if let Some(after) = self.promised.get_mut(&at) {
            after.settle(resident.clone());
        }
        self.sites[at].settle(resident);
    }

    /// A site as it will be without the containers that are leaving, where they make way.
    pub(super) fn after(
        &self,
        view: &SchedulerView,
        at: usize,
        makes_way: impl Fn(&AllocationRow) -> bool,
    ) -> Site<'a> {
        if let Some(after) = self.promised.get(&at) {
            return after.clone();
        }
        let mut after = self.sites[at].clone();
        let leaving = view.allocations_on(after.row.node_id);
        for row in leaving.filter(|row| row.phase.is_live() && makes_way(row)) {
            after.lift(row.application_id, &row.service, row.slot);
        }
        after
    }

    /// Room is made on a site: nobody else may take it.
    pub(super) fn promise(&mut self, at: usize, mut after: Site<'a>, resident: Resident<'a>) {
        after.settle(resident.clone());
        self.sites[at].expect(&after, resident);
        self.promised.insert(at, after);
    }

    /// A container as its neighbours see it.
    pub(super) fn resident_of(
        &self,
        view: &'a SchedulerView,
        row: &'a AllocationRow,
    ) -> Option<Resident<'a>> {
        resident(view, &self.avoids, row)
    }

    pub(super) fn avoids(&self, application: ApplicationId, service: &'a str) -> Rc<[Rule<'a>]> {
        self.avoids
            .get(&(application, service))
            .cloned()
            .unwrap_or_default()
    }

    /// Whether any service of the cluster does not want neighbours that a rule of such a subject names.
    pub(super) fn has_avoided(&self, subject: impl Fn(&str) -> bool) -> bool {
        let mut rules = self.avoids.values().flat_map(|rules| rules.iter());
        rules.any(|rule| subject(rule.subject))
    }

    pub(super) fn site_of(&self, node: NodeId) -> Option<usize> {
        self.by_id.get(&node).copied()
    }

    pub(super) fn is_lost(&self, node: NodeId) -> bool {
        self.site_of(node).is_none_or(|at| self.sites[at].row.lost)
    }

    /// Phase of an allocation after what this plan has given up.
    pub(super) fn phase(&self, row: &AllocationRow) -> Phase {
        let given_up = self
            .lost
            .get(&row.node_id)
            .is_some_and(|ids| ids.contains(&row.allocation_id));
        if given_up { Phase::Lost } else { row.phase }
    }

    pub(super) fn give_up(&mut self, row: &AllocationRow) {
        self.lost
            .entry(row.node_id)
            .or_default()
            .insert(row.allocation_id);
    }
}

fn avoids(view: &SchedulerView, cluster: ClusterId) -> Avoids<'_> {
    let mut avoids = HashMap::new();
    for application in view.applications_of(cluster) {
        for (name, service) in &application.spec.services {
            let hard = service.placement.affinities.iter();
            let rules: Rc<[Rule<'_>]> = hard
                .filter(|rule| !rule.soft && rule.operator == Operator::NotEqual)
                .map(Rule::from)
                .collect();
            if !rules.is_empty() {
                avoids.insert((application.application_id, name.as_str()), rules);
            }
        }
    }
    avoids
}

fn populate<'a>(view: &'a SchedulerView, avoids: &Avoids<'a>, site: &mut Site<'a>, row: &'a AllocationRow) {
    let Some(spec) = view.specs.get(&row.spec_hash) else {
        return;
    };
    if row.running_since.is_some() || row.phase == Phase::Created {
        site.images.insert(spec.container.image.as_str());
    }
    // A lost container may still run until its node says otherwise.
    if !row.phase.is_live() && row.phase != Phase::Lost {
        return;
    }
    if let Some(resident) = resident(view, avoids, row) {
        site.settle(resident);
    }
}

fn resident<'a>(
    view: &'a SchedulerView,
    avoids: &Avoids<'a>,
    row: &'a AllocationRow,
) -> Option<Resident<'a>> {
    let spec = view.specs.get(&row.spec_hash)?;
    Some(Resident {
        application_id: row.application_id,
        application: view
            .applications
            .get(&row.application_id)
            .map_or("", |application| application.name.as_str()),
        service: &row.service,
        slot: row.slot,
        container: &spec.container,
        avoids: avoids
            .get(&(row.application_id, row.service.as_str()))
            .cloned()
            .unwrap_or_default(),
    })
}

fn lowest_priority(view: &SchedulerView, cluster: ClusterId) -> u32 {
    let services = view
        .applications_of(cluster)
        .flat_map(|row| row.spec.services.values());
    services
        .map(|service| service.labels.priority)
        .min()
        .unwrap_or(u32::MAX)
}
