//! Where things are: the repository, the build folder, the bundle, the data.

use std::env;
use std::path::{Path, PathBuf};

const SYSTEM_FOLDER: &str = "/var/lib/berth";

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder of build results.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Where programs that no Debian package has are put.
pub(crate) fn bundle() -> PathBuf {
    if let Some(folder) = env::var_os("BERTH_BUNDLE") {
        return PathBuf::from(folder);
    }
    // Postgres, which does not run as root, must be able to enter it: not a home folder then.
    if berth_lab::is_root() {
        Path::new(SYSTEM_FOLDER).join("bundle")
    } else {
        target().join("bundle")
    }
}

/// The data folder of `up` if none is named.
pub(crate) fn default_data() -> PathBuf {
    if berth_lab::is_root() {
        Path::new(SYSTEM_FOLDER).join("dev")
    } else {
        target().join("dev")
    }
}

/// The sample application.
pub(crate) fn sample() -> PathBuf {
    repository().join("samples/shop")
}

/// A program in one of the folders of `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    // An unprivileged shell of Debian has no sbin folders in its path, but the programs are there.
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
