//! Clusters and nodes: pure rules, views and plans.
