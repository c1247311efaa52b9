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

pub(crate) fn forbidden(code: &str, message: &str, cure: &str) -> Rejection {
    refusal(RejectionKind::Forbidden, code, message.to_owned(), cure)
}
