//! Docker Engines in network namespaces: several real nodes on one machine.
//!
//! Every node has an engine, an address, firewall rules and containers of its own, joined by one bridge. Names
//! follow from a numbered place on the machine, so that labs of several runs stand side by side and the removal
//! needs no memory. Needs root, `dockerd`, `docker`, `ip`, `iptables` and a static busybox.

mod clean;
mod error;
pub mod image;
mod names;
mod network;
mod node;
pub mod registry;
mod slot;
mod system;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

pub use error::Error;
pub use node::Node;
pub use registry::Registry;

use names::Names;
use slot::Slot;

/// The most nodes of a lab.
pub const MOST_NODES: usize = 50;

/// How a lab is made.
#[derive(Debug, Clone, Default)]
pub struct LabOptions {
    /// How many nodes.
    pub nodes: usize,
    /// The folder of its data; `/tmp/berth-lab-<place>` if not given. It is removed with the lab.
    pub root: Option<PathBuf>,
}

/// Several nodes with running engines. Dropping it removes everything, also while a panic unwinds.
#[derive(Debug)]
pub struct Lab {
    names: Names,
    slot: Slot,
    nodes: Vec<Node>,
    /// Whether dropping leaves it alone.
    released: bool,
}

impl Lab {
    /// Makes a lab of `nodes` nodes.
    pub fn start(nodes: usize) -> Result<Self, Error> {
        Self::start_with(&LabOptions { nodes, root: None })
    }

    /// Makes a lab; removes before what runs that were killed left on this machine.
    pub fn start_with(options: &LabOptions) -> Result<Self, Error> {
        if !is_root() {
            return Err(Error::NotRoot);
        }
        if !(1..=MOST_NODES).contains(&options.nodes) {
            return Err(Error::NodeCount {
                most: MOST_NODES,
                asked: options.nodes,
            });
        }
        sweep()?;
        let root = options.root.clone();
        let place = |number| {
            root.clone()
                .unwrap_or_else(|| std::env::temp_dir().join(format!("berth-lab-{number}")))
        };
        let slot = Slot::take(options.nodes, place)?;
        let names = Names::new(slot.number);
        let nodes = (1..=options.nodes)
            .map(|number| Node::new(names, number, &slot.record.root))
            .collect();
        // From here on a failure drops the lab and with it what was made so far.
        let mut lab = Self {
            names,
            slot,
            nodes,
            released: false,
        };
        network::make_bridge(names)?;
        for number in 1..=options.nodes {
            network::make_node(names, number)?;
        }
        lab.nodes.iter_mut().try_for_each(Node::launch_engine)?;
        lab.nodes.iter_mut().try_for_each(Node::wait_engine)?;
        Ok(lab)
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, to kill and start engines.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// A node by its number, from 1.
    pub fn node(&mut self, number: usize) -> Option<&mut Node> {
        self.nodes.get_mut(number.checked_sub(1)?)
    }

    /// The address under which nodes reach this machine.
    pub fn host_address(&self) -> Ipv4Addr {
        self.names.host_address()
    }

    /// Its place on this machine.
    pub fn number(&self) -> u8 {
        self.slot.number
    }

    /// The folder of its data.
    pub fn root(&self) -> &Path {
        &self.slot.record.root
    }

    /// Everything of it that is there; empty after a removal.
    pub fn leftovers(&self) -> Vec<String> {
        clean::leftovers(self.names, &self.slot.record)
    }

    /// Removes everything of it.
    pub fn stop(mut self) -> Result<(), Error> {
        self.remove()
    }

    /// Lets it outlive this process; [`remove`] with the number returned removes it.
    pub fn keep(mut self) -> Result<u8, Error> {
        self.slot.keep()?;
        self.released = true;
        Ok(self.slot.number)
    }

    fn remove(&mut self) -> Result<(), Error> {
        self.released = true;
        let removed = clean::remove(&self.names, &self.slot.record);
        self.nodes.iter_mut().for_each(Node::reap);
        removed?;
        slot::release(self.slot.number)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        if let Err(error) = self.remove() {
            eprintln!("{error}");
        }
    }
}

/// Removes a kept lab by its number; what is not there is no error.
pub fn remove(number: u8) -> Result<(), Error> {
    let Some(record) = slot::read(number) else {
        return Ok(());
    };
    clean::remove(&Names::new(number), &record)?;
    slot::release(number)
}

/// Everything of the lab with this number that is there.
pub fn leftovers(number: u8) -> Vec<String> {
    slot::read(number)
        .map(|record| clean::leftovers(Names::new(number), &record))
        .unwrap_or_default()
}

/// Removes what killed runs left on this machine; kept labs and those of living processes stay.
/// Returns the numbers of the labs that were removed.
pub fn sweep() -> Result<Vec<u8>, Error> {
    slot::sweep()
}

/// Ends everything in a control group and removes it, in whatever hierarchy it is.
pub fn remove_group(name: &str) {
    clean::remove_group(name);
}

/// Whether this process is root, as a lab needs.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
