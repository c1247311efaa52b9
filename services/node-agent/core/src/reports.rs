//! Turns what the engine says into what is reported, and only news at that.

use crate::{
    journal::Urgency,
    seen::Seen,
    step::Desired,
    track::{End, Track},
};
use berth_events::{Observed, RetryStep};

/// The state to report; `None` while there is nothing to say yet.
pub fn observed(desired: Desired, seen: &Seen, track: &Track) -> Option<Observed> {
    match (desired, &track.end) {
        (Desired::Run(_), Some(end)) => Some(ended(end)),
        (Desired::Run(_), None) => running(seen, track),
        (Desired::Gone, end) => going(seen, end.as_ref()),
    }
}

fn ended(end: &End) -> Observed {
    match end {
        End::Exited(exit) => Observed::Exited(*exit),
        End::Failed { reason, message } => Observed::Failed {
            reason: *reason,
            message: message.clone(),
        },
    }
}

fn running(seen: &Seen, track: &Track) -> Option<Observed> {
    if let Some(setback) = &track.setback
        && !seen.is_running()
    {
        return Some(Observed::Retrying {
            step: setback.step,
            message: setback.message.clone(),
            attempt: setback.attempt,
            exit: setback.exit,
            next_try_at: setback.next_try_at,
        });
    }
    match seen {
        Seen::Absent => track.pulling.clone().map(|image| Observed::Pulling { image }),
        Seen::Created(container) => Some(Observed::Created {
            container_id: container.id.clone(),
            container_name: container.name.clone(),
            image_id: container.image_id.clone(),
            image_digest: container.image_digest.clone(),
        }),
        Seen::Running {
            container,
            healthy,
            health_output,
        } => Some(Observed::Running {
            container_id: container.id.clone(),
            addresses: container.addresses.clone(),
            ports: container.ports.clone(),
            restarts: track.restarts,
            healthy: *healthy,
            // A check's output is news only when it fails.
            health_output: match healthy {
                Some(false) => health_output.clone(),
                Some(true) | None => String::new(),
            },
            last_exit: track.last_exit,
        }),
        // Whether it is started again is decided next.
        Seen::Ended { .. } | Seen::Removing(_) => None,
    }
}

fn going(seen: &Seen, end: Option<&End>) -> Option<Observed> {
    match (seen, end) {
        (Seen::Absent, _) => Some(Observed::Removed),
        (Seen::Running { .. }, _) => Some(Observed::Stopping),
        (Seen::Ended { .. }, Some(end)) => Some(ended(end)),
        (Seen::Ended { exit, .. }, None) => Some(Observed::Exited(*exit)),
        (Seen::Created(_) | Seen::Removing(_), _) => None,
    }
}

/// Whether a state says something that the last report did not. States only go forward.
pub fn is_news(last: Option<&Observed>, now: &Observed) -> bool {
    let Some(last) = last else { return true };
    match rank(now).cmp(&rank(last)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => differs(last, now),
    }
}

/// The first word about an allocation is kept first: what the owner has heard of must be in the digest. So
/// is an end: the slot is placed anew, and a crash must not wake the old container up. So is a restart: the
/// count never goes back.
pub const fn urgency(last: Option<&Observed>, now: &Observed) -> Urgency {
    match (last, now) {
        (None, _) | (_, Observed::Exited(_) | Observed::Failed { .. }) => Urgency::KeptFirst,
        (_, Observed::Running { restarts, .. }) if *restarts > restarts_of(last) => Urgency::KeptFirst,
        (
            Some(_),
            Observed::Pulling { .. }
            | Observed::Created { .. }
            | Observed::Running { .. }
            | Observed::Retrying { .. }
            | Observed::Stopping
            | Observed::Removed,
        ) => Urgency::AtOnce,
    }
}

const fn restarts_of(state: Option<&Observed>) -> u32 {
    match state {
        Some(Observed::Running { restarts, .. }) => *restarts,
        Some(_) | None => 0,
    }
}

fn rank(state: &Observed) -> u8 {
    match state {
        Observed::Pulling { .. } => 0,
        Observed::Created { .. } => 1,
        Observed::Running { .. } => 2,
        Observed::Retrying { step, .. } => match step {
            RetryStep::Pull | RetryStep::Secrets | RetryStep::Create => 0,
            RetryStep::Start => 1,
            RetryStep::Run => 2,
        },
        Observed::Stopping => 3,
        Observed::Exited(_) | Observed::Failed { .. } => 4,
        Observed::Removed => 5,
    }
}

fn differs(last: &Observed, now: &Observed) -> bool {
    match (last, now) {
        // How the check fails changes with each try; that it fails is the news.
        (
            Observed::Running {
                healthy: Some(false), ..
            },
            Observed::Running { .. },
        ) => without_output(last) != without_output(now),
        // It ended once.
        (Observed::Exited(_) | Observed::Failed { .. }, _) => false,
        (_, _) => last != now,
    }
}

fn without_output(state: &Observed) -> Observed {
    let mut state = state.clone();
    if let Observed::Running { health_output, .. } = &mut state {
        health_output.clear();
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::ExitStatus;
    use std::collections::BTreeMap;

    fn running(restarts: u32, healthy: Option<bool>, output: &str) -> Observed {
        Observed::Running {
            container_id: "c".into(),
            addresses: BTreeMap::new(),
            ports: Vec::new(),
            restarts,
            healthy,
            health_output: output.into(),
            last_exit: None,
        }
    }

    #[test]
    fn only_changes_are_news() {
        let state = running(0, None, "");
        assert!(is_news(None, &state));
        assert!(!is_news(Some(&state), &state));
        assert!(is_news(Some(&state), &running(1, None, "")));
        assert!(is_news(Some(&state), &running(0, Some(true), "")));
    }

    #[test]
    fn another_output_of_a_failing_check_is_not_news() {
        let state = running(0, Some(false), "refused");
        assert!(!is_news(Some(&state), &running(0, Some(false), "timed out")));
        assert!(is_news(Some(&state), &running(0, Some(true), "")));
    }

    #[test]
    fn states_never_go_back() {
        let exited = Observed::Exited(ExitStatus {
            exit_code: 1,
            oom_killed: false,
        });
        assert!(!is_news(Some(&Observed::Stopping), &running(0, None, "")));
        assert!(!is_news(Some(&exited), &Observed::Stopping));
        assert!(is_news(Some(&exited), &Observed::Removed));
    }
}
