//! Fixtures for tests: given/when/then, real Postgres and NATS processes, Docker engines as nodes.
