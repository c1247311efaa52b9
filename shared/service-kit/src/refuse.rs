//! Refusals that every service gives in the same words.

use berth_events::{Command, Rejection, RejectionKind};
use berth_ids::ClusterId;

/// A command that came to the wrong service.
pub fn misdirected(command: &Command, service: &str) -> Rejection {
    Rejection {
        kind: RejectionKind::Invalid,
        code: "command.misdirected".into(),
        message: format!("`{}` is not decided by {service}-svc", command.body.verb()),
        cure: None,
    }
}

/// The cluster that the last part of a question's subject names.
///
/// # Errors
/// It names none.
pub fn cluster_of(text: &str, service: &str) -> Result<ClusterId, Rejection> {
    text.parse().map_err(|_| Rejection {
        kind: RejectionKind::Invalid,
        code: format!("{service}.question_invalid"),
        message: format!("`{text}` names no cluster"),
        cure: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_cluster() {
        let id = ClusterId::from_u128(7);
        assert_eq!(cluster_of(&id.to_string(), "lb"), Ok(id));
        assert_eq!(cluster_of("main", "lb").unwrap_err().code, "lb.question_invalid");
    }
}
