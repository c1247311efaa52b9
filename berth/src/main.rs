//! The one binary for people: the CLI, and `berth server`, every service in one process.

fn main() {}
