//! Where ids are made: here and nowhere else.

use uuid::Uuid;

/// A new id: UUIDv7, ordered by the time of its making.
pub fn new_id<T: From<Uuid>>() -> T {
    T::from(Uuid::now_v7())
}

/// An id that follows from another one, so that a repeat makes the same.
pub fn derived_id<T: From<Uuid>>(from: Uuid, what: &str) -> T {
    T::from(Uuid::new_v5(&from, what.as_bytes()))
}
