//! Opening a session: who has the container, and is what is asked within limits.

use crate::LogView;
use berth_events::{LogOpened, OpenLog, OpenLogs, Rejection, RejectionKind};
use berth_ids::Uuid;

/// The longest name of a session: it is a part of a subject.
pub const MAX_SESSION_CHARS: usize = 64;
/// The most lines from the end.
pub const MAX_TAIL_LINES: u32 = 1_000_000;

/// What opening a log comes to: the order to the node, and the answer to the asker.
///
/// `scope` is the cluster or the node of which the asker has made sure that it may be seen.
///
/// # Errors
/// [`Rejection`] if the cluster has no such container, its node is lost, or a limit is broken.
pub fn open(
    view: &LogView,
    scope: Uuid,
    asked: &OpenLog,
    fresh_session: &str,
) -> Result<(OpenLogs, LogOpened), Rejection> {
    let session = asked.session.as_deref().unwrap_or(fresh_session);
    check_session(session)?;
    if asked.tail.is_some_and(|lines| lines > MAX_TAIL_LINES) {
        let message = format!("at most {MAX_TAIL_LINES} lines from the end can be asked for");
        let cure = "ask for fewer lines, or for all";
        return Err(refused(
            RejectionKind::Invalid,
            "log.tail_too_long",
            message,
            cure,
        ));
    }
    let container = view
        .container(asked.allocation_id)
        .filter(|container| [container.cluster_id.as_uuid(), container.node_id.as_uuid()].contains(&scope))
        .ok_or_else(|| {
            let message = format!(
                "no node there has a container of allocation {}",
                asked.allocation_id
            );
            refused(
                RejectionKind::NotFound,
                "log.unknown",
                message,
                "list the containers with `berth ps`",
            )
        })?;
    if view.is_lost(container.node_id) {
        let message = format!(
            "node {} is lost, and the log with it until it is back",
            container.node_id
        );
        return Err(refused(
            RejectionKind::Unavailable,
            "log.node_lost",
            message,
            "wait for the node",
        ));
    }
    let order = OpenLogs {
        session: session.to_owned(),
        allocation_id: asked.allocation_id,
        follow: asked.follow,
        tail: asked.tail,
        since: asked.since,
        timestamps: asked.timestamps,
    };
    let answer = LogOpened {
        session: session.to_owned(),
        node_id: container.node_id,
    };
    Ok((order, answer))
}

fn check_session(session: &str) -> Result<(), Rejection> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !session.is_empty() && session.len() <= MAX_SESSION_CHARS && session.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("`{session}` cannot name a session");
    let cure = "use 1 to 64 letters, digits, `-` and `_`";
    Err(refused(
        RejectionKind::Invalid,
        "log.session_invalid",
        message,
        cure,
    ))
}

fn refused(kind: RejectionKind, code: &str, message: String, cure: &str) -> Rejection {
    Rejection {
        kind,
        code: code.to_owned(),
        message,
        cure: Some(cure.to_owned()),
    }
}
