//! What a Docker Engine leaves in this machine's network when it ends: its bridge, chains and rules.
//!
//! Only used when `up` started the engine itself on a machine that had none of these before.

use std::path::Path;
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
    /// The policy of FORWARD, which an engine sets to DROP.
    forward: String,
}

/// Looks before the engine starts.
pub(crate) fn look() -> Before {
    let rules = TABLES.map(list).concat();
    let dockers = rules.iter().any(|line| is_dockers(line)) || bridge_exists();
    let policy = rules.iter().find_map(|line| line.strip_prefix("-P FORWARD "));
    Before {
        dockers,
        forward: policy.unwrap_or("ACCEPT").to_owned(),
    }
}

/// Removes what the engine left.
pub(crate) fn clean(before: &Before) {
    if before.dockers {
        return;
    }
    for table in TABLES {
        for line in list(table).iter().filter(|line| is_dockers(line)) {
            if let Some(rule) = line.strip_prefix("-A ") {
                iptables(table, &["-D"], rule);
            }
        }
        for _ in 0..ROUNDS {
            for line in list(table).iter().filter(|line| is_dockers(line)) {
                if let Some(chain) = line.strip_prefix("-N ") {
                    iptables(table, &["-F"], chain);
                    iptables(table, &["-X"], chain);
                }
            }
        }
    }
    iptables("filter", &["-P", "FORWARD"], &before.forward);
    if bridge_exists() {
        let _ = capture(Command::new("ip").args(["link", "del", BRIDGE]));
    }
}

/// What is left of it.
pub(crate) fn leftovers(before: &Before) -> Vec<String> {
    if before.dockers {
        return Vec::new();
    }
    let rules = TABLES
        .map(list)
        .concat()
        .into_iter()
        .filter(|line| is_dockers(line));
    let mut left: Vec<String> = rules.map(|line| format!("firewall rule `{line}`")).collect();
    if bridge_exists() {
        left.push(format!("network interface {BRIDGE}"));
    }
    left
}

fn is_dockers(line: &str) -> bool {
    // A rule names Docker's chain or bridge, or the network of the bridge that it hides.
    line.contains("DOCKER") || line.contains(BRIDGE)
}

fn bridge_exists() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn list(table: &str) -> Vec<String> {
    let rules = capture(Command::new("iptables").args(["-w", "5", "-t", table, "-S"])).unwrap_or_default();
    rules.lines().map(str::to_owned).collect()
}

fn iptables(table: &str, verb: &[&str], rest: &str) {
    let mut command = Command::new("iptables");
    command
        .args(["-w", "5", "-t", table])
        .args(verb)
        .args(rest.split(' '));
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
