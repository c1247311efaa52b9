//! Every event and specification that is ever stored, with its versions.

pub mod spec;
