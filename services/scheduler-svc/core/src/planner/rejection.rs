//! Why a node was refused, and what would help.

use berth_events::spec::ZONE_LABEL;
use std::{collections::BTreeSet, fmt::Write};

/// Filters in the order in which they are asked; the order is part of the behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// The slot's data is on another node.
    Volume,
    /// Lost, cordoned, draining.
    State,
    /// Operating system and architecture.
    Platform,
    /// Rules on labels and facts of nodes.
    Constraint,
    /// Fewer zones, racks … than the service is promised, or one that has a container already.
    Domains,
    /// Too many of the service on the node.
    PerNode,
    /// Host ports.
    Port,
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Resources that are counted: GPUs and others.
    Countable,
    /// Rules on neighbours.
    Affinity,
}

impl Filter {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::Volume,
        Self::State,
        Self::Platform,
        Self::Constraint,
        Self::Domains,
        Self::PerNode,
        Self::Port,
        Self::Cpu,
        Self::Memory,
        Self::Countable,
        Self::Affinity,
    ];

    /// Word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::State => "state",
            Self::Platform => "platform",
            Self::Constraint => "constraint",
            Self::Domains => "domains",
            Self::PerNode => "max_replicas_per_node",
            Self::Port => "port",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Countable => "resource",
            Self::Affinity => "affinity",
        }
    }
}

/// Why a node was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The slot's data is on another node.
    VolumeElsewhere {
        /// Its name.
        home: String,
    },
    /// A volume of that name is to be removed here first.
    VolumeGoing {
        /// Its name on the engine.
        volume: String,
    },
    /// Its heartbeat is silent.
    Lost,
    /// Nothing new is placed on it.
    Cordoned,
    /// Containers are moved away from it.
    Draining,
    /// Another operating system or architecture.
    Platform {
        /// Wanted.
        wanted: String,
        /// Found.
        found: String,
    },
    /// A rule on labels and facts does not hold.
    Constraint {
        /// The rule.
        rule: String,
        /// What would make it hold, if a label would.
        label: Option<String>,
        /// What the node has.
        found: Option<String>,
    },
    /// The service is promised more values of a label than have a node for it.
    Domains {
        /// The label.
        label: String,
        /// Promised.
        need: u32,
        /// Values with a node that would do otherwise.
        found: BTreeSet<String>,
    },
    /// The node has no value of a label over whose values the service is promised to be spread.
    NoDomain {
        /// The label.
        label: String,
    },
    /// The value has a container of the service, and this one is needed where there is none.
    DomainTaken {
        /// The label.
        label: String,
        /// Its value here.
        value: String,
        /// Promised.
        need: u32,
    },
    /// Enough of the service are there.
    PerNode {
        /// The limit.
        limit: u32,
    },
    /// A host port is taken.
    Port {
        /// Port and protocol.
        port: String,
        /// Who has it.
        holder: String,
    },
    /// Too little processor time is free.
    Cpu {
        /// Needed, in thousandths of a core.
        need: u64,
        /// Free.
        free: u64,
        /// What the node has in all.
        total: u64,
    },
    /// Too little memory is free.
    Memory {
        /// Needed, in bytes.
        need: u64,
        /// Free.
        free: u64,
        /// What the node has in all.
        total: u64,
    },
    /// Too few of a countable resource are free.
    Countable {
        /// Its kind.
        kind: String,
        /// Needed.
        need: u64,
        /// Free.
        free: u64,
        /// What the node has in all.
        total: u64,
    },
    /// A rule on neighbours does not hold.
    Affinity {
        /// The rule.
        rule: String,
        /// Who stands in the way, if somebody does.
        neighbour: Option<String>,
    },
}

impl Refused {
    /// The filter that refuses.
    pub const fn filter(&self) -> Filter {
        match self {
            Self::VolumeElsewhere { .. } | Self::VolumeGoing { .. } => Filter::Volume,
            Self::Lost | Self::Cordoned | Self::Draining => Filter::State,
            Self::Platform { .. } => Filter::Platform,
            Self::Constraint { .. } => Filter::Constraint,
            Self::Domains { .. } | Self::NoDomain { .. } | Self::DomainTaken { .. } => Filter::Domains,
            Self::Countable { .. } => Filter::Countable,
            Self::PerNode { .. } => Filter::PerNode,
            Self::Port { .. } => Filter::Port,
            Self::Cpu { .. } => Filter::Cpu,
            Self::Memory { .. } => Filter::Memory,
            Self::Affinity { .. } => Filter::Affinity,
        }
    }

    /// What the node lacks, in words.
    pub fn text(&self) -> String {
        match self {
            Self::VolumeElsewhere { home } => format!("the volume's data is on node {home}"),
            Self::VolumeGoing { volume } => format!("volume {volume} is still being removed here"),
            Self::Lost => "does not answer".to_owned(),
            Self::Cordoned => "is cordoned".to_owned(),
            Self::Draining => "is being drained".to_owned(),
            Self::Platform { wanted, found } => format!("needs {wanted}, is {found}"),
            Self::Constraint { rule, found, .. } => match found {
                Some(found) => format!("needs {rule}, has {found}"),
                None => format!("needs {rule}, has no such label"),
            },
            Self::Domains { label, need, found } => {
                let found_text = if found.is_empty() {
                    "none".to_owned()
                } else {
                    format!("{}: {}", found.len(), shown(found))
                };
                format!("needs {need} {}, there are {found_text}", plural(label))
            }
            Self::NoDomain { label } => format!("has no label {}", plain(label)),
            Self::DomainTaken { label, value, need } => format!(
                "{} {value} has a container of the service, and {need} {} are promised",
                plain(label),
                plural(label)
            ),
            Self::Countable {
                kind,
                need,
                free,
                total,
                ..
            } => format!("needs {need} {kind}, {free} of {total} free"),
            Self::PerNode { limit } => format!("has {limit} containers of the service, the most allowed"),
            Self::Port { port, holder } => format!("port {port} is taken by {holder}"),
            Self::Cpu { need, free, .. } => format!("needs {}, {} free", cores(*need), cores(*free)),
            Self::Memory { need, free, .. } => format!("needs {}, {} free", bytes(*need), bytes(*free)),
            Self::Affinity { rule, neighbour } => match neighbour {
                Some(neighbour) => format!("needs {rule}, has {neighbour}"),
                None => format!("needs {rule}, has no such container"),
            },
        }
    }

    /// The smallest change that would let this node pass, in words.
    pub fn cure(&self, node: &str) -> String {
        match self {
            Self::VolumeElsewhere { home } => format!(
                "bring node {home} back, or give its data up with `berth app abandon-volume`, or set \
                 `reschedule:on-node-failure` in the file"
            ),
            Self::VolumeGoing { volume } => {
                format!("wait until volume {volume} is gone from {node}, or name the volume otherwise")
            }
            Self::Lost => format!("bring node {node} back, or add a node"),
            Self::Cordoned => format!("let node {node} take containers: `berth node uncordon {node}`"),
            Self::Draining => format!("add a node, or end the drain: `berth node uncordon {node}`"),
            Self::Platform { wanted, .. } => format!("add a node of platform {wanted}"),
            Self::Constraint {
                label: Some(label), ..
            } => {
                format!("label a node with {label}: `berth node label {node} {label}`")
            }
            Self::Constraint { rule, .. } => {
                format!("add a node with {rule}, or take the rule out of the file")
            }
            Self::Domains { label, need, .. } if label == ZONE_LABEL => format!(
                "add a node in another zone, or write `availability:az==~{need}` to have as many as there are"
            ),
            Self::Domains { label, need, .. } => format!(
                "give a node another value with `berth node label NODE {}=VALUE`, or write \
                 `availability:{label}==~{need}` to have as many as there are",
                plain(label)
            ),
            Self::NoDomain { label } => {
                let label = plain(label);
                format!("say which {label} it is: `berth node label {node} {label}=VALUE`")
            }
            Self::DomainTaken { label, need, .. } => format!(
                "make room on a node of another {}, or write `availability:{}==~{need}`",
                plain(label),
                if label == ZONE_LABEL { "az" } else { label }
            ),
            Self::Countable {
                kind, need, total, ..
            } if need <= total => {
                format!("free {kind} on {node}, or add a node with {need} {kind}")
            }
            Self::Countable { kind, need, .. } => format!(
                "add a node with {need} {kind}, or say what {node} has: `berth node resource {node} {kind}={need}`"
            ),
            Self::PerNode { limit } => format!("add a node, or allow more than {limit} on each"),
            Self::Port { port, holder } => {
                format!("publish another port than {port}, stop {holder}, or add a node")
            }
            Self::Cpu { need, free, total } if need <= total => format!(
                "free {} on {node}, or add a node with {}",
                cores(need - free),
                cores(*need)
            ),
            Self::Cpu { need, .. } => format!("add a node with {}, or reserve less", cores(*need)),
            Self::Memory { need, free, total } if need <= total => format!(
                "free {} of memory on {node}, or add a node with {}",
                bytes(need - free),
                bytes(*need)
            ),
            Self::Memory { need, .. } => {
                format!("add a node with {} of memory, or reserve less", bytes(*need))
            }
            Self::Affinity { rule, .. } => {
                format!("take the rule {rule} out of the file, or make it soft with `~`")
            }
        }
    }

    /// How far the node is from passing: what a cure chooses by among nodes refused by one filter.
    pub(super) const fn distance(&self) -> u64 {
        match self {
            // Nothing that is freed would help.
            Self::Countable { need, total, .. } if *total < *need => u64::MAX,
            Self::Cpu { need, free, .. }
            | Self::Memory { need, free, .. }
            | Self::Countable { need, free, .. } => need.saturating_sub(*free),
            Self::Cordoned => 0,
            Self::Draining => 1,
            Self::Lost => 2,
            _ => 0,
        }
    }
}

/// A label as people set it.
pub(super) fn plain(label: &str) -> &str {
    label.strip_prefix("node.labels.").unwrap_or(label)
}

/// Several domains of a label.
pub(super) fn plural(label: &str) -> String {
    if label == ZONE_LABEL {
        "zones".to_owned()
    } else {
        format!("values of {}", plain(label))
    }
}

fn shown(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    names.join(", ")
}

/// Bytes for people.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in UNITS {
        if value >= *size {
            return decimal(value, *size, unit);
        }
    }
    format!("{value} B")
}

/// Thousandths of a core for people.
pub(crate) fn cores(millis: u64) -> String {
    decimal(millis, 1000, if millis == 1000 { "CPU" } else { "CPUs" })
}

fn decimal(value: u64, size: u64, unit: &str) -> String {
    let tenths = (u128::from(value) * 10 / u128::from(size)) as u64;
    let mut text = (tenths / 10).to_string();
    if !tenths.is_multiple_of(10) {
        // Writing into a text cannot fail.
        let _ = write!(text, ".{}", tenths % 10);
    }
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(bytes(4 << 30), "4 GiB");
        assert_eq!(bytes(1_288_490_189), "1.2 GiB");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(cores(1500), "1.5 CPUs");
        assert_eq!(cores(1000), "1 CPU");
    }
}
