//! Every name and address of a lab, computed from its place: removal needs nothing else.

use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Names of one lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    slot: u8,
}

impl Names {
    pub fn new(slot: u8) -> Self {
        Self { slot }
    }

    /// The bridge that joins the nodes and the machine.
    pub fn bridge(self) -> String {
        format!("fab{}", self.slot)
    }

    /// The control group of all containers of the lab.
    pub fn cgroup(self) -> String {
        format!("berth-lab-{}", self.slot)
    }

    /// The control group of the containers of a node.
    pub fn node_cgroup(self, node: usize) -> String {
        format!("{}/n{node}", self.cgroup())
    }

    /// The network namespace of a node.
    pub fn namespace(self, node: usize) -> String {
        format!("fab{}n{node}", self.slot)
    }

    /// Where that namespace can be entered.
    pub fn namespace_path(self, node: usize) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace(node))
    }

    /// The machine's end of a node's cable.
    pub fn cable(self, node: usize) -> String {
        format!("fab{}v{node}", self.slot)
    }

    /// The address of a node; node 0 is none.
    pub fn address(self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.slot, u8::try_from(node).unwrap_or(u8::MAX))
    }

    /// The lab's network, with its size.
    pub fn network(self) -> String {
        format!("10.77.{}.0/24", self.slot)
    }

    /// The address of the machine on the bridge.
    pub fn host_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.slot, 254)
    }

    /// The address and size of the network that a node's engine gives to containers by default.
    pub fn engine_network(node: usize) -> String {
        format!("10.81.{node}.1/24")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_the_kernels_limit() {
        const LONGEST_INTERFACE: usize = 15;
        let names = Names::new(crate::slot::MOST_SLOTS);
        assert!(names.cable(crate::MOST_NODES).len() <= LONGEST_INTERFACE);
        assert!(names.bridge().len() <= LONGEST_INTERFACE);
        assert_eq!(names.address(3).to_string(), "10.77.99.3");
    }
}
