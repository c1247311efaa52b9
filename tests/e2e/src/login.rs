//! Logins at private registries.

use crate::{Platform, binary};
use anyhow::{Context, Result, ensure};
use berth_lab::registry;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

impl Platform {
    /// Stores the login of the lab's user at a registry; the password goes by standard input.
    ///
    /// # Errors
    /// It was not taken.
    pub fn log_in(&self, host: &str, password: &str) -> Result<()> {
        let mut child = Command::new(binary()?)
            .args([
                "registry",
                "login",
                host,
                "-u",
                registry::USER,
                "--password-stdin",
            ])
            .env("BERTH_CONFIG", self.data().join("client.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        child
            .stdin
            .take()
            .context("its input")?
            .write_all(password.as_bytes())?;
        ensure!(child.wait()?.success(), "the login was not taken");
        Ok(())
    }
}
