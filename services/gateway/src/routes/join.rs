//! How a server becomes a node: the only route without a bearer token.

use crate::{app::Shared, auth::hash, extract::Open, problem::Fault, submit::At};
use axum::{extract::State, http::StatusCode};
use berth_api::{JoinAnswer, JoinRequest};
use berth_events::{AccessCommand, COMMAND_VERSION, ClusterCommand, Command, CommandBody, JoinGrant};
use berth_ids::{CommandId, CorrelationId};
use berth_service_kit::{Clock, derived_id, new_id, telemetry};
use sha2::{Digest, Sha256};
use std::time::Instant;

/// Joins of all unknown servers together count as those of one principal.
const ACTOR_OF_RATE: &str = "join";

/// Makes a server a node: uses a join token and gives the agent a bus user of its own.
///
/// The same request again is harmless and gets the same node.
#[utoipa::path(post, path = "/v1/join", tag = "nodes", request_body = JoinRequest, security(()),
    responses((status = 201, description = "The server is a node", body = JoinAnswer)))]
pub(crate) async fn join(
    State(app): State<Shared>,
    Open(body): Open<JoinRequest>,
) -> Result<At<JoinAnswer>, Fault> {
    if !app.rates.take(ACTOR_OF_RATE, Instant::now()) {
        return Err(Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            "request.rate",
            "too many servers join at once",
        ));
    }
    let parts = Parts::of(&body);
    let redeem = AccessCommand::RedeemJoin {
        token_id: body.token_id,
        hash: hash(&body.secret),
        node_id: body.node_id,
        user_key: body.user_key.clone(),
        sealing_key: body.sealing_key.clone(),
    };
    let command = parts.command("redeem", &app.facts.tenant, CommandBody::Access(redeem));
    let redeemed = app.send(&command, None).await?;
    let grant: JoinGrant = serde_json::from_value(redeemed.result)
        .map_err(|error| Fault::internal(format!("access-svc answers a join with another shape: {error}")))?;
    let join = ClusterCommand::JoinNode {
        node_id: body.node_id,
        cluster_id: grant.cluster_id,
        name: body.name.clone(),
        zone: body.zone.clone(),
        address: body.address.clone(),
        labels: body.labels.clone(),
        resources: body.resources.clone(),
        facts: body.facts.clone(),
    };
    let command = parts.command("join", &grant.tenant, CommandBody::Cluster(join));
    let joined = app.send(&command, Some(grant.cluster_id)).await?;
    let name: Option<String> = joined.field("name");
    let answer = JoinAnswer {
        node_id: body.node_id,
        name: name.unwrap_or_else(|| body.node_id.to_string()),
        cluster_id: grant.cluster_id,
        tenant: grant.tenant,
        user_jwt: grant.user_jwt,
        nats_urls: app.facts.nats_urls.clone(),
        ca_pem: app.facts.ca_pem.clone(),
        position: joined.position,
    };
    Ok(At::shown(joined.position, answer).status(StatusCode::CREATED))
}

/// What the two commands of a join have in common.
struct Parts {
    actor: String,
    correlation_id: CorrelationId,
    /// Of what must stay the same in a repeat; measured facts may change in between.
    request_hash: String,
    node: berth_ids::Uuid,
    token: String,
}

impl Parts {
    fn of(body: &JoinRequest) -> Self {
        let mut sha = Sha256::new();
        let name = body.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let token = body.token_id.to_string();
        let node = body.node_id.to_string();
        for part in [
            &token,
            &node,
            &body.user_key,
            &body.sealing_key,
            &hash(&body.secret),
            &name,
        ] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part.as_bytes());
        }
        Self {
            actor: format!("node:{node}"),
            correlation_id: new_id(),
            request_hash: hex::encode(sha.finalize()),
            node: body.node_id.as_uuid(),
            token,
        }
    }

    fn command(&self, step: &str, tenant: &str, body: CommandBody) -> Command {
        // The hash is in the id: a wrong secret first must not spoil the right one after it.
        let command_id: CommandId =
            derived_id(self.node, &format!("{step}/{}/{}", self.token, self.request_hash));
        Command {
            version: COMMAND_VERSION,
            command_id,
            tenant: tenant.to_owned(),
            actor: self.actor.clone(),
            correlation_id: self.correlation_id,
            issued_at: Clock::now(),
            request_hash: self.request_hash.clone(),
            traceparent: telemetry::current_traceparent(),
            body,
        }
    }
}
