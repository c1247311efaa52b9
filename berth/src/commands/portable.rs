//! `berth app export`, `import` and `clone`.

use super::{Session, cluster::parse_name, deploy};
use crate::{
    cli::{CloneApp, Export, Import},
    client::{encode, query},
    exit::{Failure, Outcome},
    files,
    output::print_text,
};
use age::{armor, x25519};
use berth_api::{Application, ApplicationStatus, ComposeSource, Deployed, Template, Weights, Written};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Read, iter, path::Path};

/// The form of an export that this release writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Name of the file in messages about an import.
const FILE_NAME: &str = "export";
/// The largest text of secrets, in bytes.
const MAX_SEALED_BYTES: u64 = 4 * 1024 * 1024;

/// An application, to be brought live elsewhere.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    /// [`FORMAT`].
    berth_export: u32,
    /// Name of the application.
    name: String,
    /// Number of its release.
    release: u32,
    /// It as a Compose file, counts included; values that the vault has are left out.
    template: String,
    /// Share of the traffic of a service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    weights: BTreeMap<String, u8>,
    /// It is stopped.
    #[serde(default)]
    stopped: bool,
    /// The same file with all values, encrypted by age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

/// Carries out `berth app export`.
///
/// # Errors
/// A key is none, or what the platform answered.
pub async fn export(session: &Session, args: Export) -> Outcome {
    let recipients = args
        .secrets_for
        .iter()
        .map(|text| recipient(text))
        .collect::<Outcome<Vec<_>>>()?;
    let path = session.path("applications", &args.app, "");
    let application: Application = session.client.get(&path).await?;
    let sealed = match recipients.as_slice() {
        [] => None,
        _ => Some(seal(
            &template(session, &args.app, true).await?.text,
            &recipients,
        )?),
    };
    let exported = Exported {
        berth_export: FORMAT,
        name: application.name.clone(),
        release: application.releases.first().map_or(0, |release| release.number),
        template: template(session, &args.app, false).await?.text,
        weights: application.weights.clone(),
        stopped: application.status == ApplicationStatus::Stopped,
        sealed,
    };
    if exported.sealed.is_none() && exported.template.contains(berth_compose::KEPT) {
        session
            .printer
            .note("without the values that the vault has; `--secrets-for RECIPIENT` adds them");
    }
    let text =
        serde_json::to_string_pretty(&exported).map_err(|error| Failure::from_error("write it", &error))?;
    print_text(&text)
}

async fn template(session: &Session, app: &str, reveal: bool) -> Outcome<Template> {
    let reveal = if reveal { "true" } else { "" };
    let path = session.path("applications", app, "/template");
    session.client.get(&query(&path, &[("reveal", reveal)])).await
}

/// Carries out `berth app import`.
///
/// # Errors
/// The file is none, its key is another one, or what the platform answered.
pub async fn import(session: &Session, args: Import) -> Outcome {
    let text = files::text(&args.file)?;
    let exported: Exported = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", args.file.display())).cure("give what `berth app export` wrote")
    })?;
    if exported.berth_export > FORMAT {
        let message = format!(
            "the export has format {}, this berth knows {FORMAT}",
            exported.berth_export
        );
        return Err(Failure::usage(message).cure("use a newer berth"));
    }
    let template = match (&exported.sealed, &args.identity) {
        (Some(sealed), Some(identity)) => open(sealed, identity)?,
        (None, Some(_)) => {
            return Err(Failure::usage("the export holds no secret values")
                .cure("leave `--identity` out, and give the values with `-e NAME=VALUE`"));
        }
        (Some(_), None) => {
            session
                .printer
                .note("its secret values stay sealed; `--identity FILE` opens them");
            exported.template
        }
        (None, None) => exported.template,
    };
    let name = parse_name(args.name.as_deref().unwrap_or(&exported.name))?;
    let body = berth_api::Deploy {
        name: Some(name.clone()),
        compose: Some(ComposeSource {
            file_name: FILE_NAME.to_owned(),
            text: template,
            environment: files::values(&args.variables, &files::shell)?,
            ..ComposeSource::default()
        }),
        ..berth_api::Deploy::default()
    };
    let cluster = session.cluster().await?;
    let path = format!("/v1/clusters/{}/applications?must_exist=false", encode(&cluster));
    let deployed: Deployed = session.client.post(&path, &body).await?;
    let id = deployed.application_id.to_string();
    if !exported.weights.is_empty() {
        let weights = Weights {
            weights: exported.weights,
        };
        let path = session.path("applications", &id, "/weights");
        let _: Written = session.client.post(&path, &weights).await?;
    }
    if exported.stopped {
        let path = session.path("applications", &id, "/stop");
        let written: Written = session.client.write(Method::POST, &path, None::<&()>).await?;
        return session
            .printer
            .done(&written, &format!("{name} is imported, and stopped as it was"));
    }
    deploy::finish(session, deployed, &args.wait).await
}

/// Carries out `berth app clone`.
///
/// # Errors
/// What the platform answered.
pub async fn clone(session: &Session, args: CloneApp) -> Outcome {
    let body = berth_api::CloneApplication {
        cluster: args.to,
        name: args.name.as_deref().map(parse_name).transpose()?,
    };
    let path = session.path("applications", &args.app, "/clone");
    let deployed: Deployed = session.client.post(&path, &body).await?;
    deploy::finish(session, deployed, &args.wait).await
}

fn recipient(text: &str) -> Outcome<x25519::Recipient> {
    text.trim().parse().map_err(|error| {
        Failure::usage(format!("`{text}` is no age public key: {error}"))
            .cure("give the line that begins with `age1`; `age-keygen` makes a key")
    })
}

fn seal(text: &str, recipients: &[x25519::Recipient]) -> Outcome<String> {
    let fault = |error: &dyn std::error::Error| Failure::from_error("encrypt the secret values", error);
    let recipients = recipients
        .iter()
        .map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| fault(&error))?;
    let mut out = Vec::new();
    let armored = armor::ArmoredWriter::wrap_output(&mut out, armor::Format::AsciiArmor)
        .map_err(|error| fault(&error))?;
    let mut writer = encryptor.wrap_output(armored).map_err(|error| fault(&error))?;
    std::io::Write::write_all(&mut writer, text.as_bytes()).map_err(|error| fault(&error))?;
    let armored = writer.finish().map_err(|error| fault(&error))?;
    armored.finish().map_err(|error| fault(&error))?;
    String::from_utf8(out).map_err(|error| fault(&error))
}

fn open(sealed: &str, identity: &Path) -> Outcome<String> {
    let text = files::text(identity)?;
    let key = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-"));
    let key: x25519::Identity = key
        .ok_or_else(|| Failure::usage(format!("{} holds no age secret key", identity.display())))?
        .parse()
        .map_err(|error| Failure::usage(format!("{}: {error}", identity.display())))?;
    let wrong = |error: &dyn std::error::Error| {
        Failure::from_error("open the secret values", error).cure("give the key to which they were encrypted")
    };
    let decryptor =
        age::Decryptor::new(armor::ArmoredReader::new(sealed.as_bytes())).map_err(|error| wrong(&error))?;
    let reader = decryptor
        .decrypt(iter::once(&key as &dyn age::Identity))
        .map_err(|error| wrong(&error))?;
    let mut plain = String::new();
    reader
        .take(MAX_SEALED_BYTES)
        .read_to_string(&mut plain)
        .map_err(|error| wrong(&error))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (x25519::Identity::generate(), x25519::Identity::generate());
        let file = |name: &str, key: &x25519::Identity| {
            let path = folder.path().join(name);
            let text = format!("# a comment\n{}\n", key.to_string().expose_secret());
            std::fs::write(&path, text).unwrap();
            path
        };
        let sealed = seal("PASSWORD: planted", &[ours.to_public()]).unwrap();
        assert!(!sealed.contains("planted"));
        assert_eq!(open(&sealed, &file("ours", &ours)).unwrap(), "PASSWORD: planted");
        assert!(open(&sealed, &file("other", &other)).unwrap_err().cure.is_some());
        assert!(recipient("age1nonsense").is_err());
    }
}
