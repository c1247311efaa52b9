//! Heartbeats, metrics, alerts: pure rules, views and plans.
