//! The table that says what to do next with one container: one step, then look again.

use crate::{
    seen::Seen,
    track::{CRASH_LIMIT, Track},
};
use berth_events::{
    ExitStatus, FailureReason,
    spec::{RestartCondition, RestartPolicy},
};
use berth_ids::Timestamp;
use std::time::Duration;

/// Wait until the engine has finished removing a container.
const REMOVAL_WAIT: Duration = Duration::from_secs(1);

/// What should become of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// It should run, and be restarted by this policy.
    Run(RestartPolicy),
    /// It should be gone.
    Gone,
}

/// What the table looks at besides the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Time now.
    pub now: Timestamp,
    /// The bus is there, so that the scheduler can place the slot anew.
    pub bus_up: bool,
    /// Something that is going still holds what this container needs.
    pub blocked: bool,
    /// When a container that stays unhealthy is given up; `None`: it is well, or never.
    pub replace_at: Option<Timestamp>,
    /// The container of which it shares a namespace is gone, or has another one now.
    pub lost_peer: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do until something changes.
    Settled,
    /// Nothing to do until another container is gone.
    Blocked,
    /// Nothing to do before this moment.
    WaitUntil(Timestamp),
    /// Make the image present, as the pull policy says.
    Pull,
    /// Create the container with its volumes and networks.
    Create,
    /// Start it for the first time.
    Start,
    /// Start it again after it ended.
    Restart,
    /// Ask it to end, and kill it after the grace time.
    Stop {
        /// Time between the signal and the kill.
        grace: Duration,
    },
    /// Kill it: asking did not help.
    Kill,
    /// Remove the ended container with its anonymous volumes.
    Remove,
    /// It failed for good: take note. No effect on the engine.
    GiveUp {
        /// Why.
        reason: FailureReason,
        /// In words.
        message: String,
    },
    /// It ended for good by itself: take note. No effect on the engine.
    Finish(ExitStatus),
    /// The engine has no trace of it and it is not wanted: forget it. No effect on the engine.
    Forget,
}

impl Step {
    /// Whether the engine must do something.
    pub const fn is_effect(&self) -> bool {
        match self {
            Self::Pull
            | Self::Create
            | Self::Start
            | Self::Restart
            | Self::Stop { .. }
            | Self::Kill
            | Self::Remove => true,
            Self::Settled
            | Self::Blocked
            | Self::WaitUntil(_)
            | Self::GiveUp { .. }
            | Self::Finish(_)
            | Self::Forget => false,
        }
    }
}

/// Why a step was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Trying again will not help.
    Final {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said.
        message: String,
    },
    /// Trying again may help; after [`crate::STEP_ATTEMPTS`] tries it is final.
    Passing {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said.
        message: String,
    },
    /// Something outside is not there yet (the bus, for secrets): try again for ever, ever more slowly.
    Waiting,
    /// The engine does not answer; that says nothing about the container.
    EngineAway,
}

/// What to do next with one container.
pub fn next_step(desired: Desired, seen: &Seen, track: &Track, situation: Situation) -> Step {
    match desired {
        // It was given up while it ran: another takes its place.
        Desired::Run(_) if track.end.is_some() && seen.is_running() => gone_step(seen, track, situation.now),
        Desired::Run(_) if track.end.is_some() => Step::Settled,
        Desired::Run(policy) => run_step(policy, seen, track, situation),
        Desired::Gone => gone_step(seen, track, situation.now),
    }
}

fn run_step(policy: RestartPolicy, seen: &Seen, track: &Track, situation: Situation) -> Step {
    // It can be neither used nor started again: only a new one can join the other.
    if situation.lost_peer && situation.bus_up {
        return Step::GiveUp {
            reason: FailureReason::Vanished,
            message: "the container whose network or namespace it shares is gone or was started again"
                .to_owned(),
        };
    }
    let step = match seen {
        // Nobody could place it anew: the assignment says what it is, so it is made again here, as a restart.
        Seen::Absent if track.created && !situation.bus_up => match policy.condition {
            RestartCondition::Never => return Step::Settled,
            RestartCondition::OnFailure | RestartCondition::Any if track.image_ready => Step::Create,
            RestartCondition::OnFailure | RestartCondition::Any => Step::Pull,
        },
        Seen::Absent if track.created => {
            return Step::GiveUp {
                reason: FailureReason::Vanished,
                message: "the engine no longer has the container; somebody removed it".to_owned(),
            };
        }
        Seen::Absent if !track.image_ready => Step::Pull,
        Seen::Absent => Step::Create,
        Seen::Created(_) if situation.blocked => return Step::Blocked,
        Seen::Created(_) => Step::Start,
        Seen::Running { health_output, .. } => return while_running(health_output, track, situation),
        Seen::Removing(_) => return Step::WaitUntil(situation.now.plus(REMOVAL_WAIT)),
        Seen::Ended { exit, output, .. } => match after_end(policy, *exit, output, track, situation) {
            Step::Restart => Step::Restart,
            end => return end,
        },
    };
    not_before(step, track, situation.now)
}

/// It runs: is it well?
fn while_running(output: &str, track: &Track, situation: Situation) -> Step {
    match situation.replace_at {
        Some(at) if at > situation.now => Step::WaitUntil(at),
        // Without the bus nobody could place another.
        Some(_) if situation.bus_up => {
            let since = track.unhealthy_since.unwrap_or(situation.now);
            let seconds = situation.now.since(since).as_secs();
            Step::GiveUp {
                reason: FailureReason::Unhealthy,
                message: format!("its check has failed for {seconds} s: {output}"),
            }
        }
        Some(_) | None => Step::Settled,
    }
}

fn after_end(
    policy: RestartPolicy,
    exit: ExitStatus,
    output: &str,
    track: &Track,
    situation: Situation,
) -> Step {
    let wanted = match policy.condition {
        RestartCondition::Never => false,
        RestartCondition::OnFailure => exit.exit_code != 0,
        RestartCondition::Any => true,
    };
    let used_up = policy.max_attempts > 0 && track.in_a_row > policy.max_attempts;
    if !wanted || used_up {
        return Step::Finish(exit);
    }
    if track.in_a_row > CRASH_LIMIT && situation.bus_up {
        let (times, code) = (track.in_a_row, exit.exit_code);
        let killed = if exit.oom_killed {
            ", killed for want of memory"
        } else {
            ""
        };
        let said = if output.is_empty() {
            String::new()
        } else {
            format!("; its last output: {output}")
        };
        return Step::GiveUp {
            reason: FailureReason::CrashLoop,
            message: format!(
                "ended {times} times in a row soon after its start, last with code {code}{killed}{said}"
            ),
        };
    }
    Step::Restart
}

fn gone_step(seen: &Seen, track: &Track, now: Timestamp) -> Step {
    let step = match seen {
        Seen::Absent => return Step::Forget,
        Seen::Removing(_) => return Step::WaitUntil(now.plus(REMOVAL_WAIT)),
        Seen::Running { .. } if track.stop_failed => Step::Kill,
        Seen::Running { container, .. } => Step::Stop {
            grace: container.grace,
        },
        Seen::Created(_) | Seen::Ended { .. } => Step::Remove,
    };
    // The wait of a restart does not hold up a stop; that of a failed stop does.
    if track.stop_failed {
        not_before(step, track, now)
    } else {
        step
    }
}

fn not_before(step: Step, track: &Track, now: Timestamp) -> Step {
    match track.not_before {
        Some(moment) if moment > now => Step::WaitUntil(moment),
        Some(_) | None => step,
    }
}

#[cfg(test)]
mod tests;
