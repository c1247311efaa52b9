//! The nodes that may take a container of one service, kept in order while a plan fills its slots.
//!
//! A placement changes what one node answers, and how full that node's domains are. Nodes of the same domains are
//! kept in one heap, ordered by the rest of their score; so the next slot looks at one node a heap, not at all.
//! The choice is the same as that of [`super::choose::choose`], which tests compare each time.

use super::{
    choose::{Ask, Choice, PARTS, Score, counted, level_places, named, refusing_filter, score},
    domains, filters,
    rejection::Filter,
    request::{MAX_SPREAD_LABELS, PerSite, Request},
    world::World,
};
use berth_events::{PlacementReason, spec::Strategy};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// A node with the part of its score that is its own; then fewer containers and the name decide.
type Entry = ([i64; PARTS], Reverse<usize>, Reverse<usize>);

/// Nodes of the same domains.
#[derive(Debug, Default)]
struct Group {
    heap: BinaryHeap<Entry>,
}

/// Candidates of a service.
#[derive(Debug)]
pub(super) struct Candidates {
    groups: Vec<Group>,
    group_of: Vec<usize>,
    count: u32,
    refused: [u32; Filter::ALL.len()],
    /// The service wanted to be near to itself and nobody of the kind was there.
    first_of_its_kind: bool,
}

/// Whether the answer of a node is the same for each slot of the service.
pub(super) fn are_alike(world: &World<'_>, request: &Request<'_>, ask: &Ask<'_>) -> bool {
    let by_name = |subject: &str| subject == filters::CONTAINER;
    let free = |slot: &crate::view::SlotRow| slot.home.is_none() && slot.failures.is_empty();
    ask.only.is_none()
        && ask.except.is_none()
        && ask.state.is_none_or(free)
        && !request.affinities.iter().any(|rule| by_name(rule.subject))
        && !world.has_avoided(by_name)
        && !domains::is_promised(&request.spec.placement)
}

impl Candidates {
    pub(super) fn new<'a>(world: &World<'a>, request: &Request<'a>, ask: &Ask<'_>) -> Self {
        let sites = request.per_site(world);
        let mut candidates = Self {
            groups: Vec::new(),
            group_of: Vec::with_capacity(world.sites.len()),
            count: 0,
            refused: [0; Filter::ALL.len()],
            first_of_its_kind: request.first_of_its_kind,
        };
        let mut known: HashMap<[usize; MAX_SPREAD_LABELS], usize> = HashMap::new();
        for at in 0..world.sites.len() {
            let next = known.len();
            let group = *known.entry(sites.domains(at)).or_insert(next);
            if group == candidates.groups.len() {
                candidates.groups.push(Group::default());
            }
            candidates.group_of.push(group);
            candidates.enter(world, request, ask, at);
        }
        candidates
    }

    fn enter<'a>(&mut self, world: &World<'a>, request: &Request<'a>, ask: &Ask<'_>, at: usize) {
        let (site, sites) = ((&world.sites[at], at), request.per_site(world));
        if let Some(filter) = refusing_filter(site, sites, request, None, ask.slot) {
            self.refused[filter as usize] += 1;
            return;
        }
        self.count += 1;
        let mut own = score(site, sites, request, ask);
        for place in level_places(request.strategy) {
            own[place] = 0;
        }
        let entry = (own, Reverse(site.0.containers), Reverse(at));
        self.groups[self.group_of[at]].heap.push(entry);
    }

    /// Whether they are still to be believed.
    pub(super) fn hold(&self, request: &Request<'_>) -> bool {
        self.first_of_its_kind == request.first_of_its_kind
    }

    /// The best node, if any passes.
    pub(super) fn best<'a>(&self, world: &World<'a>, request: &Request<'a>) -> Option<Choice> {
        let sites = request.per_site(world);
        let tops = self.groups.iter().filter_map(|group| group.heap.peek());
        let (score, _, Reverse(site)) = tops
            .map(|(own, residents, at)| (with_levels(own, sites, request.strategy, at.0), *residents, *at))
            .max()?;
        Some(Choice {
            site,
            why: PlacementReason {
                cause: String::new(),
                candidates: self.count,
                refused: counted(&self.refused),
                score: named(&score, sites, request.strategy),
            },
        })
    }

    /// A container has come to the node that was the best.
    pub(super) fn placed<'a>(&mut self, world: &World<'a>, request: &Request<'a>, ask: &Ask<'_>, at: usize) {
        let heap = &mut self.groups[self.group_of[at]].heap;
        match heap.peek() {
            Some((_, _, Reverse(top))) if *top == at => {
                heap.pop();
                self.count -= 1;
                self.enter(world, request, ask, at);
            }
            // It was chosen otherwise: all are asked anew.
            _ => *self = Self::new(world, request, ask),
        }
    }
}

fn with_levels(own: &Score, sites: &PerSite, strategy: Strategy, at: usize) -> Score {
    let mut score = *own;
    for (level, place) in sites.levels.iter().zip(level_places(strategy)) {
        score[place] = -i64::from(level.count(at));
    }
    score
}
