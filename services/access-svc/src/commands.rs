//! Commands to accounts, tokens and bus users.

use crate::nats_auth::Signer;
use async_trait::async_trait;
use berth_access_core::{Context, decide};
use berth_events::{AccessCommand, Command, CommandBody, JoinGrant};
use berth_ids::ClusterId;
use berth_service_kit::{Decide, DecideError, Decision, Log, decide_over_streams, misdirected};
use std::sync::Arc;

pub(crate) struct Rules {
    log: Log,
    signer: Arc<Signer>,
}

impl Rules {
    pub(crate) fn new(log: Log, signer: Arc<Signer>) -> Self {
        Self { log, signer }
    }

    /// A redeemed join token is answered with a signed bus user. The same command signs the same.
    fn sign(
        &self,
        command: &Command,
        asked: &AccessCommand,
        decision: Decision,
    ) -> Result<Decision, DecideError> {
        let AccessCommand::RedeemJoin {
            node_id, user_key, ..
        } = asked
        else {
            return Ok(decision);
        };
        let Decision::Append {
            streams,
            guards,
            result,
        } = decision
        else {
            return Ok(decision);
        };
        let unavailable = |error: String| DecideError::Unavailable(error);
        let field = |name: &str| {
            result
                .get(name)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
        };
        let cluster_id: ClusterId = field("cluster_id")
            .parse()
            .map_err(|_| unavailable("a redeemed token names no cluster".into()))?;
        let user_jwt = self
            .signer
            .agent(*node_id, cluster_id, user_key, command.issued_at)
            .map_err(|error| unavailable(error.to_string()))?;
        let grant = JoinGrant {
            cluster_id,
            tenant: field("tenant").to_owned(),
            user_jwt,
        };
        Ok(Decision::Append {
            streams,
            guards,
            result: serde_json::to_value(grant).map_err(|error| unavailable(error.to_string()))?,
        })
    }
}

#[async_trait]
impl Decide for Rules {
    async fn decide(&self, command: &Command) -> Result<Decision, DecideError> {
        let CommandBody::Access(asked) = &command.body else {
            return Ok(Decision::Reject(misdirected(command, "access")));
        };
        let context = Context {
            tenant: &command.tenant,
            now: command.issued_at,
        };
        let decision = decide_over_streams(&self.log, |streams| decide(asked, context, streams)).await?;
        self.sign(command, asked, decision)
    }
}
