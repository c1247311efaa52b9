//! Applications, placement, allocations: pure rules, views and plans.
