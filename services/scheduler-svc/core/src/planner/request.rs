//! What a service asks of nodes, prepared once a plan.

use super::{
    filters,
    pattern::Pattern,
    rejection::Refused,
    world::{Resident, Site, World},
};
use crate::{
    engine_volume_name, is_node_local,
    view::{ApplicationRow, ClusterRow},
};
use berth_events::StopReason;
use berth_events::spec::{Affinity, Constraint, Operator, ServiceSpec, Strategy};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Labels over whose values containers are spread, at most.
pub(super) const MAX_SPREAD_LABELS: usize = 3;

/// A rule with its pattern compiled; one that does not compile fits nothing.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    pub(super) subject: &'a str,
    pub(super) operator: Operator,
    pub(super) text: &'a str,
    pub(super) pattern: Option<Pattern>,
    pub(super) soft: bool,
}

impl Rule<'_> {
    pub(super) fn fits(&self, value: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.fits(value))
    }

    /// As it stands in the file.
    pub(super) fn shown(&self) -> String {
        let operator = match self.operator {
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
        };
        format!("{}{operator}{}", self.subject, self.text)
    }
}

impl<'a> From<&'a Constraint> for Rule<'a> {
    fn from(rule: &'a Constraint) -> Self {
        Self {
            subject: &rule.key,
            operator: rule.operator,
            text: &rule.pattern,
            pattern: Pattern::compile(&rule.pattern).ok(),
            soft: rule.soft,
        }
    }
}

impl<'a> From<&'a Affinity> for Rule<'a> {
    fn from(rule: &'a Affinity) -> Self {
        Self {
            subject: &rule.subject,
            operator: rule.operator,
            text: &rule.pattern,
            pattern: Pattern::compile(&rule.pattern).ok(),
            soft: rule.soft,
        }
    }
}

/// Values of one label over the nodes and how many containers of the service each has.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) label: String,
    domain_of: Vec<usize>,
    counts: Vec<u32>,
}

impl Level {
    fn new(label: &str, sites: &[Site<'_>]) -> Self {
        let mut domains: BTreeMap<String, usize> = BTreeMap::new();
        let mut domain_of = Vec::with_capacity(sites.len());
        for site in sites {
            let value = filters::value_of(site.row, label).unwrap_or_default();
            let next = domains.len();
            domain_of.push(*domains.entry(value).or_insert(next));
        }
        Self {
            label: label.to_owned(),
            counts: vec![0; domains.len()],
            domain_of,
        }
    }

    pub(super) fn count(&self, site: usize) -> u32 {
        self.counts[self.domain_of[site]]
    }

    pub(super) fn add(&mut self, site: usize, containers: u32) {
        self.counts[self.domain_of[site]] += containers;
    }
}

/// What a service asks.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) application: &'a ApplicationRow,
    pub(super) name: &'a str,
    pub(super) spec: &'a ServiceSpec,
    pub(super) hash: &'a str,
    pub(super) strategy: Strategy,
    /// Volumes in the file whose data lives on one node.
    pub(super) local_volumes: BTreeSet<&'a str>,
    /// Names on the engine of all its named volumes.
    pub(super) engine_volumes: BTreeSet<String>,
    pub(super) constraints: Vec<Rule<'a>>,
    pub(super) affinities: Vec<Rule<'a>>,
    /// Per site: refused for what does not change within a plan.
    pub(super) fixed: Vec<Option<Refused>>,
    /// Per site: how many soft constraints hold.
    pub(super) preferred: Vec<i64>,
    pub(super) levels: Vec<Level>,
    /// Hard rules about whom it does not want beside it.
    avoids: Rc<[Rule<'a>]>,
    /// A hard wish for neighbours that nobody but the service itself fulfils: its first container is free.
    pub(super) first_of_its_kind: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        cluster: &ClusterRow,
        application: &'a ApplicationRow,
        name: &'a str,
        spec: &'a ServiceSpec,
        hash: &'a str,
        world: &World<'a>,
    ) -> Self {
        let sites = &world.sites;
        let volumes = &application.spec.volumes;
        let constraints: Vec<Rule<'a>> = spec.placement.constraints.iter().map(Rule::from).collect();
        let mut request = Self {
            application,
            name,
            spec,
            hash,
            strategy: spec.placement.strategy.unwrap_or(cluster.strategy),
            local_volumes: spec
                .container
                .named_volumes()
                .filter(|volume| is_node_local(volumes.get(*volume)))
                .collect(),
            engine_volumes: spec
                .container
                .named_volumes()
                .map(|volume| engine_volume_name(application.name.as_str(), volume, volumes.get(volume)))
                .collect(),
            affinities: spec.placement.affinities.iter().map(Rule::from).collect(),
            fixed: sites
                .iter()
                .map(|site| filters::fixed(site.row, spec, &constraints))
                .collect(),
            preferred: sites
                .iter()
                .map(|site| filters::soft_constraints_held(site.row, &constraints))
                .collect(),
            constraints,
            levels: levels(spec, sites),
            avoids: world.avoids(application.application_id, name),
            first_of_its_kind: false,
        };
        for (at, site) in sites.iter().enumerate() {
            let count = site.count(application.application_id, name);
            request.note(at, count);
        }
        request.first_of_its_kind = filters::is_first_of_its_kind(&request, sites);
        request
    }

    /// Containers of the service have come to a site.
    pub(super) fn note(&mut self, site: usize, containers: u32) {
        for level in &mut self.levels {
            level.add(site, containers);
        }
        if containers > 0 {
            self.first_of_its_kind = false;
        }
    }

    pub(super) fn resident(&self, slot: u32) -> Resident<'a> {
        Resident {
            application_id: self.application.application_id,
            application: self.application.name.as_str(),
            service: self.name,
            slot,
            container: &self.spec.container,
            avoids: Rc::clone(&self.avoids),
        }
    }

    /// The release is paused: what it would change stays as it is.
    pub(super) fn holds_changes(&self, reason: StopReason) -> bool {
        self.application.paused && reason == StopReason::Changed
    }
}

fn levels(spec: &ServiceSpec, sites: &[Site<'_>]) -> Vec<Level> {
    if spec.placement.spread.is_empty() {
        return vec![Level::new("zone", sites)];
    }
    spec.placement
        .spread
        .iter()
        .take(MAX_SPREAD_LABELS)
        .map(|label| Level::new(label, sites))
        .collect()
}
