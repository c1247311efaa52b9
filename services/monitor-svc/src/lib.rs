//! Heartbeats, metrics, alerts: the service shell around its core.
