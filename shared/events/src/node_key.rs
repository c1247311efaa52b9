//! What a rule may say of a node: `node.labels.rack`, `zone`, `node.hostname`, or a label as it is.

use crate::NodeFacts;
use berth_ids::NodeId;
use std::collections::BTreeMap;

/// A node, as rules of placement see it.
#[derive(Debug, Clone, Copy)]
pub struct NodeKeys<'a> {
    /// Id.
    pub node_id: NodeId,
    /// Name.
    pub name: &'a str,
    /// Order of joining.
    pub index: u32,
    /// Zone.
    pub zone: &'a str,
    /// Labels given by people.
    pub labels: &'a BTreeMap<String, String>,
    /// What the agent measured.
    pub facts: &'a NodeFacts,
}

impl NodeKeys<'_> {
    /// The value of a key; none if the node has no such label.
    pub fn value(&self, key: &str) -> Option<String> {
        let facts = self.facts;
        match key {
            "node.id" => Some(self.node_id.to_string()),
            "node" | "node.name" => Some(self.name.to_owned()),
            "node.hostname" => Some(facts.hostname.clone()),
            "node.platform.os" => Some(facts.os.clone()),
            "node.platform.arch" => Some(facts.architecture.clone()),
            "zone" | "node.zone" => Some(self.zone.to_owned()),
            "aliyun.node_index" | "berth.node_index" => Some(self.index.to_string()),
            _ => {
                if let Some(label) = key.strip_prefix("node.labels.") {
                    return self.labels.get(label).cloned();
                }
                if let Some(label) = key.strip_prefix("engine.labels.") {
                    return facts.engine_labels.get(label).cloned();
                }
                let engine = &facts.engine_labels;
                self.labels.get(key).or_else(|| engine.get(key)).cloned()
            }
        }
    }
}
