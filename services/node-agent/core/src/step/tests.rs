//! The table of steps, line by line.

use super::*;
use crate::seen::Container;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn ended(code: i64) -> Seen {
    Seen::Ended {
        container: Container::default(),
        exit: ExitStatus {
            exit_code: code,
            oom_killed: false,
        },
        started_at: NOW,
        finished_at: NOW,
        output: String::new(),
    }
}
fn running() -> Seen {
    Seen::Running {
        container: Container {
            grace: Duration::from_secs(3),
            ..Container::default()
        },
        healthy: None,
        health_output: String::new(),
    }
}
fn policy(condition: RestartCondition, max_attempts: u32) -> Desired {
    Desired::Run(RestartPolicy {
        condition,
        max_attempts,
        delay_ms: 0,
    })
}
fn step(desired: Desired, seen: &Seen, track: &Track) -> Step {
    let situation = Situation {
        now: NOW,
        bus_up: true,
        blocked: false,
        replace_at: None,
        lost_peer: false,
    };
    next_step(desired, seen, track, situation)
}
const RUN: Desired = Desired::Run(RestartPolicy {
    condition: RestartCondition::Any,
    max_attempts: 0,
    delay_ms: 0,
});

#[test]
fn a_wanted_container_is_pulled_created_started() {
    let mut track = Track::default();
    assert_eq!(step(RUN, &Seen::Absent, &track), Step::Pull);
    track.image_ready = true;
    assert_eq!(step(RUN, &Seen::Absent, &track), Step::Create);
    track.created = true;
    assert_eq!(
        step(RUN, &Seen::Created(Container::default()), &track),
        Step::Start
    );
    assert_eq!(step(RUN, &running(), &track), Step::Settled);
}

#[test]
fn a_start_waits_for_what_is_going() {
    let situation = Situation {
        now: NOW,
        bus_up: true,
        blocked: true,
        replace_at: None,
        lost_peer: false,
    };
    let seen = Seen::Created(Container::default());
    assert_eq!(next_step(RUN, &seen, &Track::default(), situation), Step::Blocked);
}

#[test]
fn an_unwanted_container_is_stopped_removed_forgotten() {
    let track = Track {
        created: true,
        not_before: Some(NOW.plus(Duration::from_secs(60))),
        ..Track::default()
    };
    let grace = Duration::from_secs(3);
    assert_eq!(step(Desired::Gone, &running(), &track), Step::Stop { grace });
    assert_eq!(step(Desired::Gone, &ended(0), &track), Step::Remove);
    assert_eq!(step(Desired::Gone, &Seen::Absent, &track), Step::Forget);
}

#[test]
fn what_does_not_stop_is_killed() {
    let track = Track {
        stop_failed: true,
        ..Track::default()
    };
    assert_eq!(step(Desired::Gone, &running(), &track), Step::Kill);
}

#[test]
fn the_policy_says_which_ends_are_final() {
    let track = Track::default();
    let finish = |code| {
        Step::Finish(ExitStatus {
            exit_code: code,
            oom_killed: false,
        })
    };
    assert_eq!(
        step(policy(RestartCondition::Never, 0), &ended(1), &track),
        finish(1)
    );
    assert_eq!(
        step(policy(RestartCondition::OnFailure, 0), &ended(0), &track),
        finish(0)
    );
    assert_eq!(
        step(policy(RestartCondition::OnFailure, 0), &ended(1), &track),
        Step::Restart
    );
    assert_eq!(
        step(policy(RestartCondition::Any, 0), &ended(0), &track),
        Step::Restart
    );
    let often = Track {
        in_a_row: 3,
        ..Track::default()
    };
    assert_eq!(
        step(policy(RestartCondition::Any, 2), &ended(7), &often),
        finish(7)
    );
}

#[test]
fn a_crash_loop_is_given_up_only_while_the_bus_is_there() {
    let track = Track {
        in_a_row: CRASH_LIMIT + 1,
        ..Track::default()
    };
    assert!(matches!(
        step(RUN, &ended(1), &track),
        Step::GiveUp {
            reason: FailureReason::CrashLoop,
            ..
        }
    ));
    let away = Situation {
        now: NOW,
        bus_up: false,
        blocked: false,
        replace_at: None,
        lost_peer: false,
    };
    assert_eq!(next_step(RUN, &ended(1), &track, away), Step::Restart);
}

#[test]
fn a_vanished_container_fails_unless_it_was_never_there() {
    let track = Track {
        created: true,
        ..Track::default()
    };
    let Step::GiveUp { reason, .. } = step(RUN, &Seen::Absent, &track) else {
        panic!("not given up")
    };
    assert_eq!(reason, FailureReason::Vanished);
}

#[test]
fn with_the_bus_away_a_vanished_container_is_made_again() {
    let away = Situation {
        now: NOW,
        bus_up: false,
        blocked: false,
        replace_at: None,
        lost_peer: false,
    };
    let mut track = Track {
        created: true,
        ..Track::default()
    };
    assert_eq!(next_step(RUN, &Seen::Absent, &track, away), Step::Pull);
    track.image_ready = true;
    assert_eq!(next_step(RUN, &Seen::Absent, &track, away), Step::Create);
    let never = policy(RestartCondition::Never, 0);
    assert_eq!(next_step(never, &Seen::Absent, &track, away), Step::Settled);
}

#[test]
fn what_ended_for_good_stays_ended() {
    let track = Track {
        end: Some(crate::track::End::Exited(ExitStatus {
            exit_code: 0,
            oom_killed: false,
        })),
        ..Track::default()
    };
    assert_eq!(step(RUN, &ended(0), &track), Step::Settled);
    assert_eq!(step(Desired::Gone, &ended(0), &track), Step::Remove);
}
