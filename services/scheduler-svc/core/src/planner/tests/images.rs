//! Which bytes a release runs: the first container says it, the others follow, a rollback brings it back.

use crate::{
    lab::{Lab, app, created_of, service},
    limits::SETTLE_AFTER,
    view::AllocationRow,
};
use berth_events::{
    ApplicationEvent, Event, ReleaseOutcome, SchedulerCommand,
    spec::{ApplicationSpec, PullPolicy, ServiceSpec},
};
use berth_ids::{AllocationId, ApplicationId, ReleaseId};
use std::collections::BTreeMap;

const IMAGE: &str = "r.example/web:1";

fn web(replicas: u32, pull_policy: PullPolicy) -> ServiceSpec {
    let mut spec = service(replicas, IMAGE);
    spec.container.pull_policy = pull_policy;
    spec
}

fn deploy(lab: &mut Lab, spec: ServiceSpec) -> ApplicationId {
    lab.deploy("shop", app([("web", spec)]))
}

fn lab(nodes: u32) -> Lab {
    let mut lab = Lab::new();
    for node in 1..=nodes {
        lab.node(&format!("n{node}"));
    }
    lab
}

/// Every node has its own idea of what the image's name means now; a container ordered with a digest has that.
fn obey(lab: &mut Lab, meanings: &BTreeMap<&str, &str>) {
    for row in lab.rows() {
        let node = lab.view.node(row.node_id).unwrap().name.to_string();
        if row.stop.is_some() {
            lab.report(row.allocation_id, berth_events::Observed::Removed);
        } else if row.phase < crate::allocation::Phase::Running {
            let meant = meanings.get(node.as_str()).map(|digest| (*digest).to_owned());
            let digest = row.image_digest.clone().or(meant);
            lab.report(row.allocation_id, created_of(row.allocation_id, digest));
            lab.run(row.allocation_id);
        }
    }
}

/// Plans and obeys to the end; how many containers were made on the way.
fn settle(lab: &mut Lab, meanings: &[(&str, &str)]) -> usize {
    let meanings = meanings.iter().copied().collect();
    let before: Vec<AllocationId> = lab.rows().iter().map(|row| row.allocation_id).collect();
    let mut made = std::collections::BTreeSet::new();
    let mut watched = false;
    for _ in 0..50 {
        let head = lab.log.head();
        lab.plan_all();
        made.extend(lab.rows().iter().map(|row| row.allocation_id));
        obey(lab, &meanings);
        if lab.log.head() == head && !watched {
            // What runs must run for a while before it counts.
            lab.pass(SETTLE_AFTER);
            watched = true;
        } else if lab.log.head() == head {
            made.retain(|id| !before.contains(id));
            return made.len();
        }
    }
    panic!("it never settles");
}

fn digests(lab: &Lab) -> Vec<String> {
    let kept = lab.rows().into_iter().filter(AllocationRow::is_kept);
    let mut digests: Vec<_> = kept
        .map(|row| row.image_digest.unwrap_or_else(|| "?".into()))
        .collect();
    digests.sort();
    digests
}

fn pins(lab: &Lab, id: ApplicationId) -> BTreeMap<String, String> {
    lab.view.application(id).unwrap().images.clone()
}

fn events_of(lab: &Lab, id: ApplicationId) -> Vec<ApplicationEvent> {
    let stream = crate::application::application_stream(id);
    let events = lab.log.stream(&stream);
    let own = events.filter_map(|recorded| match recorded.event().unwrap() {
        Event::Application(event) => Some(event),
        _ => None,
    });
    own.collect()
}

#[test]
fn the_first_container_says_what_the_release_runs_and_the_others_follow() {
    let mut lab = lab(3);
    let id = deploy(&mut lab, web(3, PullPolicy::Missing));
    settle(
        &mut lab,
        &[("n1", "sha256:old"), ("n2", "sha256:new"), ("n3", "sha256:new")],
    );
    let pinned = pins(&lab, id)[IMAGE].clone();
    assert_eq!(digests(&lab), vec![pinned; 3]);
    let pinned_events = events_of(&lab, id)
        .into_iter()
        .filter(|event| matches!(event, ApplicationEvent::ImagesPinned(_)));
    assert_eq!(pinned_events.count(), 1);
    assert!(lab.view.application(id).unwrap().settled);
}

#[test]
fn what_is_scaled_later_runs_the_same_bytes() {
    let mut lab = lab(3);
    let id = deploy(&mut lab, web(1, PullPolicy::Missing));
    settle(
        &mut lab,
        &[("n1", "sha256:a"), ("n2", "sha256:a"), ("n3", "sha256:a")],
    );
    lab.scale(id, "web", 3);
    settle(
        &mut lab,
        &[("n1", "sha256:b"), ("n2", "sha256:b"), ("n3", "sha256:b")],
    );
    assert_eq!(digests(&lab), vec!["sha256:a"; 3]);
}

#[test]
fn images_of_no_registry_go_by_their_names() {
    let mut lab = lab(2);
    let id = deploy(&mut lab, web(2, PullPolicy::Missing));
    assert_eq!(settle(&mut lab, &[]), 2);
    assert_eq!(pins(&lab, id), BTreeMap::new());
    assert!(lab.view.application(id).unwrap().settled);
    // Loaded by hand: even with a digest nobody fetches another.
    let spec = web(2, PullPolicy::Never);
    let id = lab.deploy("hand", app([("web", spec)]));
    settle(&mut lab, &[("n1", "sha256:a"), ("n2", "sha256:b")]);
    assert_eq!(pins(&lab, id), BTreeMap::new());
}

#[test]
fn the_same_file_deployed_again_is_a_release_only_if_it_asks_for_the_newest() {
    let mut lab = lab(1);
    let id = deploy(&mut lab, web(1, PullPolicy::Missing));
    settle(&mut lab, &[("n1", "sha256:a")]);
    deploy(&mut lab, web(1, PullPolicy::Missing));
    assert_eq!(settle(&mut lab, &[("n1", "sha256:b")]), 0);
    assert_eq!(lab.view.application(id).unwrap().release_number, 1);

    deploy(&mut lab, web(1, PullPolicy::Always));
    settle(&mut lab, &[("n1", "sha256:b")]);
    deploy(&mut lab, web(1, PullPolicy::Always));
    settle(&mut lab, &[("n1", "sha256:c")]);
    assert_eq!(
        (digests(&lab), pins(&lab, id)[IMAGE].as_str()),
        (vec!["sha256:c".into()], "sha256:c")
    );
}

#[test]
fn one_container_finds_out_whether_there_is_newer_content() {
    const REPLICAS: u32 = 4;
    let mut lab = lab(2);
    let all = |digest: &'static str| [("n1", digest), ("n2", digest)];
    deploy(&mut lab, web(REPLICAS, PullPolicy::Always));
    settle(&mut lab, &all("sha256:a"));
    deploy(&mut lab, web(REPLICAS, PullPolicy::Always));
    assert_eq!(
        settle(&mut lab, &all("sha256:a")),
        1,
        "nothing new: the others stay"
    );
    deploy(&mut lab, web(REPLICAS, PullPolicy::Always));
    assert_eq!(settle(&mut lab, &all("sha256:b")), 4, "new content for all");
    assert_eq!(digests(&lab), vec!["sha256:b"; 4]);
}

#[test]
fn a_rollback_brings_the_bytes_back_also_behind_the_same_name() {
    let mut lab = lab(2);
    let spec = || -> ApplicationSpec { app([("web", web(2, PullPolicy::Always))]) };
    let all = |digest: &'static str| [("n1", digest), ("n2", digest)];
    let id = lab.deploy("shop", spec());
    settle(&mut lab, &all("sha256:good"));
    lab.deploy("shop", spec());
    settle(&mut lab, &all("sha256:bad"));
    assert_eq!(digests(&lab), vec!["sha256:bad"; 2]);
    let release_id = ReleaseId::from_u128(0xbac4);
    lab.command(SchedulerCommand::Rollback {
        application_id: id,
        release_id,
        to: None,
        unsettled_only: false,
        expected_version: None,
    });
    settle(&mut lab, &all("sha256:bad"));
    assert_eq!(digests(&lab), vec!["sha256:good"; 2]);
    let last = events_of(&lab, id).pop();
    assert!(
        matches!(&last, Some(ApplicationEvent::ReleaseSettled(settled)) if settled.outcome == ReleaseOutcome::Running),
        "{last:?}"
    );
}
