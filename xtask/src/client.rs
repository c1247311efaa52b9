//! The `berth` command, talking to the platform that `up` started.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{self, capture};
use crate::state::State;

/// What would make the command talk to another platform.
const OTHER_PLATFORMS: [&str; 5] = [
    "BERTH_URL",
    "BERTH_TOKEN",
    "BERTH_CA",
    "BERTH_CONTEXT",
    "BERTH_CLUSTER",
];

/// The command, without arguments yet.
pub(crate) fn berth(state: &State) -> Command {
    let mut command = Command::new(&state.berth);
    command.env("BERTH_CONFIG", &state.client);
    for name in OTHER_PLATFORMS {
        command.env_remove(name);
    }
    command
}

/// Runs it with its output shown.
pub(crate) fn run(state: &State, arguments: &[&str]) -> Result<()> {
    process::run(berth(state).args(arguments))
}

/// Runs it and reads its result.
pub(crate) fn json(state: &State, arguments: &[&str]) -> Result<serde_json::Value> {
    let text = capture(berth(state).args(arguments).args(["--output", "json"]))?;
    serde_json::from_str(&text)
        .with_context(|| format!("`berth {}` printed no JSON: {text}", arguments.join(" ")))
}

/// The address of the platform in a client's configuration.
pub(crate) fn url(client: &Path) -> Result<String> {
    let text =
        fs::read_to_string(client).with_context(|| format!("could not read `{}`", client.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("`{}` is damaged", client.display()))?;
    let url = table.get("url").and_then(|url| url.as_str());
    url.map(str::to_owned)
        .with_context(|| format!("`{}` has no `url`", client.display()))
}
