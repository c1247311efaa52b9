//! House rules as tests: package graph, sizes, module docs, banned calls, golden files.
//!
//! What a reviewer would have to look for in every change is looked for here.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// One of our packages with what it depends on outside tests.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder below the root.
    pub folder: PathBuf,
    /// Names of its dependencies, those for tests and builds left out.
    pub dependencies: Vec<String>,
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap_or_default()
}

/// All packages of the workspace.
///
/// # Errors
/// Cargo does not answer.
pub fn packages() -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Raw>,
    }
    #[derive(Deserialize)]
    struct Raw {
        name: String,
        manifest_path: PathBuf,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
        kind: Option<String>,
    }
    let root = root();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(&root)
        .output()
        .context("run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    metadata
        .packages
        .into_iter()
        .map(|raw| {
            let folder = raw.manifest_path.parent().context("a manifest has a folder")?;
            Ok(Package {
                folder: folder.strip_prefix(&root).unwrap_or(folder).to_owned(),
                name: raw.name,
                dependencies: raw
                    .dependencies
                    .into_iter()
                    .filter(|dependency| dependency.kind.is_none())
                    .map(|dependency| dependency.name)
                    .collect(),
            })
        })
        .collect()
}

/// Files that git tracks and whose names end so, below the root.
///
/// # Errors
/// Git does not answer.
pub fn tracked(ending: &str) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .split('\0')
        .filter(|path| path.ends_with(ending))
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect())
}
