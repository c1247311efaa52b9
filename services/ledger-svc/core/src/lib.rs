//! The log: pure rules of appending, numbering and chaining.
