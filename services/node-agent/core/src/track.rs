//! What the agent remembers of one allocation: how far it came, how often it ended, whether for good.

use crate::{
    node::Moment,
    seen::Seen,
    step::{Failure, Step},
};
use berth_events::{ExitStatus, FailureReason, Observed, RetryStep, spec::RestartPolicy};
use berth_ids::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// First wait before a restart, unless the policy names another; doubled each time.
pub const RESTART_DELAY: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
pub const RESTART_DELAY_MAX: Duration = Duration::from_secs(60);
/// A container that ran this long has not crashed at its start: counting begins anew.
pub const RESET_AFTER: Duration = Duration::from_secs(10);
/// Restarts in a row after which the agent gives a container up, if the bus is there.
pub const CRASH_LIMIT: u32 = 5;
/// Tries of a step that failed for a reason that may pass.
pub const STEP_ATTEMPTS: u32 = 4;
/// Longest text of a failure in a report, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1_024;

/// Said while the platform does not give the secrets of a container.
const AWAITS_SECRETS: &str = "its secrets are needed, and the platform does not answer";

/// How an allocation ended for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, and the policy does not start it again.
    Exited(ExitStatus),
    /// It could not be run here.
    Failed {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said.
        message: String,
    },
}

/// A try that failed, until the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setback {
    /// What is tried again.
    pub step: RetryStep,
    /// What the engine said, or the last output.
    pub message: String,
    /// Tries in a row that have failed.
    pub attempt: u32,
    /// How it ended, if it ran.
    pub exit: Option<ExitStatus>,
    /// When it is tried again, by the clock on the wall.
    pub next_try_at: Timestamp,
}

/// What the agent remembers of one allocation, also over its own restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Track {
    /// The engine has had its container.
    pub created: bool,
    /// Starts after the first.
    pub restarts: u32,
    /// Ends in a row without having run for [`RESET_AFTER`].
    pub in_a_row: u32,
    /// How it ended last.
    pub last_exit: Option<ExitStatus>,
    /// The end that is counted already, by the engine's clock.
    pub counted_end: Option<Timestamp>,
    /// It waits for its next try.
    pub setback: Option<Setback>,
    /// It stays ended.
    pub end: Option<End>,
    /// What was reported last.
    pub reported: Option<Observed>,
    /// W3C trace context of the newest order about it.
    pub traceparent: Option<String>,
    /// Its image is there. Not kept: the image may be gone after a restart of the agent.
    #[serde(skip)]
    pub image_ready: bool,
    /// The engine is fetching this image.
    #[serde(skip)]
    pub pulling: Option<String>,
    /// No step before this moment.
    #[serde(skip)]
    pub not_before: Option<Timestamp>,
    /// Failures in a row.
    #[serde(skip)]
    pub failures: u32,
    /// Which step they were of. That the image is there says nothing about a create that fails.
    #[serde(skip)]
    pub failing: Option<FailureReason>,
    /// Since when its checks say that it is ill, without a break.
    #[serde(skip)]
    pub unhealthy_since: Option<Timestamp>,
    /// The engine was asked to stop it, and it still runs.
    #[serde(skip)]
    pub stop_failed: bool,
}

impl Track {
    /// Takes note of what the engine says. The first sight of an end is counted and starts the wait.
    pub fn see(&mut self, seen: &Seen, policy: RestartPolicy, now: Timestamp) {
        match seen {
            Seen::Absent => {}
            Seen::Created(_) | Seen::Removing(_) => self.created = true,
            Seen::Running { .. } => {
                self.created = true;
                self.setback = None;
                if !self.stop_failed {
                    self.failures = 0;
                    self.failing = None;
                    self.not_before = None;
                }
            }
            Seen::Ended {
                exit,
                started_at,
                finished_at,
                ..
            } => {
                self.created = true;
                if self.counted_end != Some(*finished_at) {
                    self.setback = None;
                    let ran_long = finished_at.since(*started_at) >= RESET_AFTER;
                    self.in_a_row = if ran_long {
                        1
                    } else {
                        self.in_a_row.saturating_add(1)
                    };
                    self.counted_end = Some(*finished_at);
                    self.last_exit = Some(*exit);
                    self.not_before = None;
                }
                if self.not_before.is_none() {
                    self.not_before = Some(now.plus(restart_delay(policy, self.in_a_row)));
                }
            }
        }
    }

    /// A step was carried out.
    pub fn succeeded(&mut self, step: &Step) {
        if *step != Step::Pull || self.failing == Some(FailureReason::Pull) {
            self.failures = 0;
            self.failing = None;
        }
        if *step != Step::Pull
            || self
                .setback
                .as_ref()
                .is_some_and(|setback| setback.step == RetryStep::Pull)
        {
            self.setback = None;
        }
        match step {
            Step::Pull => {
                self.image_ready = true;
                self.pulling = None;
                self.not_before = None;
            }
            Step::Create => {
                self.created = true;
                self.not_before = None;
            }
            Step::Restart => {
                self.restarts = self.restarts.saturating_add(1);
                self.not_before = None;
            }
            Step::Start => self.not_before = None,
            Step::GiveUp { reason, message } => self.fail(*reason, message.clone()),
            Step::Finish(exit) => self.end = Some(End::Exited(*exit)),
            Step::Stop { .. } | Step::Kill => self.stop_failed = false,
            Step::Settled | Step::Blocked | Step::WaitUntil(_) | Step::Remove | Step::Forget => {}
        }
    }

    /// A step was not carried out.
    pub fn failed(&mut self, step: &Step, failure: Failure, policy: RestartPolicy, moment: Moment) {
        let now = moment.now;
        self.pulling = None;
        let (reason, message, last_try) = match failure {
            Failure::EngineAway => return,
            Failure::Final { reason, message } => (reason, message, true),
            Failure::Passing { reason, message } => {
                if self.failing != Some(reason) {
                    self.failures = 0;
                }
                self.failing = Some(reason);
                self.failures = self.failures.saturating_add(1);
                (reason, message, self.failures >= STEP_ATTEMPTS)
            }
            Failure::Waiting => {
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(now.plus(backoff(RESTART_DELAY, self.failures)));
                if matches!(step, Step::Create | Step::Start | Step::Restart) {
                    self.set_back(RetryStep::Secrets, AWAITS_SECRETS, self.failures, None, moment);
                }
                return;
            }
        };
        match step {
            Step::Restart => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.not_before = Some(now.plus(restart_delay(policy, self.in_a_row)));
                self.set_back(RetryStep::Run, &message, self.in_a_row, self.last_exit, moment);
            }
            Step::Stop { .. } | Step::Kill | Step::Remove => {
                self.stop_failed = true;
                self.not_before = Some(now.plus(backoff(RESTART_DELAY, self.failures.max(1))));
            }
            Step::Pull | Step::Create | Step::Start if last_try => self.fail(reason, message),
            Step::Create => {
                // The image may have been removed since it was fetched.
                self.image_ready = false;
                self.not_before = Some(now.plus(backoff(RESTART_DELAY, self.failures)));
                let step = match reason {
                    FailureReason::Secrets => RetryStep::Secrets,
                    _ => RetryStep::Create,
                };
                self.set_back(step, &message, self.failures, None, moment);
            }
            Step::Pull | Step::Start => {
                self.not_before = Some(now.plus(backoff(RESTART_DELAY, self.failures)));
                let step = if *step == Step::Pull {
                    RetryStep::Pull
                } else {
                    RetryStep::Start
                };
                self.set_back(step, &message, self.failures, None, moment);
            }
            Step::GiveUp { .. }
            | Step::Finish(_)
            | Step::Settled
            | Step::Blocked
            | Step::WaitUntil(_)
            | Step::Forget => {}
        }
    }

    /// Takes note of a try that failed, with the wait before the next one.
    pub(crate) fn set_back(
        &mut self,
        step: RetryStep,
        message: &str,
        attempt: u32,
        exit: Option<ExitStatus>,
        moment: Moment,
    ) {
        let wait = self.not_before.map_or(Duration::ZERO, |at| at.since(moment.now));
        self.setback = Some(Setback {
            step,
            message: bounded(message.to_owned()),
            attempt,
            exit,
            next_try_at: moment.wall.plus(wait),
        });
    }

    fn fail(&mut self, reason: FailureReason, message: String) {
        let message = bounded(message);
        self.end = Some(End::Failed { reason, message });
    }
}

/// At most [`MAX_MESSAGE_BYTES`], cut between characters.
fn bounded(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        let cut = (0..=MAX_MESSAGE_BYTES)
            .rev()
            .find(|at| message.is_char_boundary(*at));
        message.truncate(cut.unwrap_or(0));
    }
    message
}

/// Wait before a restart after so many ends in a row.
fn restart_delay(policy: RestartPolicy, in_a_row: u32) -> Duration {
    let first = match policy.delay_ms {
        0 => RESTART_DELAY,
        ms => Duration::from_millis(ms),
    };
    backoff(first, in_a_row)
}

/// `first`, doubled for each failure after the first, up to [`RESTART_DELAY_MAX`] (or `first`, if longer).
fn backoff(first: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(31)));
    doubled.min(RESTART_DELAY_MAX.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_there_does_not_excuse_a_create_that_fails() {
        let mut track = Track::default();
        let failure = || Failure::Passing {
            reason: FailureReason::Create,
            message: "no".into(),
        };
        for attempt in 1..=STEP_ATTEMPTS {
            assert_eq!(track.end, None, "attempt {attempt}");
            track.succeeded(&Step::Pull);
            track.failed(
                &Step::Create,
                failure(),
                RestartPolicy::default(),
                Moment {
                    now: Timestamp::default(),
                    wall: Timestamp::default(),
                },
            );
        }
        assert!(matches!(track.end, Some(End::Failed { .. })));
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let policy = RestartPolicy::default();
        let seconds: Vec<u64> = (1..=8).map(|n| restart_delay(policy, n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_long_first_wait_is_kept() {
        let policy = RestartPolicy {
            delay_ms: 90_000,
            ..RestartPolicy::default()
        };
        assert_eq!(restart_delay(policy, 3).as_secs(), 90);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut track = Track::default();
        track.fail(FailureReason::Pull, "ä".repeat(MAX_MESSAGE_BYTES));
        let Some(End::Failed { message, .. }) = track.end else {
            panic!("not failed")
        };
        assert_eq!(message.len(), MAX_MESSAGE_BYTES);
    }
}
