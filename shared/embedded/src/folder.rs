//! The data folder: one holder at a time, private files, no leftover processes of a crashed holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, io_error};

/// Longest wait for a leftover process to end after the polite signal.
const LEFTOVER_POLITE: Duration = Duration::from_secs(10);
/// Longest wait for a leftover process to vanish after it was killed.
const LEFTOVER_KILLED: Duration = Duration::from_secs(5);
const LEFTOVER_POLL: Duration = Duration::from_millis(20);
/// Largest holder note read from a lock file.
const HOLDER_BYTES: u64 = 32;

/// Makes a folder that others may pass through but not list.
pub(crate) fn passage(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(io_error("make the folder", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o711))
            .map_err(io_error("set the rights of", path))?;
    }
    path.canonicalize().map_err(io_error("resolve", path))
}

/// Takes the lock on a folder; it is held as long as the file lives.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<File, Error> {
    let path = folder.join(name);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open the lock", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = (&mut file).take(HOLDER_BYTES).read_to_string(&mut holder);
            let holder = if read.is_ok() && !holder.is_empty() {
                holder
            } else {
                "unknown".to_owned()
            };
            return Err(Error::Locked { path, holder });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
    }
    file.set_len(0).map_err(io_error("write", &path))?;
    write!(file, "{}", std::process::id()).map_err(io_error("write", &path))?;
    Ok(file)
}

/// Writes a file that only its owner may read, in one step: readers see the old or the new content.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push("~");
    let fresh = PathBuf::from(fresh);
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(io_error("create", &fresh))?;
    file.write_all(content.as_bytes())
        .map_err(io_error("write", &fresh))?;
    file.sync_all().map_err(io_error("sync", &fresh))?;
    fs::rename(&fresh, path).map_err(io_error("put in place", path))
}

/// A process of a former holder: it works in the folder or names it on its command line.
fn works_on(process: &Path, program: &str, folder: &Path) -> bool {
    let Ok(cmdline) = fs::read(process.join("cmdline")) else {
        return false;
    };
    let mut arguments = cmdline.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let first = arguments.next().unwrap_or_default().into_owned();
    if !first.contains(program) {
        return false;
    }
    let in_folder = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
    in_folder
        || arguments.any(|argument| {
            argument
                .split('=')
                .any(|part| Path::new(part).starts_with(folder))
        })
}

/// Pids of processes of `program` that work on `folder`.
pub(crate) fn processes_on(program: &str, folder: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<i32>().ok()?, entry.path())))
        .filter(|(_, path)| works_on(path, program, folder))
        .filter_map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

/// Ends what a crashed holder left running; call it only under the folder's lock.
pub(crate) fn end_leftovers(program: &'static str, folder: &Path, polite: Signal) -> Result<(), Error> {
    let left = processes_on(program, folder);
    if left.is_empty() {
        return Ok(());
    }
    tracing::warn!(count = left.len(), folder = %folder.display(), "ending `{program}` of an earlier run that crashed");
    for (signal, patience) in [(polite, LEFTOVER_POLITE), (Signal::KILL, LEFTOVER_KILLED)] {
        for pid in processes_on(program, folder) {
            let _ = kill_process(pid, signal);
        }
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if processes_on(program, folder).is_empty() {
                return Ok(());
            }
            std::thread::sleep(LEFTOVER_POLL);
        }
    }
    let pids: Vec<String> = processes_on(program, folder)
        .iter()
        .map(ToString::to_string)
        .collect();
    Err(Error::Tool {
        action: format!("ending `{program}` of an earlier run on `{}`", folder.display()),
        status: "still alive".into(),
        output: format!("pids {}", pids.join(" ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path(), "lock").unwrap();
        let error = lock(folder.path(), "lock").unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(held);
        lock(folder.path(), "lock").unwrap();
    }

    #[test]
    fn private_files_are_private_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, "one").unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn leftovers_are_found_by_folder_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("300")
            .current_dir(&place)
            .spawn()
            .unwrap();
        // The command line is there only a moment after the start.
        let until = Instant::now() + Duration::from_secs(10);
        while processes_on("sleep", &place).len() != 1 {
            assert!(Instant::now() < until, "not found");
            std::thread::sleep(LEFTOVER_POLL);
        }
        assert_eq!(processes_on("sleep", Path::new("/nowhere")).len(), 0);
        // A zombie has no command line, so that an unreaped child counts as ended.
        end_leftovers("sleep", &place, Signal::TERM).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
