//! Refusals: every rule that says no has a code, a sentence and a cure.

use berth_events::{Rejection, RejectionKind};

fn refusal(kind: RejectionKind, code: &str, message: String, cure: &str) -> Rejection {
    Rejection {
        kind,
        code: code.to_owned(),
        message,
        cure: (!cure.is_empty()).then(|| cure.to_owned()),
    }
}

pub(crate) fn not_found(code: &str, message: String) -> Rejection {
    refusal(RejectionKind::NotFound, code, message, "")
}

pub(crate) fn conflict(code: &str, message: String, cure: &str) -> Rejection {
    refusal(RejectionKind::Conflict, code, message, cure)
}

pub(crate) fn invalid(code: &str, message: String, cure: &str) -> Rejection {
    refusal(RejectionKind::Invalid, code, message, cure)
}

pub(crate) fn version_mismatch(what: &str, expected: u64, actual: u64) -> Rejection {
    refusal(
        RejectionKind::VersionMismatch,
        "version_mismatch",
        format!("the {what} is at version {actual}, not at {expected}"),
        "read it again and repeat the change on what you see",
    )
}
