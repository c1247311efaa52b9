//! Drives a reconciler: activated by notices and by a timer, never with an input.
