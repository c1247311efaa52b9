//! Clusters and nodes: the service shell around its core.
