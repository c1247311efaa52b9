//! Given what is known of a node, when a report comes, then only news is recorded.

use super::*;
use crate::{
    lab::{created, running},
    limits::MAX_HOLE_DIGESTS,
};
use berth_events::{Digest, ExitStatus, FailureReason, Observation, ObservationKind, Observed, RetryStep};
use berth_ids::{ClusterId, NodeId, Timestamp};

const A: AllocationId = AllocationId::from_u128(1);
const B: AllocationId = AllocationId::from_u128(2);

fn item(number: u64, allocation_id: AllocationId, state: Observed) -> Observation {
    Observation {
        number,
        seen_at: Timestamp::from_millis(5),
        what: ObservationKind::Allocation { allocation_id, state },
    }
}

fn report(journal: u64, items: Vec<Observation>) -> AllocationReport {
    AllocationReport {
        node_id: NodeId::from_u128(9),
        cluster_id: ClusterId::from_u128(1),
        journal,
        items,
        digest: None,
        traceparent: None,
    }
}

fn digest(journal: u64, last_number: u64, allocations: &[(AllocationId, Observed)]) -> AllocationReport {
    AllocationReport {
        digest: Some(Digest {
            generation: 1,
            last_number,
            allocations: allocations.iter().cloned().collect(),
        }),
        ..report(journal, vec![])
    }
}

fn exited(exit_code: i64) -> Observed {
    Observed::Exited(ExitStatus {
        exit_code,
        oom_killed: false,
    })
}

/// Takes reports one after the other; names of the events of the last, and the answer.
fn taken(reports: &[AllocationReport]) -> (Vec<&'static str>, berth_events::RecordedUpTo, NodeAllocations) {
    let mut state = NodeAllocations::default();
    let mut last = None;
    for report in reports {
        let taken = take(&state, report, &Stopping::new());
        // What the shell keeps is what it would fold from the log, numbers without news aside.
        let mut folded = taken
            .events
            .iter()
            .fold(state.clone(), AllocationAggregate::evolve);
        folded.mark = taken.state.mark;
        folded.hole = taken.state.hole;
        folded.past_journals.clone_from(&taken.state.past_journals);
        assert_eq!(folded, taken.state);
        state = taken.state.clone();
        last = Some(taken);
    }
    let last = last.unwrap();
    let names = last.events.iter().map(AllocationEvent::type_name).collect();
    (names, last.recorded, state)
}

#[test]
fn a_start_is_recorded_step_by_step() {
    let items = vec![
        item(
            1,
            A,
            Observed::Pulling {
                image: "nginx".into(),
            },
        ),
        item(2, A, created(A)),
        item(3, A, running(A, 0, None)),
        item(4, A, running(A, 0, Some(true))),
        item(5, A, running(A, 0, Some(false))),
    ];
    let (names, recorded, _) = taken(&[report(1, items)]);
    assert_eq!(
        names,
        [
            "allocation.pulling",
            "allocation.created",
            "allocation.running",
            "allocation.healthy",
            "allocation.unhealthy"
        ]
    );
    assert_eq!((recorded.number, recorded.resend), (5, false));
}

#[test]
fn what_comes_twice_is_taken_once() {
    let first = report(1, vec![item(1, A, created(A)), item(2, A, running(A, 0, None))]);
    let (names, recorded, _) = taken(&[first.clone(), first]);
    assert!(names.is_empty());
    assert_eq!((recorded.number, recorded.resend), (2, false));
}

#[test]
fn after_a_hole_nothing_is_taken_and_the_agent_is_asked() {
    let first = report(1, vec![item(1, A, created(A))]);
    let holed = report(1, vec![item(3, A, exited(0))]);
    let (names, recorded, _) = taken(&[first.clone(), holed.clone()]);
    assert!(names.is_empty());
    assert_eq!((recorded.number, recorded.resend), (1, true));
    let filled = report(1, vec![item(2, A, running(A, 0, None)), item(3, A, exited(0))]);
    let (names, recorded, _) = taken(&[first, holed, filled]);
    assert_eq!(names, ["allocation.running", "allocation.exited"]);
    assert_eq!((recorded.number, recorded.resend), (3, false));
}

#[test]
fn nothing_goes_back() {
    let forward = report(1, vec![item(1, A, running(A, 0, None)), item(2, A, exited(1))]);
    for late in [
        Observed::Pulling { image: "x".into() },
        created(A),
        running(A, 5, Some(true)),
        Observed::Stopping,
        exited(0),
        Observed::Failed {
            reason: FailureReason::Start,
            message: String::new(),
        },
    ] {
        let (names, recorded, state) = taken(&[forward.clone(), report(1, vec![item(3, A, late)])]);
        assert!(names.is_empty(), "{names:?}");
        assert_eq!(state.mark.number, 3, "it is taken although it is no news");
        assert_eq!(recorded.number, 2, "and stays with the agent until news follow");
    }
}

#[test]
fn a_restart_is_recorded_once_and_health_begins_anew() {
    let first = report(1, vec![item(1, A, running(A, 0, Some(true)))]);
    let again = report(
        1,
        vec![
            item(2, A, running(A, 1, None)),
            item(3, A, running(A, 1, Some(true))),
        ],
    );
    let (names, _, state) = taken(&[first, again]);
    assert_eq!(
        names,
        ["allocation.restarted", "allocation.running", "allocation.healthy"]
    );
    assert_eq!(state.allocations[&A].restarts, 1);
}

#[test]
fn a_new_journal_counts_anew_and_the_old_one_is_ignored() {
    let old = report(1, vec![item(1, A, created(A)), item(2, A, running(A, 0, None))]);
    let new = report(2, vec![item(1, B, created(B))]);
    let late = report(1, vec![item(3, A, exited(0))]);
    let (names, recorded, _) = taken(&[old.clone(), new.clone()]);
    assert_eq!(names, ["allocation.created"]);
    assert_eq!((recorded.journal, recorded.number), (2, 1));
    let (names, recorded, state) = taken(&[old, new, late]);
    assert!(names.is_empty());
    assert!(!recorded.resend);
    assert_eq!(state.mark.journal, 2);
}

#[test]
fn a_digest_corrects_what_differs_and_asks_for_what_is_missing() {
    let first = report(
        1,
        vec![item(1, A, running(A, 0, None)), item(2, B, running(B, 0, None))],
    );
    let whole = digest(1, 4, &[(B, exited(2))]);
    let (names, recorded, state) = taken(&[first.clone(), whole.clone()]);
    assert_eq!(
        names,
        ["allocation.exited", "allocation.failed", "allocation.removed"],
        "B has ended, A has vanished"
    );
    assert_eq!((recorded.number, recorded.resend), (2, true));
    assert!(!state.allocations.contains_key(&A));
    let dropped = Observation {
        number: 4,
        seen_at: Timestamp::default(),
        what: ObservationKind::VolumesDropped {
            volumes: ["v".to_owned()].into(),
        },
    };
    let missing = report(1, vec![item(3, B, exited(2)), dropped]);
    let (names, recorded, _) = taken(&[first, whole, missing]);
    assert_eq!(names, ["allocation.volumes_dropped"], "nothing is swallowed");
    assert_eq!((recorded.number, recorded.resend), (4, false));
}

#[test]
fn a_hole_that_nobody_can_fill_is_closed_after_some_digests() {
    let first = report(1, vec![item(1, A, running(A, 0, None))]);
    let whole = digest(1, 9, &[(A, running(A, 0, None))]);
    let beyond = report(1, vec![item(10, A, exited(0))]);
    let limit = MAX_HOLE_DIGESTS as usize;
    let after = |digests: usize| {
        let mut all = vec![first.clone()];
        all.extend(vec![whole.clone(); digests]);
        all.push(beyond.clone());
        taken(&all)
    };
    // One that comes twice closes nothing: what is missing may still be on its way.
    let (names, recorded, _) = after(limit - 1);
    assert!(names.is_empty());
    assert!(recorded.resend);
    let (names, recorded, _) = after(limit);
    assert_eq!(names, ["allocation.exited"]);
    assert_eq!((recorded.number, recorded.resend), (10, false));
}

#[test]
fn an_old_digest_says_nothing() {
    let first = report(1, vec![item(1, A, created(A)), item(2, A, running(A, 0, None))]);
    let (names, recorded, _) = taken(&[first, digest(1, 1, &[])]);
    assert!(names.is_empty());
    assert_eq!(recorded.number, 2);
}

#[test]
fn a_pull_that_began_anew_is_not_missed_from_a_digest() {
    let pulling = report(1, vec![item(1, A, Observed::Pulling { image: "x".into() })]);
    let (names, _, state) = taken(&[pulling, digest(1, 1, &[])]);
    assert!(names.is_empty());
    assert!(state.allocations.contains_key(&A));
}

#[test]
fn what_was_given_up_stays_given_up() {
    let first = report(1, vec![item(1, A, running(A, 0, None))]);
    let (_, _, state) = taken(&[first]);
    let lose = AllocationCommand::Lose([A].into());
    let lost = AllocationAggregate::decide(&state, &lose).unwrap();
    assert_eq!(lost.len(), 1);
    let state = AllocationAggregate::evolve(state, &lost[0]);
    assert!(AllocationAggregate::decide(&state, &lose).unwrap().is_empty());
    let back = take(
        &state,
        &report(1, vec![item(2, A, running(A, 1, None))]),
        &Stopping::new(),
    );
    assert!(back.events.is_empty());
    let gone = take(
        &back.state,
        &report(1, vec![item(3, A, Observed::Removed)]),
        &Stopping::new(),
    );
    assert_eq!(gone.events[0].type_name(), "allocation.removed");
}

#[test]
fn dropped_volumes_are_always_news() {
    let dropped = Observation {
        number: 1,
        seen_at: Timestamp::default(),
        what: ObservationKind::VolumesDropped {
            volumes: ["shop_data".to_owned()].into(),
        },
    };
    let (names, _, _) = taken(&[report(1, vec![dropped])]);
    assert_eq!(names, ["allocation.volumes_dropped"]);
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let message = "ä".repeat(1_000);
    let failed = Observed::Failed {
        reason: FailureReason::Start,
        message,
    };
    let taken = take(
        &NodeAllocations::default(),
        &report(1, vec![item(1, A, failed)]),
        &Stopping::new(),
    );
    let AllocationEvent::Failed(failed) = &taken.events[0] else {
        panic!("failed");
    };
    assert_eq!(failed.message.len(), 1_024);
}

#[test]
fn what_was_stopped_before_its_agent_heard_of_it_is_gone() {
    let known = NodeAllocations::default();
    let stopping = |position| Stopping::from([(A, position)]);
    let early = take(&known, &digest(1, 0, &[]), &stopping(2));
    assert!(early.events.is_empty(), "the agent obeys an older generation");
    let obeyed = take(&known, &digest(1, 0, &[]), &stopping(1));
    assert_eq!(obeyed.events[0].type_name(), "allocation.removed");
    let there = take(&known, &digest(1, 0, &[(A, running(A, 0, None))]), &stopping(1));
    assert_eq!(there.events[0].type_name(), "allocation.running");
}

#[test]
fn a_container_that_ended_and_waits_does_not_run_and_is_told_once() {
    let waits = |next_try_ms| Observed::Retrying {
        step: RetryStep::Run,
        message: "no database".into(),
        attempt: 1,
        exit: Some(ExitStatus {
            exit_code: 3,
            oom_killed: false,
        }),
        next_try_at: Timestamp::from_millis(next_try_ms),
    };
    let before = report(1, vec![item(1, A, running(A, 0, None))]);
    let ended = report(1, vec![item(2, A, waits(9))]);
    let (names, _, state) = taken(&[before.clone(), ended.clone()]);
    assert_eq!(names, ["allocation.retry_scheduled"]);
    assert_eq!(state.allocations[&A].phase, Phase::Created);
    // Every digest says it again.
    let again = digest(1, 2, &[(A, waits(9))]);
    let (names, _, _) = taken(&[before.clone(), ended.clone(), again]);
    assert!(names.is_empty(), "{names:?}");
    // It runs again.
    let back = report(1, vec![item(3, A, running(A, 1, None))]);
    let (names, _, state) = taken(&[before, ended, back]);
    assert_eq!(names, ["allocation.restarted", "allocation.running"]);
    assert_eq!(state.allocations[&A].phase, Phase::Running);
}

#[test]
fn a_late_word_about_its_image_says_nothing_of_a_container_that_runs() {
    let waits = Observed::Retrying {
        step: RetryStep::Pull,
        message: "no route".into(),
        attempt: 1,
        exit: None,
        next_try_at: Timestamp::from_millis(9),
    };
    let (names, _, _) = taken(&[report(1, vec![item(1, A, waits.clone())])]);
    assert_eq!(names, ["allocation.retry_scheduled"]);
    let (names, _, _) = taken(&[
        report(1, vec![item(1, A, running(A, 0, None))]),
        report(1, vec![item(2, A, waits)]),
    ]);
    assert!(names.is_empty(), "{names:?}");
}
