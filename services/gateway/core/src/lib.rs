//! The read model behind the API: a pure fold over the log.
