//! Routes and endpoint sets: the service shell around its core.
