//! Reports of slots without a container: how many nodes each filter refused, and what would help.

use super::{
    Planner,
    rejection::{Filter, Refused, bytes, cores, plain, plural},
    request::Request,
};
use crate::{
    limits::{MAX_EXAMPLES, MAX_FAILURES},
    view::BlockedRow,
};
use berth_events::{BlockReport, PlacementBlocked, Refusal, spec::DependencyCondition};
use berth_ids::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// How a report counts slots that wait for their next attempt.
pub(super) const BACKOFF: &str = "backoff";

/// A slot without a (reachable) container.
#[derive(Debug)]
pub(super) struct BlockedSlot {
    pub(super) slot: u32,
    pub(super) cause: Cause,
}

/// Why it has none.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// Every node was refused.
    Refused(Rc<Vec<(usize, Refused)>>),
    /// Its data is on a node that was refused.
    Home {
        /// The node.
        node: String,
        /// All refusals.
        refused: Rc<Vec<(usize, Refused)>>,
    },
    /// Its container is on a lost node, and its data too.
    VolumeUnreachable {
        /// The node.
        node: String,
    },
    /// Its container is on a lost node, where `reschedule:off` keeps it.
    KeptOnLost {
        /// The node.
        node: String,
    },
    /// A service that starts before it is not ready.
    Dependency {
        /// The service.
        service: String,
        /// What is waited for.
        condition: DependencyCondition,
    },
    /// Its containers have failed; it waits before the next attempt.
    Backoff {
        /// How many in a row, as far as they are remembered.
        failures: usize,
        /// How the last one failed.
        last: String,
        /// When the next attempt may begin.
        next_at: Timestamp,
    },
    /// It runs what it should not any more, and too many others have no place for it to be stopped.
    Promise {
        /// So many others wait for a place.
        waiting: u32,
        /// So many must stay ready.
        least: u32,
    },
    /// Containers of less importance are pushed out for it.
    Room {
        /// From this node.
        node: String,
    },
    /// It was restarted as often as the file allows.
    GivenUp {
        /// How often.
        attempts: u32,
        /// How it ended last.
        last: String,
    },
}

impl<'a> Planner<'a, '_> {
    /// Records the report of a service if it is another than before.
    pub(super) fn report_blocked(&mut self, request: &Request<'a>, blocked: Vec<BlockedSlot>) {
        let application = request.application;
        let known = self.view.blocked(application.application_id, request.name);
        let slots: BTreeSet<u32> = blocked.iter().map(|slot| slot.slot).collect();
        let report = if blocked.is_empty() {
            BlockReport::default()
        } else {
            self.report(request, &blocked)
        };
        let news = match known {
            None => !slots.is_empty(),
            Some(known) => differs(known, &slots, &report),
        };
        if news {
            self.concerned.insert(application.application_id);
            self.blocked.push(PlacementBlocked {
                cluster_id: self.cluster.cluster_id,
                application_id: application.application_id,
                service: request.name.to_owned(),
                slots,
                report,
            });
        }
    }

    fn report(&self, request: &Request<'a>, blocked: &[BlockedSlot]) -> BlockReport {
        let mut refusals: BTreeMap<&'static str, BTreeMap<String, String>> = BTreeMap::new();
        for slot in blocked {
            self.collect(&mut refusals, &slot.cause);
        }
        let refusals = refusals
            .into_iter()
            .map(|(filter, nodes)| Refusal {
                filter: filter.to_owned(),
                nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
                examples: nodes.into_iter().take(MAX_EXAMPLES).collect(),
            })
            .collect();
        // What passes by itself, or follows from another, is told if there is nothing else to tell.
        let passes =
            |slot: &&BlockedSlot| matches!(slot.cause, Cause::Backoff { .. } | Cause::Promise { .. });
        let told = blocked.iter().find(|slot| !passes(slot)).or(blocked.first());
        let (mut summary, cure) = told
            .map(|slot| self.words(request, &slot.cause))
            .unwrap_or_default();
        let state = |slot: &BlockedSlot| self.state_of(request, slot.slot);
        let pushed_out = blocked
            .iter()
            .filter_map(state)
            .find_map(|state| state.pushed_out_by.as_ref());
        if let Some(by) = pushed_out {
            summary = format!(
                "pushed out by {}_{}_{} (priority {}); {summary}",
                by.application, by.service, by.slot, by.priority
            );
        }
        BlockReport {
            summary,
            nodes: u32::try_from(self.world.sites.len()).unwrap_or(u32::MAX),
            refusals,
            cure: Some(cure),
        }
    }

    fn collect(&self, refusals: &mut BTreeMap<&'static str, BTreeMap<String, String>>, cause: &Cause) {
        let mut note = |filter: &'static str, node: String, text: String| {
            refusals.entry(filter).or_default().insert(node, text);
        };
        match cause {
            Cause::Refused(refused) | Cause::Home { refused, .. } => {
                for (at, refused) in refused.iter() {
                    let name = self.world.sites[*at].row.name.to_string();
                    note(refused.filter().as_str(), name, refused.text());
                }
            }
            Cause::VolumeUnreachable { node } => {
                let text = "holds the volume's data and does not answer".to_owned();
                note(Filter::Volume.as_str(), node.clone(), text);
            }
            Cause::KeptOnLost { node } => {
                let text = "does not answer; `reschedule:off` keeps the container there".to_owned();
                note(Filter::State.as_str(), node.clone(), text);
            }
            Cause::Dependency { .. } => {
                refusals.entry("depends_on").or_default();
            }
            Cause::Backoff { .. } => {
                refusals.entry(BACKOFF).or_default();
            }
            Cause::Promise { .. } => {
                refusals.entry("release").or_default();
            }
            Cause::Room { .. } => {
                refusals.entry("priority").or_default();
            }
            Cause::GivenUp { .. } => {
                refusals.entry("restart").or_default();
            }
        }
    }

    /// One line, and what would help.
    fn words(&self, request: &Request<'_>, cause: &Cause) -> (String, String) {
        match cause {
            Cause::Refused(refused) => self.words_of_refusals(refused),
            Cause::Home { node, refused } => {
                let own = refused
                    .iter()
                    .find(|(at, _)| self.world.sites[*at].row.name.as_str() == node)
                    .map(|(_, refused)| refused);
                let summary = match own {
                    Some(refused) => format!("pending: volume on node {node}, which {}", refused.text()),
                    None => format!("pending: volume on node {node}, which is gone"),
                };
                let choices = Refused::VolumeElsewhere { home: node.clone() }.cure(node);
                let cure = match own {
                    None | Some(Refused::Lost) => choices,
                    Some(refused) => format!("{}; or {choices}", refused.cure(node)),
                };
                (summary, cure)
            }
            Cause::VolumeUnreachable { node } => (
                format!("pending: volume on node {node}, which does not answer"),
                Refused::VolumeElsewhere { home: node.clone() }.cure(node),
            ),
            Cause::KeptOnLost { node } => (
                format!(
                    "pending: node {node} does not answer and `reschedule:off` keeps the container there"
                ),
                format!("bring node {node} back, remove it, or take `reschedule:off` out of the file"),
            ),
            Cause::Dependency { service, condition } => {
                let (state, cure) = match condition {
                    DependencyCondition::ServiceStarted => ("run", "look why it does not start"),
                    DependencyCondition::ServiceHealthy => ("be healthy", "look at its health check"),
                    DependencyCondition::ServiceCompletedSuccessfully => {
                        ("complete with code 0", "look at its output")
                    }
                };
                let application = &request.application.name;
                (
                    format!("waiting for service {service} to {state}"),
                    format!("{cure}: `berth why {application}/{service}`"),
                )
            }
            Cause::Backoff {
                failures,
                last,
                next_at,
            } => {
                let attempts = match *failures {
                    1 => "a failed attempt".to_owned(),
                    MAX_FAILURES.. => format!("{failures} or more failed attempts"),
                    _ => format!("{failures} failed attempts"),
                };
                let (application, service) = (&request.application.name, request.name);
                (
                    format!("waiting after {attempts}: next attempt at {next_at}; the last one: {last}"),
                    format!(
                        "look at its output, correct it and deploy again; `berth restart {application} {service}` does not wait"
                    ),
                )
            }
            Cause::Promise { waiting, least } => (
                format!(
                    "the release waits: {waiting} containers have no place, and {least} must stay ready meanwhile"
                ),
                "make room for them, ask for fewer, or deploy with `--method standard`".to_owned(),
            ),
            Cause::Room { node } => (
                format!("waiting for room on node {node}, where less important containers are pushed out"),
                "it starts when they have ended".to_owned(),
            ),
            Cause::GivenUp { attempts, last } => (
                format!("given up after {attempts} restarts: {last}"),
                format!(
                    "correct it and deploy again, or `berth restart {} {}`",
                    request.application.name, request.name
                ),
            ),
        }
    }

    fn words_of_refusals(&self, refused: &[(usize, Refused)]) -> (String, String) {
        // The node that came furthest through the filters is the one that needs least.
        let closest = refused.iter().min_by_key(|(at, refused)| {
            let depth = std::cmp::Reverse(refused.filter());
            (depth, refused.distance(), &self.world.sites[*at].row.name)
        });
        let Some((at, closest)) = closest else {
            return (
                "pending: the cluster has no node".to_owned(),
                "add a node: `berth agent join` on a server".to_owned(),
            );
        };
        let name = self.world.sites[*at].row.name.as_str();
        let filters: BTreeSet<Filter> = refused.iter().map(|(_, refused)| refused.filter()).collect();
        let summary = if filters.len() == 1 {
            one_filter(closest)
        } else {
            let counts: Vec<String> = filters
                .iter()
                .map(|filter| {
                    let count = refused.iter().filter(|(_, r)| r.filter() == *filter).count();
                    format!("{} {count}", filter.as_str())
                })
                .collect();
            format!(
                "pending: none of {} nodes will do: {}",
                refused.len(),
                counts.join(", ")
            )
        };
        (summary, closest.cure(name))
    }
}

/// The examples may differ: they tell amounts that change with every container elsewhere.
fn differs(known: &BlockedRow, slots: &BTreeSet<u32>, report: &BlockReport) -> bool {
    let counts = |report: &BlockReport| -> Vec<(String, u32)> {
        let refusals = report.refusals.iter();
        refusals
            .map(|refusal| (refusal.filter.clone(), refusal.nodes))
            .collect()
    };
    known.slots != *slots
        || known.report.summary != report.summary
        || known.report.cure != report.cure
        || known.report.nodes != report.nodes
        || counts(&known.report) != counts(report)
}

fn one_filter(refused: &Refused) -> String {
    match refused {
        Refused::Memory { need, .. } => format!("pending: no node has {} of memory free", bytes(*need)),
        Refused::Cpu { need, .. } => format!("pending: no node has {} free", cores(*need)),
        Refused::Port { port, .. } => format!("pending: port {port} is taken on every node"),
        Refused::Constraint { rule, .. } => format!("pending: no node has {rule}"),
        Refused::Domains { label, need, found } => format!(
            "pending: the service is promised {need} {}, and {} have a node for it",
            plural(label),
            found.len()
        ),
        Refused::NoDomain { label } => format!("pending: no node has a label {}", plain(label)),
        Refused::DomainTaken { label, need, .. } => format!(
            "pending: the service is promised {need} {}, and only those that have a container have room",
            plural(label)
        ),
        Refused::Countable { kind, need, .. } => format!("pending: no node has {need} {kind} free"),
        Refused::Platform { wanted, .. } => format!("pending: no node is of platform {wanted}"),
        Refused::PerNode { limit } => {
            format!("pending: every node has {limit} containers of the service already")
        }
        Refused::Affinity { rule, .. } => format!("pending: no node fulfils {rule}"),
        Refused::Lost | Refused::Cordoned | Refused::Draining => {
            "pending: no node takes containers now".to_owned()
        }
        Refused::VolumeElsewhere { home } => format!("pending: volume on node {home}"),
        Refused::VolumeGoing { volume } => format!("pending: volume {volume} is still being removed"),
    }
}
