//! The commands behind ./dev.

fn main() {}
