//! What a Docker Engine leaves in this machine's network when it ends: its bridge, chains and rules.
//!
//! Only used when `up` started the engine itself on a machine that had none of these before.

use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::process::capture;

const TABLES: [&str; 3] = ["filter", "nat", "raw"];
const BRIDGE: &str = "docker0";
/// A chain can be deleted once no rule of another jumps to it: two rounds are enough for Docker's.
const ROUNDS: usize = 3;

/// What was there before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Docker's chains or bridge were there: not ours to remove.
    dockers: bool,
    /// Bridges of networks that were there.
    bridges: Vec<String>,
    /// The policy of FORWARD, which an engine sets to DROP.
    forward: String,
}

/// Looks before the engine starts.
pub(crate) fn look() -> Before {
    let rules = TABLES.map(list).concat();
    let dockers = rules.iter().any(|line| is_dockers(line)) || bridges().iter().any(|name| name == BRIDGE);
    let policy = rules.iter().find_map(|line| line.strip_prefix("-P FORWARD "));
    Before {
        dockers,
        bridges: bridges(),
        forward: policy.unwrap_or("ACCEPT").to_owned(),
    }
}

/// Removes what the engine left.
pub(crate) fn clean(before: &Before) {
    if before.dockers {
        return;
    }
    let bridges = new_bridges(before);
    for table in TABLES {
        for line in left_rules(table, &bridges) {
            if let Some(rule) = line.strip_prefix("-A ") {
                iptables(table, "-D", rule);
            }
        }
        for _ in 0..ROUNDS {
            for line in left_rules(table, &bridges) {
                if let Some(chain) = line.strip_prefix("-N ") {
                    iptables(table, "-F", chain);
                    iptables(table, "-X", chain);
                }
            }
        }
    }
    iptables("filter", "-P", &format!("FORWARD {}", before.forward));
    for bridge in bridges {
        let _ = capture(Command::new("ip").args(["link", "del", &bridge]));
    }
}

/// What is left of it.
pub(crate) fn leftovers(before: &Before) -> Vec<String> {
    if before.dockers {
        return Vec::new();
    }
    let bridges = new_bridges(before);
    let rules = TABLES.into_iter().flat_map(|table| left_rules(table, &bridges));
    let mut left: Vec<String> = rules.map(|line| format!("firewall rule `{line}`")).collect();
    left.extend(
        bridges
            .into_iter()
            .map(|bridge| format!("network interface {bridge}")),
    );
    left
}

fn left_rules(table: &str, bridges: &[String]) -> Vec<String> {
    let ours =
        |line: &String| is_dockers(line) || bridges.iter().any(|bridge| line.contains(bridge.as_str()));
    list(table).into_iter().filter(ours).collect()
}

/// Docker's bridges: the one of its default network, and one a network.
fn bridges() -> Vec<String> {
    let names = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name == BRIDGE || name.starts_with("br-"))
        .collect()
}

fn new_bridges(before: &Before) -> Vec<String> {
    bridges()
        .into_iter()
        .filter(|bridge| !before.bridges.contains(bridge))
        .collect()
}

fn is_dockers(line: &str) -> bool {
    // A rule names Docker's chain or bridge, or the network of the bridge that it hides.
    line.contains("DOCKER") || line.contains(BRIDGE)
}

fn list(table: &str) -> Vec<String> {
    let rules = capture(Command::new("iptables").args(["-w", "5", "-t", table, "-S"])).unwrap_or_default();
    rules.lines().map(str::to_owned).collect()
}

fn iptables(table: &str, verb: &str, rest: &str) {
    let mut command = Command::new("iptables");
    command.args(["-w", "5", "-t", table, verb]).args(rest.split(' '));
    // What another removal has taken along already is no error; `leftovers` tells what stays.
    let _ = capture(&mut command);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_rules_are_told_from_others() {
        assert!(is_dockers(
            "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
        ));
        assert!(is_dockers("-N DOCKER-USER"));
        assert!(!is_dockers("-A FORWARD -i fab1 -o fab1 -j ACCEPT"));
    }
}
