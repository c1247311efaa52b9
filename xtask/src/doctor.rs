//! What this machine needs, what it has, and how to get the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::place;
use crate::process::capture;

/// The oldest nats-server that honours `first_sequence`.
const OLDEST_NATS: (u32, u32) = (2, 11);
const OLDEST_POSTGRES: u32 = 15;
const POSTGRES_FOLDER: &str = "/usr/lib/postgresql";

/// Something that is needed.
pub(crate) struct Need {
    /// What it is.
    pub what: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// How it is got.
    pub source: Source,
    find: fn() -> Option<PathBuf>,
}

/// Where something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A Debian package.
    Package(&'static str),
    /// The wheel of nats-server: Debian's is too old.
    NatsWheel,
    /// Nothing we install.
    Other(&'static str),
}

/// Everything that `up` and `test` need.
pub(crate) const NEEDS: &[Need] = &[
    Need {
        what: "cargo",
        purpose: "builds everything",
        source: Source::Other("see https://rustup.rs; the toolchain of rust-version in Cargo.toml"),
        find: || place::find_program("cargo"),
    },
    Need {
        what: "cc",
        purpose: "links programs",
        source: Source::Package("gcc"),
        find: || place::find_program("cc"),
    },
    Need {
        what: "libc headers",
        purpose: "compile the cryptography",
        source: Source::Package("libc6-dev"),
        find: || Some(PathBuf::from("/usr/include/stdlib.h")).filter(|path| path.is_file()),
    },
    Need {
        what: "dockerd",
        purpose: "the engine of a node",
        source: Source::Package("docker.io"),
        find: || place::find_program("dockerd"),
    },
    Need {
        what: "docker",
        purpose: "imports the sample images",
        source: Source::Package("docker.io"),
        find: || place::find_program("docker"),
    },
    Need {
        what: "iptables",
        purpose: "the engine publishes ports with it",
        source: Source::Package("iptables"),
        find: || place::find_program("iptables"),
    },
    Need {
        what: "faketime",
        purpose: "clocks that jump, in a test",
        source: Source::Package("faketime"),
        find: || place::find_program("faketime"),
    },
    Need {
        what: "static busybox",
        purpose: "images without a registry",
        source: Source::Package("busybox-static"),
        find: static_busybox,
    },
    Need {
        what: "docker-registry",
        purpose: "a registry of images, in tests",
        source: Source::Package("docker-registry"),
        find: || place::find_program("docker-registry"),
    },
    Need {
        what: "nft",
        purpose: "firewall of nodes",
        source: Source::Package("nftables"),
        find: || place::find_program("nft"),
    },
    Need {
        what: "ip",
        purpose: "nodes in namespaces",
        source: Source::Package("iproute2"),
        find: || place::find_program("ip"),
    },
    Need {
        what: "ps",
        purpose: "shows processes",
        source: Source::Package("procps"),
        find: || place::find_program("ps"),
    },
    Need {
        what: "setpriv",
        purpose: "runs Postgres without root's rights",
        source: Source::Package("util-linux"),
        find: || place::find_program("setpriv"),
    },
    Need {
        what: "postgres",
        purpose: "the log",
        source: Source::Package("postgresql-15"),
        find: postgres,
    },
    Need {
        what: "nats-server",
        purpose: "the bus",
        source: Source::NatsWheel,
        find: nats_server,
    },
];

/// What is missing.
pub(crate) fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| (need.find)().is_none()).collect()
}

/// Prints the state of everything; missing things are an error.
pub(crate) fn run() -> Result<()> {
    for need in NEEDS {
        match (need.find)() {
            Some(path) => println!("ok       {:<16}{}", need.what, path.display()),
            None => println!(
                "MISSING  {:<16}{}; {}",
                need.what,
                need.purpose,
                cure(need.source)
            ),
        }
    }
    if !berth_lab::is_root() {
        println!("note     not root: no engine can be started, and tests that need engines are skipped");
    }
    let missing = missing().len();
    if missing > 0 {
        bail!(
            "{missing} of {} things are missing; `./dev install` installs what it can",
            NEEDS.len()
        );
    }
    Ok(())
}

/// In a few words, what tests could use here.
pub(crate) fn summary() -> &'static str {
    if berth_lab::is_root() {
        "engines included"
    } else {
        "not root: tests that need engines were skipped"
    }
}

/// How to get something.
pub(crate) fn cure(source: Source) -> String {
    match source {
        Source::Package(name) => format!("apt-get install -y --no-install-recommends {name}"),
        Source::NatsWheel => "./dev install".to_owned(),
        Source::Other(how) => how.to_owned(),
    }
}

fn static_busybox() -> Option<PathBuf> {
    let path = Path::new("/bin/busybox");
    let head = std::fs::read(path).ok()?;
    let dynamic = head.get(..4096)?.windows(9).any(|bytes| bytes == b"ld-linux-");
    (!dynamic).then(|| path.to_path_buf())
}

/// The same places and versions as `berth-embedded` looks at.
fn postgres() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("BERTH_POSTGRES_BIN") {
        return Some(Path::new(&folder).join("postgres")).filter(|path| path.is_file());
    }
    let bundled = place::bundle().join("postgres/bin/postgres");
    let versions = std::fs::read_dir(POSTGRES_FOLDER)
        .ok()
        .into_iter()
        .flatten()
        .flatten();
    let new_enough = versions.filter(|version| {
        let number = version
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        number.is_some_and(|number| number >= OLDEST_POSTGRES)
    });
    let installed = new_enough.map(|version| version.path().join("bin/postgres"));
    std::iter::once(bundled)
        .chain(installed)
        .find(|path| path.is_file())
}

fn nats_server() -> Option<PathBuf> {
    let named = std::env::var_os("BERTH_NATS_SERVER").map(PathBuf::from);
    let places = [
        named,
        Some(place::bundle().join("nats-server")),
        place::find_program("nats-server"),
    ];
    places.into_iter().flatten().find(|path| {
        let version = capture(Command::new(path).arg("--version")).unwrap_or_default();
        nats_version(&version).is_some_and(|version| version >= OLDEST_NATS)
    })
}

fn nats_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.trim().rsplit_once(" v")?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_nats_are_read() {
        assert_eq!(nats_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert!(nats_version("nats-server: v2.9.10").unwrap() < OLDEST_NATS);
        assert_eq!(nats_version("what"), None);
    }

    #[test]
    fn every_need_names_its_cure() {
        assert!(
            NEEDS
                .iter()
                .all(|need| !cure(need.source).is_empty() && !need.purpose.is_empty())
        );
    }
}
