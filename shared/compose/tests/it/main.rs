//! Compose files as users write them: what they mean, and what is said of their faults.

mod build;
mod common;
mod contents;
mod engine;
mod examples;
mod faults;
mod faults_values;
mod interpolation;
mod labels;
mod limits;
mod models;
mod parameters;
mod policy;
mod reading;
mod reading_containers;
mod robustness;
mod roundtrip;
mod schemas;
mod shares;
mod specs;
mod warnings;
