//! The NATS and Postgres servers that `berth server` and tests own as child processes.
