//! Names of this machine.

use std::net::{IpAddr, UdpSocket};

/// An address that needs not exist: only the route to it is looked up, nothing is sent.
const SOMEWHERE: &str = "192.0.2.1:9";

/// The host name.
pub fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

/// The address from which this machine reaches others, if it has one.
pub fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(SOMEWHERE).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// Names and addresses under which others may reach a server that listens on an address: the given ones,
/// else what is found out; those of this machine always.
pub fn advertised(given: &[String], listen: IpAddr) -> Vec<String> {
    let mut names: Vec<String> = given.to_vec();
    if names.is_empty() {
        if listen.is_unspecified() {
            names.extend(outward().map(|address| address.to_string()));
            names.push(name());
        } else {
            names.push(listen.to_string());
        }
    }
    for local in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|name| name == local) {
            names.push(local.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_come_first_and_loopback_is_always_there() {
        let any = "0.0.0.0".parse().unwrap();
        assert_eq!(
            advertised(&["a".into()], any),
            ["a", "localhost", "127.0.0.1", "::1"]
        );
        let one = "10.1.2.3".parse().unwrap();
        assert_eq!(
            advertised(&[], one),
            ["10.1.2.3", "localhost", "127.0.0.1", "::1"]
        );
        assert_eq!(
            advertised(&[], "127.0.0.1".parse().unwrap()),
            ["127.0.0.1", "localhost", "::1"]
        );
    }
}
