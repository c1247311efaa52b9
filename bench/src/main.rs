//! Benchmarks that print ours and the peer or limit from one run.

fn main() {}
