//! One node: assignment, next step, restarts; pure.
