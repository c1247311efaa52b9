//! The lab's network: one bridge on the machine, one namespace and one cable a node.

use std::fs;

use crate::error::Error;
use crate::names::Names;
use crate::system::run;

/// Makes the bridge and lets its traffic pass: an engine on the machine itself sets the policy to drop.
pub(crate) fn make_bridge(names: Names) -> Result<(), Error> {
    let bridge = names.bridge();
    run("ip", &["link", "add", &bridge, "type", "bridge"])?;
    run(
        "ip",
        &[
            "addr",
            "add",
            &format!("{}/24", names.host_address()),
            "dev",
            &bridge,
        ],
    )?;
    run("ip", &["link", "set", &bridge, "up"])?;
    iptables("-I", names).map(drop)
}

/// Makes a node's namespace and plugs it into the bridge.
pub(crate) fn make_node(names: Names, node: usize) -> Result<(), Error> {
    let (namespace, cable, bridge) = (names.namespace(node), names.cable(node), names.bridge());
    run("ip", &["netns", "add", &namespace])?;
    run(
        "ip",
        &[
            "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ],
    )?;
    run("ip", &["link", "set", &cable, "master", &bridge, "up"])?;
    let inside = |arguments: &[&str]| run("ip", &[&["-n", &namespace], arguments].concat());
    inside(&[
        "addr",
        "add",
        &format!("{}/24", names.address(node)),
        "dev",
        "eth0",
    ])?;
    inside(&["link", "set", "eth0", "up"])?;
    inside(&["link", "set", "lo", "up"])?;
    inside(&[
        "route",
        "add",
        "default",
        "via",
        &names.host_address().to_string(),
    ])?;
    Ok(())
}

/// Unplugs or plugs a node's cable.
pub(crate) fn set_cable(names: Names, node: usize, state: &str) -> Result<(), Error> {
    run("ip", &["link", "set", &names.cable(node), state]).map(drop)
}

/// Removes all of it; what is not there is no error.
pub(crate) fn remove(names: Names, nodes: usize) {
    for node in 1..=nodes {
        let _ = run("ip", &["link", "del", &names.cable(node)]);
        let _ = run("ip", &["netns", "del", &names.namespace(node)]);
    }
    if rule_exists(names) {
        let _ = iptables("-D", names);
    }
    let _ = run("ip", &["link", "del", &names.bridge()]);
}

/// What of the network is there.
pub(crate) fn leftovers(names: Names, nodes: usize) -> Vec<String> {
    let interface = |name: &str| fs::metadata(format!("/sys/class/net/{name}")).is_ok();
    let mut left = Vec::new();
    for node in 1..=nodes {
        if interface(&names.cable(node)) {
            left.push(format!("network interface {}", names.cable(node)));
        }
        if names.namespace_path(node).exists() {
            left.push(format!("network namespace {}", names.namespace(node)));
        }
    }
    if interface(&names.bridge()) {
        left.push(format!("bridge {}", names.bridge()));
    }
    if rule_exists(names) {
        left.push(format!("iptables FORWARD rule of {}", names.bridge()));
    }
    left
}

fn rule_exists(names: Names) -> bool {
    iptables("-C", names).is_ok()
}

fn iptables(verb: &str, names: Names) -> Result<String, Error> {
    let bridge = names.bridge();
    run(
        "iptables",
        &[
            "-w", "5", verb, "FORWARD", "-i", &bridge, "-o", &bridge, "-j", "ACCEPT",
        ],
    )
}
