//! Cuts a plan into appends that the log takes, each valid right after the ones before it.
//!
//! Most plans are one append. Of a larger one each beginning is a plan too: what is given up comes first, then
//! nodes on which something is stopped, then nodes that only get containers, then what all of that comes to. Whoever
//! stops in the middle, or finds that another was faster, plans again.

use super::{Plan, plan::Settle, removal::settle_bytes};
use crate::limits::{MAX_PART_BYTES, MAX_PART_EVENTS};
use berth_events::{Category, Event, PlacementDecided, PlacementEvent, StreamName};
use berth_eventsourcing::{Change, Decision, Expected, Guard};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How large an append may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimit {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Default for PartLimit {
    fn default() -> Self {
        Self {
            events: MAX_PART_EVENTS,
            bytes: MAX_PART_BYTES,
        }
    }
}

/// Which units come first if they are several appends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    GivenUp,
    Stops,
    Places,
    Comes,
}

/// Events that are recorded together or not at all.
struct Unit {
    rank: Rank,
    events: Vec<(StreamName, Expected, Event)>,
    bytes: usize,
    /// The node that gets a container by it.
    chosen: Option<StreamName>,
}

impl Plan {
    /// What to append, one after the other, each all or nothing. None if the plan is empty.
    pub fn into_decisions(self) -> Vec<Decision> {
        self.into_parts(PartLimit::default())
    }

    pub(crate) fn into_parts(mut self, limit: PartLimit) -> Vec<Decision> {
        let guards = std::mem::take(&mut self.guards);
        let mut units = self.into_units();
        let events: usize = units.iter().map(|unit| unit.events.len()).sum();
        let bytes: usize = units.iter().map(|unit| unit.bytes).sum();
        if events > limit.events || bytes > limit.bytes {
            units.sort_by_key(|unit| unit.rank);
        }
        let chosen: HashSet<&StreamName> = units.iter().filter_map(|unit| unit.chosen.as_ref()).collect();
        let (own, common) = guards
            .into_iter()
            .partition(|guard| chosen.contains(&guard.stream));
        let mut cutter = Cutter::new(limit, own, common);
        for unit in units {
            cutter.add(unit);
        }
        cutter.finish()
    }

    fn into_units(self) -> Vec<Unit> {
        let placement = StreamName::new(Category::Placement, self.cluster_id);
        let expected = Expected::Version(self.decisions_version);
        let lost = |settle: &Settle| matches!(settle, Settle::Lost { .. });
        let settled = |which: bool| {
            let settle = self.settle.iter().filter(move |settle| lost(settle) == which);
            settle
                .flat_map(|settle| self.units_of(settle))
                .collect::<Vec<_>>()
        };
        // What is given up comes first: at every event a slot has at most one live allocation.
        let (mut units, last) = (settled(true), settled(false));
        let changes = self.changes.into_iter().zip(self.sizes);
        let decided = |(change, bytes): (PlacementDecided, usize)| Unit {
            rank: if change.stop.is_empty() {
                Rank::Places
            } else {
                Rank::Stops
            },
            chosen: (!change.place.is_empty()).then(|| StreamName::new(Category::Node, change.node_id)),
            events: vec![(
                placement.clone(),
                expected,
                PlacementEvent::Decided(change).into(),
            )],
            bytes,
        };
        units.extend(changes.map(decided));
        let blocked = self.blocked.into_iter().map(|blocked| Unit {
            rank: Rank::Comes,
            bytes: serde_json::to_vec(&blocked).map_or(0, |text| text.len()),
            events: vec![(
                placement.clone(),
                expected,
                PlacementEvent::Blocked(blocked).into(),
            )],
            chosen: None,
        });
        units.extend(blocked);
        units.extend(last);
        units
    }

    /// Each container that is given up for itself; anything else as a whole.
    fn units_of(&self, settle: &Settle) -> Vec<Unit> {
        let events = self.settle_events(settle);
        if events.is_empty() {
            return Vec::new();
        }
        let bytes = settle_bytes(settle);
        let unit = |rank, events| Unit {
            rank,
            events,
            bytes,
            chosen: None,
        };
        match settle {
            Settle::Lost { .. } => events
                .into_iter()
                .map(|event| unit(Rank::GivenUp, vec![event]))
                .collect(),
            _ => vec![unit(Rank::Comes, events)],
        }
    }
}

/// Fills one append after the other.
struct Cutter {
    limit: PartLimit,
    /// What is known of nodes that get containers, by node.
    own: HashMap<StreamName, Guard>,
    /// What the whole plan rests on.
    common: Vec<Guard>,
    /// How many events each stream has had.
    appended: BTreeMap<StreamName, u64>,
    parts: Vec<Decision>,
    /// Where each stream stands in the append at hand.
    places: HashMap<StreamName, usize>,
    changes: Vec<Change>,
    guards: Vec<Guard>,
    events: usize,
    bytes: usize,
}

impl Cutter {
    fn new(limit: PartLimit, own: Vec<Guard>, common: Vec<Guard>) -> Self {
        Self {
            limit,
            own: own
                .into_iter()
                .map(|guard| (guard.stream.clone(), guard))
                .collect(),
            common,
            appended: BTreeMap::new(),
            parts: Vec::new(),
            places: HashMap::new(),
            changes: Vec::new(),
            guards: Vec::new(),
            events: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, unit: Unit) {
        let over =
            self.events + unit.events.len() > self.limit.events || self.bytes + unit.bytes > self.limit.bytes;
        if over && self.events > 0 {
            self.cut();
        }
        self.events += unit.events.len();
        self.bytes += unit.bytes;
        self.guards
            .extend(unit.chosen.and_then(|node| self.own.remove(&node)));
        for (stream, expected, event) in unit.events {
            let before = self.appended.entry(stream.clone()).or_default();
            let at = *self.places.entry(stream).or_insert_with_key(|stream| {
                self.changes.push(Change {
                    stream: stream.clone(),
                    expected: after(expected, *before),
                    events: Vec::new(),
                });
                self.changes.len() - 1
            });
            *before += 1;
            self.changes[at].events.push(event);
        }
    }

    fn cut(&mut self) {
        // What is appended to has an expected version, now and from now on.
        let appended = &self.appended;
        self.common.retain(|guard| !appended.contains_key(&guard.stream));
        self.guards.extend(self.common.iter().cloned());
        self.places.clear();
        (self.events, self.bytes) = (0, 0);
        self.parts.push(Decision {
            changes: std::mem::take(&mut self.changes),
            guards: std::mem::take(&mut self.guards),
            result: serde_json::Value::Null,
        });
    }

    fn finish(mut self) -> Vec<Decision> {
        if self.events > 0 {
            self.cut();
        }
        self.parts
    }
}

/// The version that a stream has after some events more.
fn after(expected: Expected, events: u64) -> Expected {
    match expected {
        Expected::Version(version) => Expected::Version(version + events),
        Expected::Any => Expected::Any,
    }
}
