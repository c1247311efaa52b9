//! Writes `docs/events.md` and `docs/asyncapi.yaml` from the types.
//!
//! `cargo run -p berth-events --example catalogue` after a change of an event; a test compares.

mod render;
mod yaml;

use std::{io, path::Path};

fn main() -> io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in render::documents() {
        let path = docs.join(name);
        std::fs::write(&path, text)?;
        println!("wrote docs/{name}");
    }
    Ok(())
}
