//! As whom Postgres runs: as ourselves, or, because it refuses root, as an account without rights.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, io_error};

/// Accounts that are tried when we are root, in order.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
const PASSWD: &str = "/etc/passwd";
const SETPRIV: &str = "setpriv";
const ROOT: u32 = 0;

/// The account of a child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether the child changes to it, as only root can.
    pub switch: bool,
}

impl Account {
    /// The account for Postgres.
    pub fn for_postgres() -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != ROOT {
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self {
                name: format!("uid {uid}"),
                uid,
                gid,
                switch: false,
            });
        }
        let passwd = fs::read_to_string(PASSWD).map_err(io_error("read", Path::new(PASSWD)))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| in_passwd(&passwd, name))
            .ok_or_else(|| Error::NoAccount {
                tried: UNPRIVILEGED.join(" or "),
            })
    }

    /// A command that runs `program` as this account and dies with the thread that starts it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = dying_command();
        if self.switch {
            command.arg(format!("--reuid={}", self.uid));
            command.arg(format!("--regid={}", self.gid));
            command.arg("--clear-groups");
        }
        command.arg("--").arg(program);
        command
    }

    /// Gives a file or folder to this account.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.switch {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .map_err(io_error("change the owner of", path))
    }

    /// Makes a folder that only this account may use, or checks that an existing one is such.
    pub fn private_folder(&self, path: &Path) -> Result<(), Error> {
        match fs::create_dir(path) {
            Ok(()) => self.own(path)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let about = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
                if about.uid() != self.uid || !about.is_dir() {
                    let folder = path.to_path_buf();
                    return Err(Error::ForeignFolder {
                        folder,
                        owner: about.uid(),
                        wanted: self.uid,
                    });
                }
            }
            Err(error) => return Err(io_error("make the folder", path)(error)),
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(io_error("set the rights of", path))
    }

    /// Checks that this account may enter `folder` and everything above it.
    pub fn check_traversable(&self, folder: &Path) -> Result<(), Error> {
        for above in folder.ancestors() {
            let about = fs::metadata(above).map_err(io_error("look at", above))?;
            let needed = match (about.uid() == self.uid, about.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if about.mode() & needed == 0 {
                let folder: PathBuf = above.to_path_buf();
                return Err(Error::NotTraversable {
                    folder,
                    account: self.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// `setpriv` with the rest of the command to be added: the child is killed when its parent thread ends.
pub(crate) fn dying_command() -> Command {
    let mut command = Command::new(SETPRIV);
    command.arg("--pdeathsig=KILL");
    command
}

fn in_passwd(passwd: &str, wanted: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account {
            name: name.to_owned(),
            uid,
            gid,
            switch: true,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:1:2::/:/x\npostgres:x:101:104:PG,,,:/var:/bin/bash\n";
        let found = in_passwd(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert_eq!(in_passwd(passwd, "nobody"), None);
    }

    #[test]
    fn a_closed_folder_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account {
            name: "stranger".into(),
            uid: 4_000_000,
            gid: 4_000_000,
            switch: true,
        };
        let error = stranger.check_traversable(&inner).unwrap_err().to_string();
        assert!(
            error.contains(&format!("chmod o+x {}", outer.path().display())),
            "{error}"
        );
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o711)).unwrap();
        stranger.check_traversable(&inner).unwrap();
    }
}
