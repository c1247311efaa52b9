//! Which platform is spoken to: options, environment, stored contexts, or the server on this machine.

use crate::{
    cli::Global,
    exit::{Failure, Outcome},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Environment variable with the path of the file of contexts.
pub const CONFIG_ENV: &str = "BERTH_CONFIG";
/// What the server on this machine leaves for the command line.
const LOCAL: &str = "/var/lib/berth/client.toml";

/// Address and token of one platform.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// PEM file of its CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// API token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Cluster to work in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The file of contexts. A single profile at top level (`client.toml` of a server) is one too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFile {
    /// Name of the context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// A profile without a name.
    #[serde(flatten)]
    pub plain: PlainProfile,
    /// Profiles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Profile>,
}

/// [`Profile`] at top level: other keys are the file's.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainProfile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
}

impl std::fmt::Debug for PlainProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainProfile")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl ClientFile {
    /// The profile of a name, or the one in use.
    pub fn profile(&self, name: Option<&str>) -> Option<Profile> {
        let named = name.or(self.current.as_deref());
        if let Some(name) = named {
            return self.contexts.get(name).cloned();
        }
        let plain = Profile {
            url: self.plain.url.clone(),
            ca_file: self.plain.ca_file.clone(),
            token: self.plain.token.clone(),
            cluster: self.plain.cluster.clone(),
        };
        (plain != Profile::default()).then_some(plain)
    }
}

/// Everything that is needed to speak to a platform.
#[derive(Clone)]
pub struct Resolved {
    /// Address.
    pub url: String,
    /// Text of the CA's certificate.
    pub ca: Option<String>,
    /// API token.
    pub token: Option<String>,
    /// Cluster to work in.
    pub cluster: Option<String>,
}

/// Where contexts are stored.
pub fn config_path() -> PathBuf {
    if let Some(path) = std::env::var_os(CONFIG_ENV) {
        return PathBuf::from(path);
    }
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .map_or_else(|| PathBuf::from("/root"), PathBuf::from)
            .join(".config")
    };
    base.unwrap_or_else(home).join("berth/config.toml")
}

/// Finds address, CA and token.
///
/// # Errors
/// Nothing says where the platform is, or a file cannot be read.
pub fn resolve(global: &Global) -> Outcome<Resolved> {
    let path = config_path();
    let mut profile = match read(&path)? {
        Some(file) => file.profile(global.context.as_deref()),
        None => None,
    };
    if profile.is_none() && global.context.is_none() {
        profile = read(Path::new(LOCAL))
            .ok()
            .flatten()
            .and_then(|file| file.profile(None));
    }
    if let (None, Some(name)) = (&profile, &global.context) {
        let message = format!("there is no context `{name}` in {}", path.display());
        return Err(Failure::usage(message).cure("store it with `berth login URL --name NAME --token TOKEN`"));
    }
    let profile = profile.unwrap_or_default();
    let url = global.url.clone().or(profile.url).ok_or_else(|| {
        Failure::usage("it is not known where the platform is").cure(format!(
            "start one with `berth server`, give --url or BERTH_URL, or name its client.toml in {CONFIG_ENV}"
        ))
    })?;
    let ca = match global.ca.as_ref().or(profile.ca_file.as_ref()) {
        Some(path) => Some(read_text(path)?),
        None => None,
    };
    Ok(Resolved {
        url: url.trim_end_matches('/').to_owned(),
        ca,
        token: global.token.clone().or(profile.token),
        cluster: global.cluster.clone().or(profile.cluster),
    })
}

fn read_text(path: &Path) -> Outcome<String> {
    fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("could not read `{}`: {error}", path.display())))
}

fn read(path: &Path) -> Outcome<Option<ClientFile>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::usage(format!(
                "could not read `{}`: {error}",
                path.display()
            )));
        }
    };
    let file = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "`{}` is no file of contexts: {}",
            path.display(),
            error.message()
        ))
    })?;
    Ok(Some(file))
}

/// Stores a profile under a name and makes it the one in use.
///
/// # Errors
/// The file cannot be read or written.
pub fn store(name: &str, profile: Profile) -> Outcome<PathBuf> {
    let path = config_path();
    let mut file = read(&path)?.unwrap_or_default();
    file.contexts.insert(name.to_owned(), profile);
    file.current = Some(name.to_owned());
    write(&path, &file)?;
    Ok(path)
}

/// Writes the single profile that a server leaves for the command line.
///
/// # Errors
/// The file cannot be written.
pub fn write_client_toml(path: &Path, profile: &Profile) -> Outcome {
    write(path, profile)
}

fn write(path: &Path, value: &impl Serialize) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::other(format!("could not write `{}`: {error}", path.display()))
    };
    let text = toml::to_string(value).map_err(|error| failed(&error))?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    }
    let fresh = path.with_extension("fresh");
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    fs::rename(&fresh, path).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_file_and_a_file_of_contexts_are_read() {
        let file: ClientFile =
            toml::from_str("url = \"https://a\"\ntoken = \"t\"\nca_file = \"/ca\"").unwrap();
        assert_eq!(file.profile(None).unwrap().url.as_deref(), Some("https://a"));
        let text = "current = \"b\"\n[contexts.a]\nurl = \"https://a\"\n[contexts.b]\nurl = \"https://b\"";
        let file: ClientFile = toml::from_str(text).unwrap();
        assert_eq!(file.profile(None).unwrap().url.as_deref(), Some("https://b"));
        assert_eq!(file.profile(Some("a")).unwrap().url.as_deref(), Some("https://a"));
        assert_eq!(file.profile(Some("c")), None);
    }

    #[test]
    fn stored_files_are_private_and_tokens_are_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        let profile = Profile {
            url: Some("https://a".into()),
            token: Some("s3cret".into()),
            ..Profile::default()
        };
        write_client_toml(&path, &profile).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().unwrap().profile(None).unwrap(), profile);
        assert!(!format!("{profile:?}").contains("s3cret"));
    }
}
