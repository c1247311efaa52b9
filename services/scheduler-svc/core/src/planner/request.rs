//! What a service asks of nodes, prepared once a plan.

use super::{
    block::Cause,
    domains, filters,
    pattern::Pattern,
    rejection::Refused,
    site::{Resident, Site},
    world::{Known, World},
};
use crate::{
    engine_volume_name, is_node_local,
    view::{ApplicationRow, ClusterRow, SlotRow},
};
use berth_events::StopReason;
use berth_events::spec::{Affinity, Amount, Constraint, Operator, ServiceSpec, Strategy};
use berth_ids::ApplicationId;
use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
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
    /// The services of which it speaks, if it speaks of services and they were looked for.
    pub(super) meant: Option<Vec<Known<'a>>>,
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
            meant: None,
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
            meant: None,
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

/// What each node says to a service that does not change within a plan, and how its containers are spread.
#[derive(Debug)]
pub(super) struct PerSite {
    /// Refused.
    pub(super) fixed: Vec<Option<Refused>>,
    /// How many soft constraints hold.
    pub(super) preferred: Vec<i64>,
    /// Labels over which containers are spread, at most [`MAX_SPREAD_LABELS`].
    pub(super) levels: Vec<Level>,
}

impl PerSite {
    fn new<'a>(request: &Request<'a>, sites: &[Site<'a>]) -> Self {
        let (spec, constraints) = (request.spec, request.constraints.as_slice());
        let fixed = sites
            .iter()
            .map(|site| filters::fixed(site.row, spec, constraints));
        let preferred = sites
            .iter()
            .map(|site| filters::soft_constraints_held(site.row, constraints));
        let (mut fixed, preferred): (Vec<_>, _) = (fixed.collect(), preferred.collect());
        domains::keep_promises(request, sites, &mut fixed);
        let mut levels = levels(spec, sites);
        for (at, site) in sites.iter().enumerate() {
            let count = request.count(site);
            for level in &mut levels {
                level.add(at, count);
            }
        }
        Self {
            fixed,
            preferred,
            levels,
        }
    }

    /// Which domain of each level a site is in.
    pub(super) fn domains(&self, site: usize) -> [usize; MAX_SPREAD_LABELS] {
        let mut domains = [0; MAX_SPREAD_LABELS];
        for (domain, level) in domains.iter_mut().zip(&self.levels) {
            *domain = level.domain_of[site];
        }
        domains
    }
}

/// A service that may not want another one's containers beside its own.
#[derive(Debug)]
pub(super) struct Wary<'a> {
    pub(super) application_id: ApplicationId,
    pub(super) service: &'a str,
    /// It wants none of them; else that depends on the slot.
    pub(super) of_all: bool,
}

/// What a service asks.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) application: &'a ApplicationRow,
    pub(super) name: &'a str,
    pub(super) spec: &'a ServiceSpec,
    pub(super) hash: &'a str,
    /// Digest of its image in this release.
    pub(super) pin: Option<String>,
    pub(super) strategy: Strategy,
    /// Volumes in the file whose data lives on one node.
    pub(super) local_volumes: BTreeSet<&'a str>,
    /// Countable resources that a container reserves.
    pub(super) countables: BTreeMap<&'a str, Amount>,
    /// Names on the engine of all its named volumes.
    pub(super) engine_volumes: BTreeSet<String>,
    pub(super) constraints: Vec<Rule<'a>>,
    pub(super) affinities: Vec<Rule<'a>>,
    /// Containers of it were there when the plan began.
    is_there: bool,
    per_site: OnceCell<PerSite>,
    /// What is remembered of its slots.
    pub(super) states: OnceCell<HashMap<u32, &'a SlotRow>>,
    /// The dependency that its first containers wait for.
    pub(super) unmet: OnceCell<Option<Cause>>,
    /// Hard rules about whom it does not want beside it.
    avoids: Rc<[Rule<'a>]>,
    /// Services that may not want it beside them.
    pub(super) wary: Vec<Wary<'a>>,
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
            pin: None,
            strategy: domains::strategy(&spec.placement, cluster.strategy),
            local_volumes: spec
                .container
                .named_volumes()
                .filter(|volume| is_node_local(volumes.get(*volume)))
                .collect(),
            countables: spec.container.countables(),
            engine_volumes: spec
                .container
                .named_volumes()
                .map(|volume| engine_volume_name(application.name.as_str(), volume, volumes.get(volume)))
                .collect(),
            affinities: spec.placement.affinities.iter().map(Rule::from).collect(),
            constraints,
            is_there: world.has_any(application.application_id, name),
            per_site: OnceCell::new(),
            states: OnceCell::new(),
            unmet: OnceCell::new(),
            wary: Vec::new(),
            avoids: world.avoids(application.application_id, name),
            first_of_its_kind: false,
        };
        for rule in &mut request.affinities {
            rule.meant = filters::meant(rule, application.application_id, &world.services);
        }
        request.wary = filters::wary(&request, world.wary());
        request.first_of_its_kind = filters::is_first_of_its_kind(&request, sites);
        request
    }

    /// How many of its containers a site has or will have.
    pub(super) fn count(&self, site: &Site<'_>) -> u32 {
        if !self.is_there && site.is_untouched() {
            return 0;
        }
        site.count(self.application.application_id, self.name)
    }

    /// What nodes say to the service; computed when it is first asked, which most services never are in a plan.
    pub(super) fn per_site(&self, world: &World<'a>) -> &PerSite {
        self.per_site.get_or_init(|| PerSite::new(self, &world.sites))
    }

    /// One more container of the service has come to a site, which has settled it already.
    pub(super) fn note(&mut self, site: usize) {
        for level in self
            .per_site
            .get_mut()
            .into_iter()
            .flat_map(|known| &mut known.levels)
        {
            level.add(site, 1);
        }
        self.first_of_its_kind = false;
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
    let labels = domains::labels(&spec.placement);
    labels.iter().map(|label| Level::new(label, sites)).collect()
}
