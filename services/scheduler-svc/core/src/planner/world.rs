//! The nodes of a cluster, as the plan goes on.

use super::{
    request::Rule,
    site::{Avoids, Resident, Site, Source},
};
use crate::{
    allocation::Phase,
    view::{AllocationRow, Availability, SchedulerView},
};
use berth_events::spec::Operator;
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// All nodes, by name, and what the plan has changed so far.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) sites: Vec<Site<'a>>,
    by_id: HashMap<NodeId, usize>,
    /// Allocations that this plan gives up.
    pub(super) lost: BTreeMap<NodeId, BTreeSet<AllocationId>>,
    source: Rc<Source<'a>>,
    /// Sites on which room is made, as they will be.
    promised: BTreeMap<usize, Site<'a>>,
    /// Nodes that take nothing new, or are lost.
    pub(super) closed: BTreeSet<NodeId>,
    /// Services that have containers or may get some, with the names of their applications.
    pub(super) services: Vec<Known<'a>>,
    /// The least importance that a service of the cluster has.
    pub(super) lowest_priority: u32,
}

/// A service with the name of its application, which is empty if that is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) application_id: ApplicationId,
    pub(super) application: &'a str,
    pub(super) service: &'a str,
}

impl<'a> World<'a> {
    pub(super) fn new(view: &'a SchedulerView, cluster: ClusterId) -> Self {
        let source = Rc::new(Source {
            view,
            avoids: avoids(view, cluster),
        });
        let mut rows: Vec<_> = view.nodes_of(cluster).collect();
        rows.sort_by(|a, b| (&a.name, a.node_id).cmp(&(&b.name, b.node_id)));
        let sites: Vec<_> = rows.into_iter().map(|row| Site::new(row, &source)).collect();
        let by_id = sites
            .iter()
            .enumerate()
            .map(|(at, site)| (site.row.node_id, at))
            .collect();
        let closed = sites.iter().map(|site| site.row);
        let closed = closed.filter(|row| row.lost || row.availability != Availability::Active);
        Self {
            closed: closed.map(|row| row.node_id).collect(),
            services: known_services(view, cluster),
            sites,
            by_id,
            lost: BTreeMap::new(),
            source,
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
    pub(super) fn resident_of(&self, row: &'a AllocationRow) -> Option<Resident<'a>> {
        self.source.resident(row)
    }

    /// A service had containers when the plan began.
    pub(super) fn has_any(&self, application: ApplicationId, service: &str) -> bool {
        let index = &self.source.view.index;
        index.service(application, service).is_some()
    }

    /// Whom each service does not want beside it, where it says so.
    pub(super) fn wary(&self) -> &Avoids<'a> {
        &self.source.avoids
    }

    pub(super) fn avoids(&self, application: ApplicationId, service: &'a str) -> Rc<[Rule<'a>]> {
        let avoids = &self.source.avoids;
        avoids.get(&(application, service)).cloned().unwrap_or_default()
    }

    /// Whether any service of the cluster does not want neighbours that a rule of such a subject names.
    pub(super) fn has_avoided(&self, subject: impl Fn(&str) -> bool) -> bool {
        let mut rules = self.source.avoids.values().flat_map(|rules| rules.iter());
        rules.any(|rule| subject(rule.subject))
    }

    /// A node of the cluster takes nothing new, or is lost, or is in another one.
    pub(super) fn is_closed(&self, node: NodeId) -> bool {
        self.closed.contains(&node) || !self.by_id.contains_key(&node)
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

fn known_services(view: &SchedulerView, cluster: ClusterId) -> Vec<Known<'_>> {
    let gone = view.index.applications();
    let gone = gone.filter(|id| !view.applications.contains_key(id));
    let all = view.applications_of(cluster);
    let all = all.map(|row| (row.application_id, row.name.as_str(), Some(row)));
    let mut known = Vec::new();
    for (application_id, application, row) in all.chain(gone.map(|id| (id, "", None))) {
        let wanted = row.into_iter().flat_map(|row| row.spec.services.keys());
        let there = view.index.services(application_id);
        let names: BTreeSet<&str> = wanted.map(String::as_str).chain(there).collect();
        known.extend(names.into_iter().map(|service| Known {
            application_id,
            application,
            service,
        }));
    }
    known
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
