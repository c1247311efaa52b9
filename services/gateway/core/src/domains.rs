//! How the containers of a service are spread over the values of labels.

use crate::{ApiView, ApplicationRow, NodeRow};
use berth_api::{DomainCount, ServiceDomains};
use berth_events::{
    NodeKeys,
    spec::{DomainSpread, PlacementSpec, ServiceSpec},
};
use std::collections::BTreeMap;

impl ApiView {
    /// For each label over which a service must, should or wishes to be spread: its values with their nodes and
    /// containers.
    pub(crate) fn domains(
        &self,
        application: &ApplicationRow,
        name: &str,
        spec: &ServiceSpec,
    ) -> Vec<ServiceDomains> {
        let labels = wished(&spec.placement).into_iter();
        labels
            .map(|wish| {
                let mut domains: BTreeMap<String, DomainCount> = BTreeMap::new();
                for node in self.nodes_of.of(&application.cluster_id) {
                    let Some(node) = self.nodes.get(node) else {
                        continue;
                    };
                    let Some(value) = keys(node).value(&wish.label) else {
                        continue;
                    };
                    let count = domains.entry(value).or_default();
                    count.nodes += u32::from(node.status() == berth_api::NodeStatus::Ready);
                    let here = self.live_on(node.id).filter(|row| {
                        row.application_id == application.id
                            && row.service == name
                            && row.stop_reason.is_none()
                    });
                    count.containers += u32::try_from(here.count()).unwrap_or(u32::MAX);
                }
                ServiceDomains {
                    label: wish.label,
                    wanted: wish.domains,
                    promised: !wish.soft,
                    domains,
                }
            })
            .collect()
    }
}

/// What is promised, and what is wished for without a number (0).
fn wished(placement: &PlacementSpec) -> Vec<DomainSpread> {
    let mut all = placement.promises();
    for label in &placement.spread {
        if !all.iter().any(|known| known.label == *label) {
            all.push(DomainSpread {
                label: label.clone(),
                domains: 0,
                soft: true,
            });
        }
    }
    all
}

fn keys(node: &NodeRow) -> NodeKeys<'_> {
    NodeKeys {
        node_id: node.id,
        name: node.name.as_str(),
        index: node.index,
        zone: &node.zone,
        labels: &node.labels,
        facts: &node.facts,
    }
}
