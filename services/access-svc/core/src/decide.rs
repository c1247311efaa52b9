//! A command to access-svc, decided over the streams that it touches.

use crate::{credential, credential_of, login, secret, token, token_of};
use berth_events::{
    AccessCommand, AccountCreated, AccountEvent, Category, ClusterEvent, CredentialIssued, Event,
    NameClaimed, NameEvent, Rejection, Scope, StreamName, TokenGrant, TokenMinted,
};
use berth_eventsourcing::{Decision, Streams, Undecided};
use berth_ids::{AccountId, ClusterId, NodeId, SecretId, Timestamp, TokenId};
use serde_json::json;
use std::collections::BTreeSet;

use crate::refusal::{conflict, not_found};

/// What a decision rests on besides the streams.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Tenant of the command.
    pub tenant: &'a str,
    /// Moment of the command.
    pub now: Timestamp,
}

/// The stream of an account.
pub fn account_stream(id: AccountId) -> StreamName {
    StreamName::new(Category::Account, id)
}

/// The stream of a token.
pub fn token_stream(id: TokenId) -> StreamName {
    StreamName::new(Category::Token, id)
}

/// The stream of a node's bus user.
pub fn credential_stream(id: NodeId) -> StreamName {
    StreamName::new(Category::Credential, id)
}

/// The stream of a secret.
pub fn secret_stream(id: SecretId) -> StreamName {
    StreamName::new(Category::Secret, id)
}

/// The stream that lets the platform be bootstrapped once.
pub fn bootstrap_claim() -> StreamName {
    StreamName::name("access", "root")
}

/// What a command comes to.
///
/// # Errors
/// [`Undecided`]: a stream to be loaded first, or the rule that refuses.
pub fn decide(
    command: &AccessCommand,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    match command {
        AccessCommand::Bootstrap {
            account_id,
            token_id,
            hash,
        } => bootstrap(*account_id, *token_id, hash, context, streams),
        AccessCommand::MintToken {
            token_id,
            grant,
            hash,
            label,
            expires_at,
        } => {
            let wanted = TokenMinted {
                token_id: *token_id,
                grant: grant.clone(),
                hash: hash.clone(),
                label: label.clone(),
                expires_at: *expires_at,
            };
            mint(&wanted, context, streams)
        }
        AccessCommand::RevokeToken { token_id } => revoke_token(*token_id, context, streams),
        AccessCommand::RedeemJoin {
            token_id,
            hash,
            node_id,
            user_key,
            sealing_key,
        } => {
            let join = Join {
                token_id: *token_id,
                hash,
                node_id: *node_id,
                user_key,
                sealing_key,
            };
            redeem(&join, context, streams)
        }
        AccessCommand::RevokeCredential { node_id } => {
            let stream = credential_stream(*node_id);
            let loaded = streams.get(&stream)?;
            let events = credential::revoke(&credential_of(loaded));
            Ok(Decision::nothing()
                .with(stream, loaded.version, events)
                .answering(json!({ "node_id": node_id })))
        }
        AccessCommand::ForgetLogin {
            cluster_id,
            secret_id,
        } => forget_login(*cluster_id, *secret_id, context, streams),
    }
}

fn forget_login(
    cluster_id: ClusterId,
    secret_id: SecretId,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let stream = secret_stream(secret_id);
    let loaded = streams.get(&stream)?;
    let own = loaded
        .tenant
        .as_ref()
        .is_some_and(|tenant| tenant == context.tenant);
    if !own || !login::is_login_of(loaded, cluster_id) {
        return Err(not_found("access.login_unknown", "there is no such login".to_owned()).into());
    }
    let events = secret::destroy(&secret::secret_of(loaded));
    Ok(Decision::nothing()
        .with(stream, loaded.version, events)
        .answering(json!({ "secret_id": secret_id })))
}

fn bootstrap(
    account_id: AccountId,
    token_id: TokenId,
    hash: &str,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let claim = bootstrap_claim();
    if streams.get(&claim)?.version > 0 {
        return Err(conflict(
            "access.bootstrapped",
            "the platform has its root token already".to_owned(),
            "use it, or the database's backup if it is lost",
        )
        .into());
    }
    let minted = TokenMinted {
        token_id,
        grant: TokenGrant::Api {
            scopes: BTreeSet::from([Scope::Admin]),
            clusters: BTreeSet::new(),
        },
        hash: hash.to_owned(),
        label: "root".to_owned(),
        expires_at: None,
    };
    let stream = token_stream(token_id);
    let loaded = streams.get(&stream)?;
    let events = token::mint(&token_of(loaded), &minted, context.now)?;
    let account = AccountEvent::Created(AccountCreated {
        account_id,
        tenant: context.tenant.to_owned(),
    });
    let claimed = NameEvent::Claimed(NameClaimed {
        owner: account_id.to_string(),
    });
    Ok(Decision::nothing()
        .with(account_stream(account_id), 0, [account])
        .with(stream, loaded.version, events)
        .with(claim, 0, [claimed])
        .answering(json!({ "account_id": account_id, "token_id": token_id })))
}

fn mint(wanted: &TokenMinted, context: Context<'_>, streams: &Streams) -> Result<Decision, Undecided> {
    let mut decision = Decision::nothing();
    if let TokenGrant::Join { cluster_id, .. } = &wanted.grant {
        let (stream, version) = living_cluster(*cluster_id, context, streams)?;
        decision = decision.guarded(stream, version);
    }
    let stream = token_stream(wanted.token_id);
    let loaded = streams.get(&stream)?;
    let events = token::mint(&token_of(loaded), wanted, context.now)?;
    Ok(decision
        .with(stream, loaded.version, events)
        .answering(json!({ "token_id": wanted.token_id })))
}

fn revoke_token(id: TokenId, context: Context<'_>, streams: &Streams) -> Result<Decision, Undecided> {
    let stream = token_stream(id);
    let loaded = streams.get(&stream)?;
    if loaded
        .tenant
        .as_ref()
        .is_some_and(|tenant| tenant != context.tenant)
    {
        return Err(not_found("access.token_unknown", "there is no such token".to_owned()).into());
    }
    let events = token::revoke(&token_of(loaded))?;
    Ok(Decision::nothing()
        .with(stream, loaded.version, events)
        .answering(json!({ "token_id": id })))
}

struct Join<'a> {
    token_id: TokenId,
    hash: &'a str,
    node_id: NodeId,
    user_key: &'a str,
    sealing_key: &'a str,
}

fn redeem(join: &Join<'_>, context: Context<'_>, streams: &Streams) -> Result<Decision, Undecided> {
    let token_stream = token_stream(join.token_id);
    let token_loaded = streams.get(&token_stream)?;
    let (cluster_id, used) = token::redeem(&token_of(token_loaded), join.hash, join.node_id, context.now)?;
    // The token's own tenant counts: a server that joins does not know it.
    let tenant = token_loaded
        .tenant
        .clone()
        .unwrap_or_else(|| context.tenant.to_owned());
    let of_token = Context {
        tenant: &tenant,
        now: context.now,
    };
    let (cluster, cluster_version) = living_cluster(cluster_id, of_token, streams)?;
    let stream = credential_stream(join.node_id);
    let loaded = streams.get(&stream)?;
    let wanted = CredentialIssued {
        node_id: join.node_id,
        cluster_id,
        user_key: join.user_key.to_owned(),
        sealing_key: join.sealing_key.to_owned(),
    };
    let issued = credential::issue(&credential_of(loaded), &wanted)?;
    Ok(Decision::nothing()
        .with(token_stream, token_loaded.version, used)
        .with(stream, loaded.version, issued)
        .guarded(cluster, cluster_version)
        .answering(json!({ "cluster_id": cluster_id, "tenant": tenant })))
}

/// The cluster is there and is not being deleted; its stream and version, to be guarded.
fn living_cluster(
    id: ClusterId,
    context: Context<'_>,
    streams: &Streams,
) -> Result<(StreamName, u64), Undecided> {
    let stream = StreamName::new(Category::Cluster, id);
    let loaded = streams.get(&stream)?;
    let foreign = loaded
        .tenant
        .as_ref()
        .is_some_and(|tenant| tenant != context.tenant);
    let life = loaded
        .events
        .iter()
        .fold(Life::Absent, |life, event| match event {
            Event::Cluster(ClusterEvent::Created(_)) => Life::There,
            Event::Cluster(ClusterEvent::DeleteRequested(_)) => Life::Ending,
            Event::Cluster(ClusterEvent::Deleted(_)) => Life::Absent,
            _ => life,
        });
    match life {
        Life::There if !foreign => Ok((stream, loaded.version)),
        Life::Ending if !foreign => Err(ending().into()),
        Life::There | Life::Ending | Life::Absent => {
            Err(not_found("cluster.unknown", "there is no such cluster".to_owned()).into())
        }
    }
}

#[derive(Clone, Copy)]
enum Life {
    Absent,
    There,
    Ending,
}

fn ending() -> Rejection {
    conflict(
        "cluster.deleting",
        "the cluster is being deleted".to_owned(),
        "use another cluster",
    )
}
