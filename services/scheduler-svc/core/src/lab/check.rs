//! What holds after every plan.

use super::{CLUSTER, Lab};
use crate::view::SlotKey;
use std::collections::BTreeMap;

impl Lab {
    /// What holds after every plan, whatever happens.
    pub(crate) fn check(&self) {
        let mut holders: BTreeMap<SlotKey, u32> = BTreeMap::new();
        for row in self.view.allocations().filter(|row| row.phase.is_live()) {
            let key = SlotKey {
                application_id: row.application_id,
                service: row.service.clone(),
                slot: row.slot,
            };
            // Start first: the old one and its successor.
            let most = if self.overlaps { 2 } else { 1 };
            let live = holders.entry(key.clone()).or_default();
            *live += 1;
            assert!(*live <= most, "{live} live allocations of slot {key}");
        }
        for node in self.view.nodes_of(CLUSTER) {
            let (mut cpu, mut memory) = (0, 0);
            let mut countables: BTreeMap<String, u64> = BTreeMap::new();
            let mut ports = std::collections::BTreeSet::new();
            for row in self.view.allocations_on(node.node_id) {
                let Some(spec) = self.view.specs.get(&row.spec_hash) else {
                    panic!("no specification of {row:?}");
                };
                if !row.phase.is_live() {
                    continue;
                }
                cpu += spec.container.resources.cpu_reserved_millis;
                memory += spec.container.resources.memory_reserved_bytes;
                for (kind, amount) in spec.container.countables() {
                    *countables.entry(kind.to_owned()).or_default() += amount.of(node.resource(kind));
                }
                for port in spec
                    .container
                    .ports
                    .iter()
                    .filter(|port| port.published.is_some())
                {
                    let key = (port.published, port.protocol.clone());
                    assert!(ports.insert(key), "port twice on {}", node.name);
                }
            }
            for (kind, reserved) in countables {
                let total = node.resource(&kind);
                assert!(reserved <= total, "{reserved} of {total} {kind} on {}", node.name);
            }
            assert!(cpu <= node.facts.cpu_millis, "too much CPU on {}", node.name);
            assert!(
                memory <= node.facts.memory_bytes,
                "too much memory on {}",
                node.name
            );
        }
    }
}
