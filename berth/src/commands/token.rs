//! `berth token …`.

use super::Session;
use crate::{
    cli::{CreateToken, TokenCommand},
    client::encode,
    exit::{Exit, Outcome},
    output::{Table, Tone, cell, print_text, toned, word},
};
use berth_api::{Cluster, MintApiToken, MintJoinToken, MintedToken, Token, TokenKind, TokenState, Written};
use std::time::Duration;

/// How long a join token is good unless `--ttl` says otherwise.
const JOIN_TTL: Duration = Duration::from_secs(3_600);

/// Carries out `berth token …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::Ls => {
            let tokens = all(session).await?;
            session.printer.print(&tokens, table)
        }
        TokenCommand::Revoke { id } => {
            let written = revoke(session, &id).await?;
            session
                .printer
                .done(&written, &format!("token {id} opens nothing any more"))
        }
    }
}

/// API tokens, and the join tokens of each cluster (of the one to work in, if one was named).
async fn all(session: &Session) -> Outcome<Vec<Token>> {
    let mut tokens: Vec<Token> = session.client.list("/v1/tokens").await?;
    let clusters: Vec<String> = match &session.client.cluster {
        Some(name) => vec![name.clone()],
        None => {
            let clusters: Vec<Cluster> = session.client.list("/v1/clusters").await?;
            clusters.iter().map(|cluster| cluster.id.to_string()).collect()
        }
    };
    for cluster in clusters {
        let path = format!("/v1/clusters/{}/join-tokens", encode(&cluster));
        tokens.extend(session.client.list::<Token>(&path).await?);
    }
    Ok(tokens)
}

/// Revokes an API token, or else a join token.
async fn revoke(session: &Session, id: &str) -> Outcome<Written> {
    match session.client.delete(&format!("/v1/tokens/{}", encode(id))).await {
        Err(failure) if failure.exit == Exit::NotFound => {
            session
                .client
                .delete(&format!("/v1/join-tokens/{}", encode(id)))
                .await
        }
        other => other,
    }
}

async fn create(session: &Session, args: CreateToken) -> Outcome {
    let minted: MintedToken = if args.scopes.is_empty() {
        let body = MintJoinToken {
            ttl_seconds: Some(args.ttl.unwrap_or(JOIN_TTL).as_secs()),
            max_uses: Some(args.max_uses),
            label: args.label,
        };
        let cluster = session.cluster().await?;
        session
            .client
            .post(&format!("/v1/clusters/{}/join-tokens", encode(&cluster)), &body)
            .await?
    } else {
        let body = MintApiToken {
            scopes: args.scopes.iter().map(|scope| (*scope).into()).collect(),
            clusters: session.client.cluster.iter().cloned().collect(),
            ttl_seconds: args.ttl.map(|ttl| ttl.as_secs()),
            label: args.label,
        };
        session.client.post("/v1/tokens", &body).await?
    };
    if args.quiet {
        return print_text(&minted.token);
    }
    let good = minted
        .expires_at
        .map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {end}"));
    let mut line = format!(
        "{}\n\ntoken {} is good {good}; it is not shown again",
        minted.token, minted.id
    );
    if args.scopes.is_empty() {
        let url = session.client.base();
        line.push_str(&format!(
            "\nnext, on the server that becomes a node: berth agent join {url} TOKEN"
        ));
    }
    session.printer.done(&minted, &line)
}

fn table(tokens: &Vec<Token>) -> String {
    let mut table = Table::new(&["ID", "KIND", "STATE", "OPENS", "USES", "EXPIRES", "LABEL", "BY"]);
    for token in tokens {
        let opens = match token.kind {
            TokenKind::Join => token
                .cluster_id
                .map(|cluster| cluster.to_string())
                .unwrap_or_default(),
            TokenKind::Api => token.scopes.iter().map(word).collect::<Vec<_>>().join(", "),
        };
        let uses = match (token.uses, token.max_uses) {
            (Some(uses), Some(0)) => uses.to_string(),
            (Some(uses), Some(most)) => format!("{uses}/{most}"),
            _ => String::new(),
        };
        let tone = match token.state {
            TokenState::Active => Tone::Good,
            TokenState::Expired | TokenState::UsedUp | TokenState::Revoked => Tone::Dim,
        };
        table.row([
            cell(token.id),
            cell(word(&token.kind)),
            toned(word(&token.state), tone),
            cell(opens),
            cell(uses),
            cell(
                token
                    .expires_at
                    .map_or_else(|| "never".to_owned(), |end| end.to_string()),
            ),
            cell(&token.label),
            cell(&token.created_by),
        ]);
    }
    table.render()
}
