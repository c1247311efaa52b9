//! Images that nodes make.

use super::ListQuery;
use crate::{
    app::{App, Shared},
    auth::{Deploying, Reading},
    build::{self, Asked, Opened},
    extract::{Order, Params, Read, Segment},
    problem::Fault,
    submit::At,
    upload::Upload,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_api::{Build, BuildForm, BuildLine, BuildRequest, BuildState, Page, schema::BuildPage};
use berth_events::{
    BuildOrder, BuildRequested, CommandBody, SchedulerCommand, SecurityPolicy, spec::registry_of,
};
use berth_gateway_core::Builder;
use berth_ids::{BuildId, ClusterId, NodeId};
use berth_service_kit::Clock;
use futures::StreamExt;
use std::convert::Infallible;
use tokio_stream::wrappers::ReceiverStream;

/// Media type of one JSON object a line.
const NDJSON: &str = "application/x-ndjson";
/// Name of the file with the steps, unless another is named.
const DOCKERFILE: &str = "Dockerfile";
/// Networks of steps that every cluster allows.
const NETWORKS: [&str; 3] = ["default", "bridge", "none"];

/// Lets a node make an image and push it with the stored logins: one JSON object a line while it works. The last
/// line has `kind` `ended`, and says in `build` how.
#[utoipa::path(post, path = "/v1/clusters/{cluster}/builds", tag = "builds",
    params(("cluster" = String, Path, description = "Id or name")),
    request_body(content = BuildForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "Lines", content((BuildLine = "application/x-ndjson")))))]
pub(crate) async fn build_image(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    mut upload: Upload<Deploying, BuildRequest>,
) -> Result<Response, Fault> {
    let order = &upload.order;
    let build_id: BuildId = order.derived("build");
    if order.keyed {
        let head = app.context.log().head().await?;
        app.view.at_least(head).await?;
    }
    if let Some(answer) = known(&app, build_id)? {
        return Ok(answer);
    }
    let (cluster_id, policy) = app.view.read(|view| {
        let found = view.find_cluster(&order.access, &cluster);
        found.map(|row| (row.id, row.policy))
    })?;
    check(&upload.body, policy)?;
    let (node_id, node) = app.builder(cluster_id, &upload.body)?;
    let build = app
        .request(order, build_id, &upload.body, (cluster_id, node_id, node))
        .await?;
    let asked = Asked {
        tenant: order.principal.tenant.clone(),
        actor: order.principal.actor.clone(),
        command_id: order.command_id,
        correlation_id: order.correlation_id,
        request_hash: order.request_hash.clone(),
    };
    let work = work(&upload.body);
    let Opened { pieces: to, lines } = build::open(app.clone(), asked, build, work).await?;
    upload.context(&to).await?;
    let lines = ReceiverStream::new(lines).map(|line| Ok::<_, Infallible>(text(&line)));
    Ok(answer(Body::from_stream(lines)))
}

fn answer(body: Body) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_TYPE, NDJSON),
    ];
    (headers, body).into_response()
}

fn text(line: &BuildLine) -> Bytes {
    // Its maps have texts as keys, so it always has a JSON form.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// What a repeat with the same key is answered.
fn known(app: &App, id: BuildId) -> Result<Option<Response>, Fault> {
    let row = app
        .view
        .read(|view| view.build_row(id).map(|row| row.answer(Clock::now())));
    let Some(build) = row else { return Ok(None) };
    if build.state == BuildState::Running {
        let detail = format!("build {id} with this key is under way");
        let fault = Fault::new(StatusCode::CONFLICT, "build.under_way", detail);
        return Err(fault.cure("wait for its end, or send another `Idempotency-Key`"));
    }
    Ok(Some(answer(Body::from(text(&BuildLine::Ended { build })))))
}

/// What the builder is told.
fn work(request: &BuildRequest) -> BuildOrder {
    BuildOrder {
        image: request.image.clone(),
        tags: request.tags.clone(),
        registries: registries(request),
        dockerfile: request
            .dockerfile
            .clone()
            .unwrap_or_else(|| DOCKERFILE.to_owned()),
        args: request.args.clone(),
        target: request.target.clone(),
        labels: request.labels.clone(),
        no_cache: request.no_cache,
        pull: request.pull,
        network: request.network.clone(),
        extra_hosts: request.extra_hosts.clone(),
        platform: request.platform.clone(),
        cache_from: request.cache_from.clone(),
        shm_bytes: request.shm_bytes,
    }
}

fn registries(request: &BuildRequest) -> std::collections::BTreeSet<String> {
    let names = std::iter::once(&request.image)
        .chain(&request.tags)
        .chain(&request.cache_from);
    let own = names.map(|image| registry_of(image).to_owned());
    let more = request.registries.iter().map(|registry| registry.to_lowercase());
    own.chain(more).collect()
}

fn check(request: &BuildRequest, policy: SecurityPolicy) -> Result<(), Fault> {
    if let Some(network) = &request.network
        && policy != SecurityPolicy::Open
        && !NETWORKS.contains(&network.as_str())
    {
        let detail = format!("the policy of the cluster refuses steps in the network `{network}`");
        return Err(Fault::invalid("build.network", detail)
            .cure("leave it out, or ask an administrator of the cluster to set its policy to open"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:[]".contains(c);
    if let Some(host) = request.extra_hosts.iter().find(|host| !host.chars().all(plain)) {
        let detail = format!("`{host}` is no host name and address");
        return Err(Fault::invalid("build.extra_host", detail).cure("write `name:192.0.2.1`"));
    }
    let path = request.dockerfile.as_deref().unwrap_or(DOCKERFILE);
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let detail = format!("`{path}` is not in the context");
        return Err(Fault::invalid("build.dockerfile", detail).cure("name a file of the archive"));
    }
    Ok(())
}

impl App {
    /// The node that makes it.
    fn builder(&self, cluster: ClusterId, request: &BuildRequest) -> Result<(NodeId, String), Fault> {
        let wanted = Builder {
            node: request.node.as_deref(),
            image: &request.image,
            platform: request.platform.as_deref(),
        };
        let found = self.view.read(|view| {
            let row = view.choose_builder(cluster, wanted, Clock::now());
            row.map(|row| (row.id, row.name.to_string()))
        });
        found.ok_or_else(|| {
            let what = match (&request.node, &request.platform) {
                (Some(node), _) => format!("node `{node}` is not ready, or is not there"),
                (None, Some(platform)) => format!("no node that is ready has the platform {platform}"),
                (None, None) => "no node is ready".to_owned(),
            };
            Fault::new(StatusCode::CONFLICT, "build.no_node", what)
                .cure("see `berth node ls`; join a node, or uncordon one")
        })
    }

    /// Records that an image was asked for.
    async fn request(
        &self,
        order: &Order,
        build_id: BuildId,
        request: &BuildRequest,
        (cluster_id, node_id, node): (ClusterId, NodeId, String),
    ) -> Result<Build, Fault> {
        let requested = BuildRequested {
            cluster_id,
            node_id,
            image: request.image.clone(),
            tags: request.tags.clone(),
            registries: registries(request),
            application: request.application.clone(),
            service: request.service.clone(),
        };
        let command = SchedulerCommand::RequestBuild { build_id, requested };
        self.submit(order, Some(cluster_id), CommandBody::Scheduler(command))
            .await?;
        Ok(Build {
            id: build_id,
            cluster_id,
            node_id,
            node,
            image: request.image.clone(),
            tags: request.tags.clone(),
            application: request.application.clone(),
            service: request.service.clone(),
            state: BuildState::Running,
            digest: None,
            message: None,
            requested_at: Clock::now(),
            requested_by: order.principal.actor.clone(),
            duration_ms: None,
        })
    }
}

/// Lists the newest makings of images of a cluster, oldest first.
#[utoipa::path(get, path = "/v1/clusters/{cluster}/builds", tag = "builds",
    params(("cluster" = String, Path, description = "Id or name"), ListQuery),
    responses((status = 200, description = "A page", body = BuildPage)))]
pub(crate) async fn list_builds(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(cluster): Segment,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Build>>, Fault> {
    let page = query.page("builds")?;
    let position = app.view.position();
    let items = app.view.read(|view| {
        let cluster = view.find_cluster(&caller.access, &cluster)?.id;
        Ok::<_, berth_gateway_core::FindError>(view.list_builds(cluster, Clock::now(), &page))
    })?;
    Ok(At::page(position, items))
}

/// Shows the making of an image.
#[utoipa::path(get, path = "/v1/builds/{build}", tag = "builds",
    params(("build" = String, Path, description = "Id")),
    responses((status = 200, description = "The making", body = Build)))]
pub(crate) async fn get_build(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(build): Segment,
) -> Result<At<Build>, Fault> {
    let position = app.view.position();
    let found = app.view.read(|view| {
        let row = view.find_build(&caller.access, &build)?;
        Ok::<_, berth_gateway_core::FindError>(row.answer(Clock::now()))
    })?;
    Ok(At::shown(position, found))
}
