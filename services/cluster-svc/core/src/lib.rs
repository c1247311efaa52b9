//! Clusters and nodes: pure rules and the view behind them.
//!
//! No IO, clock, randomness or logging: time and ids arrive inside commands, facts come from the view.

mod cluster;
mod decide;
mod join;
mod labels;
mod name;
mod node;
mod node_command;
mod node_drain;
mod node_labels;
mod refusal;
mod report;
mod resources;
mod rows;
mod view;

pub use cluster::{Cluster, ClusterAction, ClusterAggregate, Lifecycle, NewSettings};
pub use decide::{Context, cluster_name, cluster_stream, decide, index_claim, node_name, node_stream};
pub use join::{MAX_INDEX_TRIES, MAX_NAME_TRIES, host_name_candidate};
pub use labels::{MAX_LABEL_KEY_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS, check_labels};
pub use name::{NameOwner, owner_of};
pub use node::{Availability, Node, NodeAction, NodeAggregate, Presence};
pub use report::report;
pub use resources::{MAX_AMOUNT, MAX_KIND_BYTES, MAX_KINDS, check_resources};
pub use rows::{ClusterRow, ClusterState, NodeRow};
pub use view::ClusterView;
