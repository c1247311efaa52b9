//! Routes and endpoint sets: pure rules, views and plans.
