//! Commands that work on this machine: check, config, login, version, completions, reference.

use crate::{
    cli::{Check, Cli, Completions, Global, Login, SettingArgs},
    client::{self, Client, Profile},
    config::Origin,
    docs,
    exit::{Failure, Outcome},
    files::{self, Project},
    output::{Printer, Table, Tone, cell, print_text, toned},
    server,
};
use berth_compose::Severity;
use berth_events::spec::EnvironmentValue;
use clap::CommandFactory as _;
use serde::Serialize;

/// Checks a Compose file without a platform.
///
/// # Errors
/// The file is wrong.
pub fn check(args: &Check, printer: Printer) -> Outcome {
    let project = Project::read(&args.file, &args.variables, &files::shell)?;
    let parsed = berth_compose::parse(&project.input(None));
    let faults = match &parsed {
        Ok(parsed) => &parsed.warnings,
        Err(faults) => faults,
    };
    let errors = faults
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
        .count();
    let warnings = faults.len() - errors;
    if printer.for_people() {
        for fault in faults {
            eprintln!("{fault}\n");
        }
        if let (true, Ok(parsed)) = (args.show, &parsed) {
            print_text(&berth_compose::render(
                parsed.name.as_deref(),
                &parsed.spec,
                &plain,
            ))?;
        }
    } else {
        printer.print(faults, |_| String::new())?;
    }
    let counts = format!("{}: {errors} errors, {warnings} warnings", project.file_name);
    match parsed {
        Ok(_) => {
            printer.note(&counts);
            Ok(())
        }
        Err(_) => Err(Failure::usage(counts)),
    }
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: String,
    origin: Origin,
}

/// Prints the settings of a server without secrets, and their faults.
///
/// # Errors
/// A setting is wrong.
pub fn show_config(args: &SettingArgs, printer: Printer) -> Outcome {
    let gathered = server::gather_settings(args)?;
    let settings: Vec<_> = gathered
        .shown()
        .into_iter()
        .map(|(name, value, origin)| Setting { name, value, origin })
        .collect();
    printer.print(&settings, |settings| {
        let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
        for setting in settings {
            table.row([
                cell(setting.name),
                cell(&setting.value),
                toned(setting.origin, Tone::Dim),
            ]);
        }
        table.render()
    })?;
    server::checked(&gathered).map(drop)
}

/// Stores address and token of a platform, after having tried them.
///
/// # Errors
/// The platform does not answer or refuses the token; the file cannot be written.
pub async fn login(global: &Global, args: Login, printer: Printer) -> Outcome {
    let token = match &global.token {
        Some(token) => token.clone(),
        None => read_token()?,
    };
    let ca_file = match &global.ca {
        Some(path) => Some(
            path.canonicalize()
                .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))?,
        ),
        None => None,
    };
    let resolved = client::Resolved {
        url: args.address.trim_end_matches('/').to_owned(),
        ca: match &ca_file {
            Some(path) => Some(std::fs::read_to_string(path)?),
            None => None,
        },
        token: Some(token.clone()),
        cluster: None,
    };
    let url = resolved.url.clone();
    let client = Client::new(resolved)?;
    if !client.has_token() {
        return Err(
            Failure::usage("this is no API token").cure("mint one with `berth token create --scope admin`")
        );
    }
    let _: serde_json::Value = client.get("/v1/clusters").await?;
    let profile = Profile {
        url: Some(url.clone()),
        ca_file,
        token: Some(token),
        cluster: global.cluster.clone(),
    };
    let path = client::store(&args.name, profile)?;
    printer.note(&format!("stored {url} as `{}` in {}", args.name, path.display()));
    Ok(())
}

fn read_token() -> Outcome<String> {
    use std::io::{IsTerminal as _, Read as _};
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no token")
            .cure("give it with --token or BERTH_TOKEN, or on standard input"));
    }
    let mut text = String::new();
    std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// More than any token has.
const MAX_TOKEN_BYTES: u64 = 4_096;

#[derive(Serialize)]
struct Versions {
    program: &'static str,
    platform: Option<String>,
}

/// Prints the version of this program, and of the platform if there is one that answers.
///
/// # Errors
/// Standard output is closed.
pub async fn version(global: &Global, printer: Printer) -> Outcome {
    let platform = async {
        let client = Client::new(client::resolve(global).ok()?).ok()?;
        let status: berth_api::Status = client.get("/v1/status").await.ok()?;
        Some(status.version)
    };
    let versions = Versions {
        program: env!("CARGO_PKG_VERSION"),
        platform: platform.await,
    };
    printer.print(&versions, |versions| {
        let platform = versions.platform.as_deref().unwrap_or("none that answers");
        format!("berth {}\nplatform {platform}", versions.program)
    })
}

/// Prints a completion script.
///
/// # Errors
/// Standard output is closed.
pub fn completions(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "berth", &mut script);
    print_text(&String::from_utf8_lossy(&script))
}

/// Prints the reference of all commands.
///
/// # Errors
/// Standard output is closed.
pub fn docs_markdown() -> Outcome {
    print_text(&docs::markdown(Cli::command()))
}

/// Values of a file on this machine are shown: whoever asks has the file.
fn plain(_service: &str, _name: &str, value: &EnvironmentValue) -> Option<String> {
    match value {
        EnvironmentValue::Plain(text) => Some(text.clone()),
        EnvironmentValue::Secret(_) => None,
    }
}
