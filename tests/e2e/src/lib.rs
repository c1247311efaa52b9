//! End to end: real processes, real engines.
