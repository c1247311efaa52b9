//! Applications, placement, allocations: the service shell around its core.
