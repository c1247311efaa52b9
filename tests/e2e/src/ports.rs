//! Ports for a platform that nothing else takes before it listens there.

use anyhow::{Result, bail};
use std::{
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
};

/// Where the ports are looked for: below those that the kernel hands out to connections
/// (`net.ipv4.ip_local_port_range`, from 32,768), of which any may be taken between our look and the start of a server.
const RANGE: Range<u16> = 20_000..32_000;
/// Distance between the first ports of two processes, so that tests beside each other start at different places.
const STRIDE: u32 = 97;

/// The ports of a platform.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The API with TLS, on every address.
    pub https: u16,
    /// The API on loopback.
    pub http: u16,
    /// The bus, on every address.
    pub nats: u16,
    /// Metrics on loopback.
    pub metrics: u16,
}

impl Ports {
    /// Four ports where nothing listens.
    ///
    /// # Errors
    /// No port of the range is free.
    pub fn find() -> Result<Self> {
        Ok(Self {
            https: free()?,
            http: free()?,
            nats: free()?,
            metrics: free()?,
        })
    }
}

/// A port of the range, each once per process.
fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let length = RANGE.end - RANGE.start;
    let first = std::process::id().wrapping_mul(STRIDE) % u32::from(length);
    for _ in 0..length {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((first + step) % u32::from(length))?;
        let port = RANGE.start + offset;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {RANGE:?} is free")
}
