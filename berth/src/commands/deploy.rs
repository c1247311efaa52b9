//! Bringing Compose files and images live.

use super::{Session, build, cluster::parse_name, template, volumes, wait, watch};
use crate::{
    cli::{Deploy, DeploySource, Run, Update, Variables, Wait},
    client::{diagnostic, encode},
    exit::{Exit, Outcome},
    files::{self, Project},
    output::Printer,
};
use berth_api::{ComposeSource, Deployed, ImageSource, Severity};
use reqwest::Method;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Carries out `berth deploy`.
///
/// # Errors
/// The file is wrong, the platform refused, or it is not ready in time.
pub async fn deploy(session: &Session, args: Deploy) -> Outcome {
    let (mut body, project) = read_request(&args.what)?;
    if let (Some(project), Some(compose)) = (&project, &mut body.compose) {
        let name = body.name.as_ref().map(ToString::to_string);
        compose.built = build::for_deploy(session, project, name, !args.no_build).await?;
    }
    let cluster = session.cluster().await?;
    let path = format!("/v1/clusters/{}/applications", encode(&cluster));
    let deployed: Deployed = session.client.post(&path, &body).await?;
    if args.abandon_volume {
        volumes::abandon_of(session, &deployed.name, &BTreeSet::new()).await?;
    }
    finish(session, deployed, &args.wait).await
}

/// What a deploy of a file sends.
pub(super) fn request(what: &DeploySource) -> Outcome<berth_api::Deploy> {
    Ok(read_request(what)?.0)
}

/// What a deploy sends, and the file that it comes from, if it is one of this machine.
fn read_request(what: &DeploySource) -> Outcome<(berth_api::Deploy, Option<Project>)> {
    let mut body = berth_api::Deploy {
        name: what.name.as_deref().map(parse_name).transpose()?,
        method: what.method.into(),
        ..berth_api::Deploy::default()
    };
    if let Some(template) = &what.template {
        body.template = Some(template::source(template, &what.variables)?);
    } else {
        let project = read(what.file.as_deref().unwrap_or(Path::new("-")), &what.variables)?;
        if body.name.is_none() && !project.names_itself() {
            body.name = Some(parse_name(&project.folder_name())?);
        }
        body.compose = Some(source(project.clone()));
        return Ok((body, Some(project)));
    }
    Ok((body, None))
}

/// Carries out `berth update`.
///
/// # Errors
/// As [`deploy`].
pub async fn update(session: &Session, args: Update) -> Outcome {
    let project = read(&args.file, &args.variables)?;
    let mut compose = source(project.clone());
    compose.built = build::for_deploy(session, &project, Some(args.app.clone()), !args.no_build).await?;
    let body = berth_api::Deploy {
        compose: Some(compose),
        method: args.method.into(),
        ..berth_api::Deploy::default()
    };
    let path = session.path("applications", &args.app, "");
    let deployed: Deployed = session.client.write(Method::PUT, &path, Some(&body)).await?;
    if args.abandon_volume {
        volumes::abandon_of(session, &args.app, &BTreeSet::new()).await?;
    }
    finish(session, deployed, &args.wait).await
}

/// Carries out `berth run`.
///
/// # Errors
/// As [`deploy`].
pub async fn run_image(session: &Session, args: Run) -> Outcome {
    let name = args.name.as_deref().map(parse_name).transpose()?;
    let image = ImageSource {
        image: args.image,
        ports: args.ports,
        environment: args.env.into_iter().collect(),
        replicas: Some(args.replicas),
        name: None,
        command: (!args.command.is_empty()).then_some(args.command),
    };
    let body = berth_api::Deploy {
        name,
        image: Some(image),
        ..berth_api::Deploy::default()
    };
    let cluster = session.cluster().await?;
    let path = format!("/v1/clusters/{}/applications", encode(&cluster));
    let deployed: Deployed = session.client.post(&path, &body).await?;
    finish(session, deployed, &args.wait).await
}

fn read(file: &Path, variables: &Variables) -> Outcome<Project> {
    Project::read(file, variables, &files::shell)
}

fn source(project: Project) -> ComposeSource {
    ComposeSource {
        file_name: project.file_name,
        text: project.text,
        environment: project.environment,
        dotenv: project.dotenv,
        files: project.files,
        binaries: project.binaries,
        overrides: project.overrides,
        profiles: project.profiles,
        built: BTreeMap::new(),
    }
}

/// Tells what came of a deploy, and waits if that is wanted.
///
/// # Errors
/// It is not ready in time, or its release failed.
pub async fn finish(session: &Session, deployed: Deployed, wait: &Wait) -> Outcome {
    show_warnings(session.printer, &deployed);
    let id = deployed.application_id.to_string();
    let what = match deployed.release_id {
        Some(release) => format!("release {release} of {} goes live", deployed.name),
        None => format!("{} is already so; nothing has changed", deployed.name),
    };
    if !wait.wait {
        let next = format!("{what}\nnext: berth ps {0}, berth why {0}", deployed.name);
        return session.printer.done(&deployed, &next);
    }
    session.printer.note(&what);
    if let Some(release) = deployed.release_id {
        let ended = watch::end_of(session, &id, release, wait.timeout).await;
        match ended {
            Ok(ended) => watch::judge(&deployed.name, &ended)?,
            // The reasons why it is not ready are told below.
            Err(failure) if failure.exit == Exit::NotReady => {}
            Err(failure) => return Err(failure),
        }
    }
    let target = wait::Target {
        key: &id,
        name: &deployed.name,
    };
    let application = wait::ready(session, target, wait).await?;
    let line = format!(
        "{} runs: {} containers",
        deployed.name, application.containers.running
    );
    session.printer.done(&deployed, &line)
}

fn show_warnings(printer: Printer, deployed: &Deployed) {
    for warning in deployed
        .warnings
        .iter()
        .filter(|warning| warning.severity == Severity::Warning)
    {
        printer.note(&diagnostic(warning));
    }
}
