//! Join tokens and API tokens. Their secrets are made here, shown once, and leave only as a hash.

use super::ListQuery;
use crate::{
    app::{App, Shared},
    auth::{Administering, Operating, hash},
    extract::{NoBody, Order, Params, Read, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_api::{
    API_TOKEN_PREFIX, JOIN_TOKEN_PREFIX, MintApiToken, MintJoinToken, MintedToken, Page, Token, Written,
    schema::TokenPage,
};
use berth_events::{AccessCommand, Category, CommandBody, Event, StreamName, TokenEvent, TokenGrant};
use berth_ids::{ClusterId, Timestamp, TokenId};
use berth_service_kit::Clock;
use std::{collections::BTreeSet, time::Duration};

/// How long a join token lives unless it says otherwise.
const DEFAULT_JOIN_TTL: u64 = 24 * 3_600;
/// The longest life of a join token.
const MAX_JOIN_TTL: u64 = 30 * 24 * 3_600;
/// The longest life of an API token that ends at all: ten years.
const MAX_API_TTL: u64 = 10 * 366 * 24 * 3_600;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Makes a join token for a cluster. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/clusters/{cluster}/join-tokens", tag = "tokens",
    request_body = MintJoinToken, params(("cluster" = String, Path, description = "Id or name")),
    responses((status = 201, description = "Made", body = MintedToken)))]
pub(crate) async fn mint_join_token(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    Write { order, body, .. }: Write<Operating, MintJoinToken>,
) -> Result<impl IntoResponse, Fault> {
    let cluster_id = app
        .view
        .read(|view| view.find_cluster(&order.access, &cluster).map(|row| row.id))?;
    let expires_at = end(Some(body.ttl_seconds.unwrap_or(DEFAULT_JOIN_TTL)), MAX_JOIN_TTL)?;
    let grant = TokenGrant::Join {
        cluster_id,
        max_uses: body.max_uses.unwrap_or(1),
    };
    let wish = Wish {
        grant,
        label: body.label,
        expires_at,
    };
    let (minted, secret) = mint(&app, &order, wish).await?;
    let text = format!(
        "{JOIN_TOKEN_PREFIX}{}.{secret}.{}",
        minted.id.as_uuid().simple(),
        app.facts.ca_sha256
    );
    Ok(shown_once(minted, text))
}

/// Lists the join tokens of a cluster by age.
#[utoipa::path(get, path = "/v1/clusters/{cluster}/join-tokens", tag = "tokens",
    params(("cluster" = String, Path, description = "Id or name"), ListQuery),
    responses((status = 200, description = "A page", body = TokenPage)))]
pub(crate) async fn list_join_tokens(
    State(app): State<Shared>,
    Read(caller): Read<Operating>,
    Segment(cluster): Segment,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Token>>, Fault> {
    let cluster = app.cluster_id(&caller.access, Some(&cluster))?;
    let page = query.page("join-tokens")?;
    let position = app.view.position();
    let items = app
        .view
        .read(|view| view.list_tokens(&caller.access, cluster, Clock::now(), &page));
    Ok(At::page(position, items))
}

/// Revokes a join token: no further server joins with it.
#[utoipa::path(delete, path = "/v1/join-tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Id")),
    responses((status = 200, description = "Revoked", body = Written)))]
pub(crate) async fn revoke_join_token(
    State(app): State<Shared>,
    Segment(token): Segment,
    Write { order, .. }: Write<Operating, NoBody>,
) -> Result<At<Written>, Fault> {
    revoke(&app, &order, &token, true).await
}

/// Makes an API token. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = MintApiToken,
    responses((status = 201, description = "Made", body = MintedToken)))]
pub(crate) async fn mint_token(
    State(app): State<Shared>,
    Write { order, body, .. }: Write<Administering, MintApiToken>,
) -> Result<impl IntoResponse, Fault> {
    if body.scopes.is_empty() {
        return Err(
            Fault::invalid("token.scopes", "a token without scopes opens nothing")
                .cure("name `admin`, `read`, `deploy` or `nodes` in `scopes`"),
        );
    }
    let clusters = granted_clusters(&app, &order, &body.clusters)?;
    let expires_at = end(body.ttl_seconds, MAX_API_TTL)?;
    let grant = TokenGrant::Api {
        scopes: body.scopes,
        clusters,
    };
    let wish = Wish {
        grant,
        label: body.label,
        expires_at,
    };
    let (minted, secret) = mint(&app, &order, wish).await?;
    let text = format!("{API_TOKEN_PREFIX}{}.{secret}", minted.id.as_uuid().simple());
    Ok(shown_once(minted, text))
}

/// Lists API tokens by age.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(ListQuery),
    responses((status = 200, description = "A page", body = TokenPage)))]
pub(crate) async fn list_tokens(
    State(app): State<Shared>,
    Read(caller): Read<Administering>,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Token>>, Fault> {
    let page = query.page("tokens")?;
    let position = app.view.position();
    let items = app
        .view
        .read(|view| view.list_tokens(&caller.access, None, Clock::now(), &page));
    Ok(At::page(position, items))
}

/// Revokes an API token. It is refused after five seconds at the latest.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Id")),
    responses((status = 200, description = "Revoked", body = Written)))]
pub(crate) async fn revoke_token(
    State(app): State<Shared>,
    Segment(token): Segment,
    Write { order, .. }: Write<Administering, NoBody>,
) -> Result<At<Written>, Fault> {
    revoke(&app, &order, &token, false).await
}

/// A token never opens more clusters than the one who makes it sees.
fn granted_clusters(
    app: &App,
    order: &Order,
    named: &BTreeSet<String>,
) -> Result<BTreeSet<ClusterId>, Fault> {
    if named.is_empty() && order.access.confined() {
        return Ok(order.access.clusters.clone());
    }
    app.view.read(|view| {
        let found = named
            .iter()
            .map(|text| view.find_cluster(&order.access, text).map(|row| row.id));
        found
            .collect::<Result<BTreeSet<ClusterId>, _>>()
            .map_err(Fault::from)
    })
}

fn end(ttl_seconds: Option<u64>, longest: u64) -> Result<Option<Timestamp>, Fault> {
    match ttl_seconds {
        None => Ok(None),
        Some(seconds) if seconds == 0 || seconds > longest => {
            let detail = format!("`ttl_seconds` is {seconds}; it can be 1 to {longest}");
            Err(Fault::invalid("token.ttl", detail))
        }
        Some(seconds) => Ok(Some(Clock::now().plus(Duration::from_secs(seconds)))),
    }
}

/// What a token is to be.
struct Wish {
    grant: TokenGrant,
    label: String,
    expires_at: Option<Timestamp>,
}

/// Mints a token; answers it without its text, and its secret.
async fn mint(app: &App, order: &Order, wish: Wish) -> Result<(MintedToken, String), Fault> {
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
    let token_id: TokenId = order.derived("token");
    let expires_at = wish.expires_at;
    let command = AccessCommand::MintToken {
        token_id,
        grant: wish.grant,
        hash: hash(&secret),
        label: wish.label,
        expires_at,
    };
    let accepted = app.submit(order, None, CommandBody::Access(command)).await?;
    if order.keyed {
        shown_before(app, token_id, &hash(&secret)).await?;
    }
    let minted = MintedToken {
        id: token_id,
        token: String::new(),
        expires_at,
        position: accepted.position,
        command_id: accepted.command_id,
    };
    Ok((minted, secret))
}

/// A repeat has made no token: the first answer's secret is the good one, and only its hash is known.
async fn shown_before(app: &App, token: TokenId, hash: &str) -> Result<(), Fault> {
    let stream = StreamName::new(Category::Token, token);
    let events = app.context.log().stream(&stream).await?;
    let first = events.first().and_then(|recorded| recorded.event().ok());
    match first {
        Some(Event::Token(TokenEvent::Minted(minted))) if minted.hash == hash => Ok(()),
        _ => Err(Fault::new(
            StatusCode::CONFLICT,
            "token.already_minted",
            format!("this key has made token {token}, and its text was shown then"),
        )
        .cure("if that answer was lost, revoke that token and mint one with another Idempotency-Key")),
    }
}

fn shown_once(mut minted: MintedToken, text: String) -> impl IntoResponse {
    minted.token = text;
    let position = minted.position;
    let answer = At::shown(position, minted).status(StatusCode::CREATED);
    ([(header::CACHE_CONTROL, "no-store")], answer)
}

async fn revoke(app: &App, order: &Order, token: &str, join: bool) -> Result<At<Written>, Fault> {
    let (token_id, cluster) = app.view.read(|view| {
        let row = view.find_token(&order.access, token)?;
        match &row.grant {
            TokenGrant::Join { cluster_id, .. } if join => Ok((row.id, Some(*cluster_id))),
            TokenGrant::Api { .. } if !join => Ok((row.id, None)),
            TokenGrant::Join { .. } | TokenGrant::Api { .. } => Err(berth_gateway_core::FindError::Missing {
                kind: "token",
                text: token.to_owned(),
            }),
        }
    })?;
    let command = CommandBody::Access(AccessCommand::RevokeToken { token_id });
    let accepted = app.submit(order, cluster, command).await?;
    app.sessions.forget();
    Ok(At::shown(accepted.position, accepted.written(token_id, None)))
}
