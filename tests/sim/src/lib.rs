//! The whole product in memory on a virtual clock with a faulty bus and fake engines.
