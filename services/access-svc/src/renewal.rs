//! Gives running agents their access anew: a bus user with the rights of this release, and the certificates by
//! which the bus is checked now. A node that was removed gets nothing.

use crate::{CaSource, nats_auth::Signer};
use berth_access_core::AccessView;
use berth_bus::QuestionSink;
use berth_events::{Rejection, RejectionKind, RenewAccess, RenewedAccess};
use berth_ids::NodeId;
use berth_service_kit::{Clock, ServiceContext, ViewHandle};
use std::sync::Arc;

/// What answers are made from.
pub(crate) struct Renewal {
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    signer: Arc<Signer>,
    agents_ca_pem: CaSource,
}

/// Answers until shutdown.
pub(crate) async fn answer(context: ServiceContext, renewal: Renewal) {
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "renew".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let renewal = Arc::new(renewal);
    let answer = move |node: String, _: RenewAccess| {
        let renewal = renewal.clone();
        async move { renewal.renew(&node).await }
    };
    context.bus.answer(sink, answer).await;
}

impl Renewal {
    pub(crate) fn new(
        context: ServiceContext,
        view: ViewHandle<AccessView>,
        signer: Arc<Signer>,
        agents_ca_pem: CaSource,
    ) -> Self {
        Self {
            context,
            view,
            signer,
            agents_ca_pem,
        }
    }

    async fn renew(&self, node: &str) -> Result<RenewedAccess, Rejection> {
        let node: NodeId = node.parse().map_err(|_| {
            let message = "the subject names no node".to_owned();
            rejection(RejectionKind::Invalid, "access.question_invalid", message)
        })?;
        // Everything that is committed first: a removed node must not slip through before the view knows.
        let head = self.context.log().head().await.map_err(unavailable)?;
        self.view.at_least(head).await.map_err(unavailable)?;
        let known = self.view.read(|view| {
            let row = view.credential(node)?;
            let refused = row.node_removed || row.revoked_at.is_some();
            (!refused).then(|| (row.cluster_id, row.user_key.clone()))
        });
        let (cluster, user_key) = known.ok_or_else(|| Rejection {
            cure: Some("delete the agent's data folder and join again with a new token".to_owned()),
            ..rejection(
                RejectionKind::Forbidden,
                "access.node_removed",
                format!("node {node} has no access to renew"),
            )
        })?;
        Ok(RenewedAccess {
            user_jwt: self
                .signer
                .agent(node, cluster, &user_key, Clock::now())
                .map_err(unavailable)?,
            ca_pem: (self.agents_ca_pem)().map_err(unavailable)?,
        })
    }
}

fn unavailable(reason: impl std::fmt::Display) -> Rejection {
    rejection(
        RejectionKind::Unavailable,
        "access.unavailable",
        reason.to_string(),
    )
}

fn rejection(kind: RejectionKind, code: &str, message: String) -> Rejection {
    Rejection {
        kind,
        code: code.to_owned(),
        message,
        cure: None,
    }
}
