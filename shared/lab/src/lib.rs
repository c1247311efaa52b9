//! Docker Engines in network namespaces: several real nodes on one machine.
