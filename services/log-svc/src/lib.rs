//! Container logs: the service shell around its core.
