//! Chooses a node: filters first, then the highest score; ties go to fewer containers, then to the name.

use super::{
    domains::{self, Bound},
    filters,
    rejection::{Filter, Refused},
    request::{MAX_SPREAD_LABELS, PerSite, Request},
    site::Site,
    world::World,
};
use crate::{
    limits::FAILURE_MEMORY,
    view::{Home, SlotRow},
};
use berth_events::{
    PlacementReason,
    spec::{ReschedulePolicy, Strategy},
};
use berth_ids::Timestamp;
use std::collections::BTreeMap;

/// Thousandths that an image already on the node is worth beside the share of free room.
const IMAGE_BONUS: i64 = 150;
/// Parts of a score.
pub(super) const PARTS: usize = 7;

/// Parts compared one after the other; higher is better.
pub(super) type Score = [i64; PARTS];

/// A node for a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) site: usize,
    pub(super) why: PlacementReason,
}

/// What is asked for one slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) slot: u32,
    pub(super) state: Option<&'a SlotRow>,
    /// Only this site (global services).
    pub(super) only: Option<usize>,
    /// Not this site (the one it is to leave).
    pub(super) except: Option<usize>,
    pub(super) now: Timestamp,
}

/// The home that holds a slot, if one does.
pub(super) fn binding_home<'a>(
    world: &World<'_>,
    request: &Request<'_>,
    state: Option<&'a SlotRow>,
) -> Option<&'a Home> {
    let home = state?.home.as_ref()?;
    let used = request
        .local_volumes
        .iter()
        .any(|volume| home.volumes.contains(*volume));
    let left_behind =
        request.spec.reschedule == ReschedulePolicy::OnNodeFailure && world.is_lost(home.node_id);
    (used && !left_behind).then_some(home)
}

/// The best site, or each site with its reason.
pub(super) type Chosen = Result<Choice, Vec<(usize, Refused)>>;

/// Looks at every site.
pub(super) fn choose<'a>(world: &World<'a>, request: &Request<'a>, ask: &Ask<'_>) -> Chosen {
    let sites = request.per_site(world);
    let home = binding_home(world, request, ask.state);
    let bounds = domains::bounds(world, request, ask.slot);
    let mut best: Option<(Score, usize)> = None;
    let mut candidates = 0;
    let mut refused = [0_u32; Filter::ALL.len()];
    for (at, site) in world.sites.iter().enumerate().filter(|(at, _)| asked(ask, *at)) {
        let refusal = refusing_filter((site, at), sites, request, home, ask.slot);
        if let Some(filter) = refusal.or_else(|| out_of_bounds(&bounds, site)) {
            refused[filter as usize] += 1;
            continue;
        }
        candidates += 1;
        let score = score((site, at), sites, request, ask);
        let better = best.as_ref().is_none_or(|(found, other)| {
            let fewer = site.containers < world.sites[*other].containers;
            score > *found || (score == *found && fewer)
        });
        if better {
            best = Some((score, at));
        }
    }
    match best {
        Some((score, site)) => Ok(Choice {
            site,
            why: PlacementReason {
                cause: String::new(),
                candidates,
                refused: counted(&refused),
                score: named(&score, sites, request.strategy),
            },
        }),
        None => Err(reasons(world, request, ask, home, &bounds)),
    }
}

fn asked(ask: &Ask<'_>, at: usize) -> bool {
    ask.only.is_none_or(|only| only == at) && ask.except != Some(at)
}

fn out_of_bounds(bounds: &[Bound], site: &Site<'_>) -> Option<Filter> {
    let refused = bounds.iter().find_map(|bound| bound.admits(site.row).err())?;
    Some(refused.filter())
}

pub(super) fn refusing_filter(
    (site, at): (&Site<'_>, usize),
    sites: &PerSite,
    request: &Request<'_>,
    home: Option<&Home>,
    slot: u32,
) -> Option<Filter> {
    if let Some(home) = home
        && home.node_id != site.row.node_id
    {
        return Some(Filter::Volume);
    }
    if let Some(refused) = &sites.fixed[at] {
        return Some(refused.filter());
    }
    match filters::volume(site, request, home) {
        Ok(()) => filters::refusing(site, request, slot),
        Err(refused) => Some(refused.filter()),
    }
}

fn reasons<'a>(
    world: &World<'a>,
    request: &Request<'a>,
    ask: &Ask<'_>,
    home: Option<&Home>,
    bounds: &[Bound],
) -> Vec<(usize, Refused)> {
    let per_site = request.per_site(world);
    let sites = world.sites.iter().enumerate().filter(|(at, _)| asked(ask, *at));
    sites
        .filter_map(|(at, site)| {
            let elsewhere = home.is_some_and(|home| home.node_id != site.row.node_id);
            let fixed = per_site.fixed[at].clone().filter(|_| !elsewhere);
            let refused = fixed.or_else(|| {
                filters::volume(site, request, home)
                    .and_then(|()| filters::dynamic(site, request, ask.slot))
                    .and_then(|()| bounds.iter().try_for_each(|bound| bound.admits(site.row)))
                    .err()
            });
            refused.map(|refused| (at, refused))
        })
        .collect()
}

/// Where a score tells of the levels, the first one first.
pub(super) const fn level_places(strategy: Strategy) -> [usize; MAX_SPREAD_LABELS] {
    match strategy {
        Strategy::Spread => [2, 3, 4],
        Strategy::Binpack => [3, 4, 5],
    }
}

pub(super) fn score(
    (site, at): (&Site<'_>, usize),
    sites: &PerSite,
    request: &Request<'_>,
    ask: &Ask<'_>,
) -> Score {
    let failures = -recent_failures(site, ask);
    let preferred = sites.preferred[at] + filters::soft_affinities_held(site, request);
    let spread = |level: usize| {
        sites
            .levels
            .get(level)
            .map_or(0, |level| -i64::from(level.count(at)))
    };
    let own = request.count(site);
    let (zone, second, third, node) = (spread(0), spread(1), spread(2), -i64::from(own));
    let image = request.spec.container.image.as_str();
    let bonus = if site.has_image(image) { IMAGE_BONUS } else { 0 };
    match request.strategy {
        Strategy::Spread => {
            let room = 1000 - used_share(site, request) + bonus;
            [failures, preferred, zone, second, third, node, room]
        }
        Strategy::Binpack => {
            let room = used_share(site, request) + bonus;
            [failures, preferred, room, zone, second, third, node]
        }
    }
}

fn recent_failures(site: &Site<'_>, ask: &Ask<'_>) -> i64 {
    let failures = ask
        .state
        .map(|state| state.failures.as_slice())
        .unwrap_or_default();
    let recent = failures
        .iter()
        .filter(|failure| failure.node_id == site.row.node_id && ask.now.since(failure.at) < FAILURE_MEMORY);
    i64::try_from(recent.count()).unwrap_or(i64::MAX)
}

/// Thousandths of the node that would be reserved, the mean of processor time and memory.
fn used_share(site: &Site<'_>, request: &Request<'_>) -> i64 {
    let resources = request.spec.container.resources;
    let share = |used: u64, more: u64, total: u64| {
        let after = u128::from(used) + u128::from(more);
        let thousandths = (after * 1000)
            .checked_div(u128::from(total))
            .unwrap_or(0)
            .min(1000);
        i64::try_from(thousandths).unwrap_or(1000)
    };
    let facts = &site.row.facts;
    let cpu = share(site.cpu_used, resources.cpu_reserved_millis, facts.cpu_millis);
    let memory = share(
        site.memory_used,
        resources.memory_reserved_bytes,
        facts.memory_bytes,
    );
    i64::midpoint(cpu, memory)
}

pub(super) fn counted(refused: &[u32]) -> BTreeMap<String, u32> {
    Filter::ALL
        .iter()
        .zip(refused)
        .filter(|(_, count)| **count > 0)
        .map(|(filter, count)| (filter.as_str().to_owned(), *count))
        .collect()
}

pub(super) fn named(score: &Score, sites: &PerSite, strategy: Strategy) -> BTreeMap<String, i64> {
    let label = |level: usize| {
        sites
            .levels
            .get(level)
            .map(|level| format!("spread {}", level.label))
    };
    let spread = [label(0), label(1), label(2)];
    let text = |name: &str| vec![Some(name.to_owned())];
    let names: Vec<Option<String>> = match strategy {
        Strategy::Spread => [
            text("failures"),
            text("preference"),
            spread.to_vec(),
            text("spread node"),
            text("room"),
        ]
        .concat(),
        Strategy::Binpack => [
            text("failures"),
            text("preference"),
            text("packing"),
            spread.to_vec(),
            text("spread node"),
        ]
        .concat(),
    };
    names
        .into_iter()
        .zip(score)
        .filter_map(|(name, value)| name.map(|name| (name, *value)))
        .collect()
}
