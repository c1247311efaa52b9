//! Container logs: pure rules, views and plans.
