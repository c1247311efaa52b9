//! Compose files: parsed, interpolated, checked, normalised, each fault with its place.
