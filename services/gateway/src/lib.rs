//! The only door: REST with OpenAPI, server-sent events, node join.
