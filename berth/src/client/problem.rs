//! Errors of the API as failures of a command.

use crate::exit::{Exit, Failure};
use berth_api::{Diagnostic, Problem};
use berth_compose::Severity;

/// Code of a deploy that breaks a rule of the cluster: the file is right, and someone may allow it.
const BROKEN_RULE: &str = "compose.policy";

/// What an error of the API means to a script and to a person.
pub fn failure(problem: &Problem) -> Failure {
    let exit = match problem.status {
        404 | 410 => Exit::NotFound,
        401 | 403 | 409 | 412 | 422 | 428 => Exit::Refused,
        408 | 429 | 502..=504 => Exit::Unavailable,
        _ => Exit::Failure,
    };
    let exit = if exit == Exit::Refused
        && problem.code != BROKEN_RULE
        && problem.errors.iter().any(|fault| !fault.file.is_empty())
    {
        // The file is wrong, as if the command line had found it.
        Exit::Usage
    } else {
        exit
    };
    let message = if problem.detail.is_empty() {
        problem.title.clone()
    } else {
        problem.detail.clone()
    };
    let message = match problem.code.as_str() {
        "" => message,
        code => format!("{message} ({code})"),
    };
    let cure = match (exit, problem.command_id) {
        (Exit::Unavailable, Some(id)) => Some(format!("`berth inspect {id}` tells later what came of it")),
        _ => problem.cure.clone(),
    };
    Failure {
        exit,
        message,
        cure,
        faults: problem.errors.iter().map(diagnostic).collect(),
    }
}

/// A fault with its place, as a compiler shows it.
pub fn diagnostic(fault: &Diagnostic) -> String {
    berth_compose::Diagnostic {
        severity: match fault.severity {
            berth_api::Severity::Error => Severity::Error,
            berth_api::Severity::Warning => Severity::Warning,
        },
        code: fault.code.clone().into(),
        message: fault.message.clone(),
        cure: fault.cure.clone(),
        path: fault.path.clone(),
        file: if fault.file.is_empty() {
            "request".into()
        } else {
            fault.file.clone()
        },
        line: fault.line,
        column: fault.column,
        snippet: fault.snippet.clone(),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem {
            status,
            title: "t".into(),
            code: "a.b".into(),
            detail: "it is so".into(),
            ..Problem::default()
        }
    }

    #[test]
    fn every_status_has_its_exit_code() {
        let codes = [404, 401, 403, 409, 412, 422, 503, 504, 429, 500, 400]
            .map(|status| failure(&problem(status)).exit as u8);
        assert_eq!(codes, [3, 4, 4, 4, 4, 4, 5, 5, 5, 1, 1]);
    }

    #[test]
    fn a_broken_rule_is_a_refusal_and_no_fault_of_the_file() {
        let broken = Problem {
            code: BROKEN_RULE.into(),
            errors: vec![Diagnostic {
                file: "shop.yml".into(),
                ..Diagnostic::default()
            }],
            ..problem(403)
        };
        assert_eq!(failure(&broken).exit, Exit::Refused);
    }

    #[test]
    fn faults_of_a_file_are_shown_with_their_place() {
        let fault = Diagnostic {
            code: "compose.port_range".into(),
            message: "port 99999 is above 65535".into(),
            cure: "use a port from 1 to 65535".into(),
            path: "services.web.ports[0]".into(),
            file: "shop.yml".into(),
            line: 4,
            column: 9,
            snippet: "      - \"99999:80\"".into(),
            ..Diagnostic::default()
        };
        let failure = failure(&Problem {
            errors: vec![fault],
            ..problem(422)
        });
        assert_eq!(failure.exit, Exit::Usage);
        insta::assert_snapshot!(format!("{}\n\n{failure}", failure.faults.join("\n\n")));
    }
}
