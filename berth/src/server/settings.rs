//! Settings of this process: reads the file and the environment, then lets `config` decide.

use crate::{
    cli::SettingArgs,
    config::{Config, Gathered, KEYS, Source, gather},
    exit::{Failure, Outcome},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Name of the configuration file in the data folder.
const FILE_NAME: &str = "berth.toml";

/// Finds every setting.
///
/// # Errors
/// A configuration file that was named cannot be read.
pub fn gather_settings(args: &SettingArgs) -> Outcome<Gathered> {
    let environment = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let options = options(args);
    let path = match &args.config {
        Some(path) => path.clone(),
        None => {
            let data = options.get("data").cloned().or_else(|| environment("BERTH_DATA"));
            let default = KEYS
                .iter()
                .find(|key| key.name == "data")
                .map_or("", |key| key.default);
            Path::new(data.as_deref().unwrap_or(default)).join(FILE_NAME)
        }
    };
    let file = read(&path, args.config.is_some())?;
    Ok(gather(&Source {
        file,
        environment: &environment,
        options,
    }))
}

fn read(path: &Path, named: bool) -> Outcome<Option<(PathBuf, String)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_path_buf(), text))),
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!(
            "could not read `{}`: {error}",
            path.display()
        ))),
    }
}

fn options(args: &SettingArgs) -> BTreeMap<&'static str, String> {
    let yes = |set: bool| set.then(|| "true".to_owned());
    let (embedded_only, attach) = (yes(args.embedded_only), yes(args.attach));
    let given = [
        ("data", &args.data),
        ("listen", &args.listen),
        ("http", &args.http),
        ("nats", &args.nats),
        ("advertise", &args.advertise),
        ("metrics", &args.metrics),
        ("only", &args.only),
        ("embedded_only", &embedded_only),
        ("attach", &attach),
        ("postgres_url", &args.postgres_url),
        ("nats_url", &args.nats_url),
        ("creds_dir", &args.creds_dir),
        ("otlp", &args.otlp),
        ("log_format", &args.log_format),
        ("stop_timeout", &args.stop_timeout),
    ];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
}

/// The checked settings.
///
/// # Errors
/// Names every fault at once.
pub fn checked(gathered: &Gathered) -> Outcome<Config> {
    gathered.check().map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        Failure::usage(format!(
            "{} settings are wrong:\n{}",
            faults.len(),
            lines.join("\n")
        ))
        .cure("see `berth config show` and `berth server --help`")
    })
}
