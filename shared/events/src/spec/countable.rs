//! Countable resources of nodes: GPUs and whatever else somebody counts.

use super::ContainerSpec;
use std::collections::BTreeMap;

/// The kind that a device request with the capability `gpu` reserves.
pub const GPU: &str = "gpu";
/// What Docker's documentation calls a GPU among generic resources.
const NVIDIA_GPU: &str = "nvidia-gpu";

/// How many of a kind a container reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// All that the node has, and at least one.
    All,
}

impl Amount {
    /// How many that are on a node which has `total`.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::All => total.max(1),
        }
    }
}

/// A kind as it is counted: in small letters, and a GPU is a `gpu`, whoever made it.
pub fn resource_kind(text: &str) -> String {
    let kind = text.trim().to_ascii_lowercase();
    if kind == NVIDIA_GPU { GPU.to_owned() } else { kind }
}

impl ContainerSpec {
    /// What it reserves of countable resources. GPUs asked of the engine and GPUs reserved by name are the same:
    /// the larger number counts.
    pub fn countables(&self) -> BTreeMap<&str, Amount> {
        let reserved = self.generic_resources.iter();
        let mut all: BTreeMap<&str, Amount> = reserved
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| (kind.as_str(), Amount::Count(*count)))
            .collect();
        let gpus = match self.engine.gpus() {
            Some(0) => return all,
            Some(count) => Amount::Count(count),
            None => Amount::All,
        };
        let known = all.entry(GPU).or_insert(gpus);
        *known = (*known).max(gpus);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::DeviceRequest;

    fn container(reserved: u64, count: Option<i64>) -> ContainerSpec {
        let mut spec = ContainerSpec::default();
        if reserved > 0 {
            spec.generic_resources.insert(GPU.to_owned(), reserved);
        }
        spec.engine
            .device_requests
            .extend(count.map(|count| DeviceRequest {
                count: Some(count),
                capabilities: vec!["gpu".to_owned()],
                ..DeviceRequest::default()
            }));
        spec
    }

    #[test]
    fn gpus_are_counted_once_however_they_are_asked_for() {
        assert!(container(0, None).countables().is_empty());
        assert_eq!(container(2, None).countables()[GPU], Amount::Count(2));
        assert_eq!(container(0, Some(1)).countables()[GPU], Amount::Count(1));
        assert_eq!(container(2, Some(1)).countables()[GPU], Amount::Count(2));
        assert_eq!(container(2, Some(-1)).countables()[GPU], Amount::All);
        assert_eq!(resource_kind(" NVIDIA-GPU"), resource_kind("GPU"));
        assert_eq!((Amount::All.of(3), Amount::All.of(0)), (3, 1));
    }
}
