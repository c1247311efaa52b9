//! Images that nodes make of what a Compose file says under `build`.

use super::Session;
use crate::{
    cli::BuildArgs,
    client::{encode, query},
    exit::{Exit, Failure, Outcome},
    files::{self, Project},
    output::{Table, cell},
    packing::{Context, registries},
};
use berth_api::{BuildLine, BuildRequest, BuildState};
use berth_compose::Build;
use std::collections::BTreeMap;

/// How images are built, besides what the file says.
#[derive(Debug, Default)]
pub(super) struct Options {
    node: Option<String>,
    no_cache: bool,
    pull: bool,
    /// Name of the application that they are for.
    application: Option<String>,
}

/// Carries out `berth build`.
///
/// # Errors
/// The file is wrong, or an image was not built and pushed.
pub async fn run(session: &Session, args: BuildArgs) -> Outcome {
    let project = Project::read(&args.file, &args.variables, &files::shell)?;
    let mut builds = project.builds().map_err(|faults| {
        let mut failure = Failure::usage(format!("{} cannot be read", project.file_name));
        failure.faults = faults.iter().map(ToString::to_string).collect();
        failure
    })?;
    for service in &args.services {
        if !builds.contains_key(service) {
            let message = format!("{} has no service `{service}` with `build`", project.file_name);
            return Err(Failure::usage(message));
        }
    }
    builds.retain(|service, _| args.services.is_empty() || args.services.contains(service));
    if builds.is_empty() {
        let message = format!("no service of {} has `build`", project.file_name);
        return Err(Failure::usage(message).cure("write what the image is made of under `build`"));
    }
    let options = Options {
        node: args.node,
        no_cache: args.no_cache,
        pull: args.pull,
        application: None,
    };
    let made = all(session, &project, &builds, &options).await?;
    let list: Vec<_> = made.values().collect();
    session.printer.print(&list, |list| {
        let mut table = Table::new(&["SERVICE", "IMAGE", "DIGEST", "NODE", "SECONDS"]);
        for build in list {
            table.row(row(build));
        }
        table.render()
    })
}

/// Carries out `berth builds`.
///
/// # Errors
/// What the platform answered.
pub async fn list(session: &Session) -> Outcome {
    let cluster = session.cluster().await?;
    let path = format!("/v1/clusters/{}/builds", encode(&cluster));
    let builds: Vec<berth_api::Build> = session.client.list(&query(&path, &[])).await?;
    session.printer.print(&builds, |builds| {
        let mut table = Table::new(&["WHEN", "STATE", "IMAGE", "DIGEST", "NODE", "SECONDS", "BY"]);
        for build in builds {
            let [_, image, digest, node, seconds] = row(build);
            table.row([
                cell(build.requested_at),
                cell(crate::output::word(&build.state)),
                image,
                digest,
                node,
                seconds,
                cell(&build.requested_by),
            ]);
        }
        table.render()
    })
}

fn row(build: &berth_api::Build) -> [crate::output::Cell; 5] {
    let seconds = build.duration_ms.map(|millis| millis.div_ceil(1_000).to_string());
    [
        cell(build.service.as_deref().unwrap_or_default()),
        cell(&build.image),
        cell(build.digest.as_deref().unwrap_or_default()),
        cell(&build.node),
        cell(seconds.unwrap_or_default()),
    ]
}

/// Digests of what a deploy of this file needs built, by service; empty ones if it takes what the registry has.
///
/// # Errors
/// An image was not built and pushed.
pub(super) async fn for_deploy(
    session: &Session,
    project: &Project,
    application: Option<String>,
    build: bool,
) -> Outcome<BTreeMap<String, String>> {
    // A file with faults is refused by the platform, with all their places.
    let Ok(builds) = project.builds() else {
        return Ok(BTreeMap::new());
    };
    if !build {
        return Ok(builds
            .into_keys()
            .map(|service| (service, String::new()))
            .collect());
    }
    let options = Options {
        application,
        ..Options::default()
    };
    let made = all(session, project, &builds, &options).await?;
    let digests = made
        .into_iter()
        .map(|(service, build)| (service, build.digest.unwrap_or_default()));
    Ok(digests.collect())
}

/// Builds one after the other; services that say the same share one image.
async fn all(
    session: &Session,
    project: &Project,
    builds: &BTreeMap<String, Build>,
    options: &Options,
) -> Outcome<BTreeMap<String, berth_api::Build>> {
    let mut made: BTreeMap<String, berth_api::Build> = BTreeMap::new();
    for (service, build) in builds {
        let same = builds
            .iter()
            .find(|(other, known)| made.contains_key(*other) && *known == build);
        let result = match same.and_then(|(other, _)| made.get(other)) {
            Some(known) => known.clone(),
            None => one(session, project, (service, build), options).await?,
        };
        made.insert(service.clone(), result);
    }
    Ok(made)
}

async fn one(
    session: &Session,
    project: &Project,
    (service, build): (&str, &Build),
    options: &Options,
) -> Outcome<berth_api::Build> {
    let cluster = session.cluster().await?;
    let folder = project.full_folder()?;
    let context = Context::of(folder.as_ref(), build)?;
    let request = request(service, build, options, (&context, project));
    session
        .printer
        .note(&format!("{service} | {} is built and pushed", build.image));
    let path = format!("/v1/clusters/{}/builds", encode(&cluster));
    let (pieces, packed) = context.pack();
    let sent = session.client.upload(&path, &request, pieces).await;
    let mut lines = match (sent, packed.await) {
        // The reason why the archive broke off says more than that it did.
        (Err(_), Ok(Err(failure))) if failure.message.contains("cannot be packed") => return Err(failure),
        (sent, _) => sent?,
    };
    while let Some(line) = lines.next().await? {
        let line: BuildLine = serde_json::from_str(&line)
            .map_err(|error| Failure::other(format!("the answer does not have its shape: {error}")))?;
        match line {
            BuildLine::Output { text } => session.printer.note(&format!("{service} | {text}")),
            BuildLine::Ended { build } if build.state == BuildState::Succeeded => return Ok(build),
            BuildLine::Ended { build } => return Err(not_built(service, &build)),
        }
    }
    Err(
        Failure::new(Exit::Unavailable, format!("the making of `{service}` broke off"))
            .cure("give the command again"),
    )
}

fn not_built(service: &str, build: &berth_api::Build) -> Failure {
    let reason = build.message.as_deref().unwrap_or("no reason was given");
    Failure::other(format!(
        "the image of `{service}` was not built on node `{}`: {reason}",
        build.node
    ))
}

fn request(
    service: &str,
    build: &Build,
    options: &Options,
    (context, project): (&Context, &Project),
) -> BuildRequest {
    let given = build.args.iter().filter_map(|(name, value)| {
        let value = value.clone().or_else(|| files::shell(name))?;
        Some((name.clone(), value))
    });
    let args: BTreeMap<String, String> = given.collect();
    BuildRequest {
        image: build.image.clone(),
        tags: build.tags.clone(),
        registries: registries(&context.steps, &args),
        dockerfile: Some(context.dockerfile.clone()),
        args,
        target: build.target.clone(),
        labels: build.labels.clone(),
        no_cache: build.no_cache || options.no_cache,
        pull: build.pull || options.pull,
        network: build.network.clone(),
        extra_hosts: build.extra_hosts.clone(),
        platform: build.platform.clone(),
        cache_from: build.cache_from.clone(),
        shm_bytes: build.shm_bytes,
        node: options.node.clone(),
        application: options.application.clone().or_else(|| project.own_name()),
        service: Some(service.to_owned()),
    }
}
