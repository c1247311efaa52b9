//! Streams, decisions, views and the in-memory log: event sourcing without IO.
