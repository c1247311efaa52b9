//! Given a quota and what is there, when something grows, then it is refused or not.

use super::turn_stream;
use crate::{
    application::{Context, decide},
    lab::{CLUSTER, GIB, Lab, app, service, with_memory},
    view::SchedulerView,
};
use berth_events::{
    Category, ClusterEvent, ClusterQuotasChanged, Quota, Quotas, Rejection, SchedulerCommand, StreamName,
};
use berth_eventsourcing::{Decision, Expected, Streams, Undecided};
use berth_ids::ApplicationId;

fn lab(cluster: Quota, application: Quota) -> Lab {
    let mut lab = Lab::new();
    lab.node("n1");
    quotas(&mut lab, cluster, application);
    lab
}

fn quotas(lab: &mut Lab, cluster: Quota, application: Quota) {
    let changed = ClusterEvent::QuotasChanged(ClusterQuotasChanged {
        quotas: Quotas { cluster, application },
    });
    lab.record("cluster", StreamName::new(Category::Cluster, CLUSTER), changed);
}

fn containers(most: u64) -> Quota {
    Quota {
        containers: Some(most),
        ..Quota::default()
    }
}

fn memory(most: u64) -> Quota {
    Quota {
        memory_bytes: Some(most),
        ..Quota::default()
    }
}

fn scale(lab: &mut Lab, application_id: ApplicationId, replicas: u32) -> Result<(), Rejection> {
    let command = SchedulerCommand::Scale {
        application_id,
        service: "web".into(),
        replicas,
        expected_version: None,
    };
    lab.try_command(&command).map(|_| ())
}

#[test]
fn a_deploy_over_the_quota_is_refused_with_figures() {
    let mut lab = lab(Quota::default(), memory(3 * GIB));
    let web = |replicas| app([("web", with_memory(service(replicas, "nginx"), GIB))]);
    let command = lab.deploy_command("shop", web(4));
    let refused = lab.try_command(&command).unwrap_err();
    assert_eq!(refused.code, "quota.exceeded");
    assert_eq!(
        refused.message,
        "the application would reserve 4 GiB of memory: the quota of each application of cluster `main` is \
         3 GiB of memory, and 0 B of memory are reserved now"
    );
    assert!(
        refused
            .cure
            .unwrap()
            .contains("berth cluster set main --app-quota")
    );
    let id = lab.deploy("shop", web(3));
    assert_eq!(scale(&mut lab, id, 4).unwrap_err().code, "quota.exceeded");
    assert!(scale(&mut lab, id, 2).is_ok());
}

#[test]
fn a_cluster_counts_all_its_applications() {
    let mut lab = lab(containers(3), Quota::default());
    let first = lab.deploy("a", app([("web", service(2, "x"))]));
    let command = lab.deploy_command("b", app([("web", service(2, "x"))]));
    let refused = lab.try_command(&command).unwrap_err();
    assert!(
        refused
            .message
            .contains("all applications together would reserve 4 containers"),
        "{}",
        refused.message
    );
    // A stopped one reserves nothing, and may not come back where there is no room any more.
    lab.command(SchedulerCommand::Stop {
        application_id: first,
    });
    lab.deploy("b", app([("web", service(2, "x"))]));
    let start = SchedulerCommand::Start {
        application_id: first,
    };
    assert_eq!(lab.try_command(&start).unwrap_err().code, "quota.exceeded");
}

#[test]
fn what_is_over_a_new_quota_stays_and_may_shrink() {
    let mut lab = lab(Quota::default(), Quota::default());
    let id = lab.deploy("shop", app([("web", service(5, "x"))]));
    quotas(&mut lab, containers(2), containers(2));
    lab.settle();
    assert_eq!(lab.rows().len(), 5, "nothing is stopped");
    assert!(scale(&mut lab, id, 4).is_ok(), "still over, but less");
    assert_eq!(scale(&mut lab, id, 5).unwrap_err().code, "quota.exceeded");
    // Another file of the same size is no growth.
    lab.deploy("shop", app([("web", service(4, "y"))]));
}

#[test]
fn a_global_service_counts_once_a_node() {
    let mut lab = lab(Quota::default(), containers(1));
    let mut agent = service(1, "agent");
    agent.mode = berth_events::spec::ServiceMode::Global;
    lab.deploy("one", app([("agent", agent.clone())]));
    lab.node("n2");
    let command = lab.deploy_command("two", app([("agent", agent)]));
    assert_eq!(lab.try_command(&command).unwrap_err().code, "quota.exceeded");
}

/// Decides on what was known at some time, as somebody who is slow would.
fn decided(lab: &Lab, view: &SchedulerView, command: &SchedulerCommand) -> Result<Decision, Rejection> {
    let mut streams = Streams::default();
    loop {
        let tenant = "main";
        match decide(command, Context { tenant, view }, &streams) {
            Ok(decision) => return Ok(decision),
            Err(Undecided::Refused(rejection)) => return Err(rejection),
            Err(Undecided::Needs(stream)) => {
                let loaded = lab.log.load(&stream);
                streams.insert(stream, loaded);
            }
        }
    }
}

#[test]
fn of_two_that_grow_at_once_one_is_decided_again() {
    let mut lab = lab(containers(3), Quota::default());
    let known = lab.view.clone();
    let deploy = |lab: &mut Lab, name| lab.deploy_command(name, app([("web", service(2, "x"))]));
    let (one, two) = (deploy(&mut lab, "one"), deploy(&mut lab, "two"));
    let first = decided(&lab, &known, &one).unwrap();
    let second = decided(&lab, &known, &two).unwrap();
    let turn = |decision: &Decision| {
        let mut changes = decision.changes.iter();
        changes
            .find(|change| change.stream == turn_stream(CLUSTER))
            .map(|change| change.expected)
    };
    assert_eq!(turn(&first), Some(Expected::Version(0)));
    assert_eq!(turn(&second), turn(&first), "only one of the two can be recorded");
    lab.append("scheduler", &first);
    assert_eq!(decided(&lab, &lab.view, &two).unwrap_err().code, "quota.exceeded");
}

#[test]
fn what_does_not_grow_needs_no_turn() {
    let mut lab = lab(containers(3), Quota::default());
    let id = lab.deploy("shop", app([("web", service(2, "x"))]));
    let other = lab.deploy_command("shop", app([("web", service(2, "y"))]));
    let shrink = SchedulerCommand::Scale {
        application_id: id,
        service: "web".into(),
        replicas: 1,
        expected_version: None,
    };
    for command in [other, shrink] {
        let decision = decided(&lab, &lab.view, &command).unwrap();
        let streams = decision.changes.iter().map(|change| &change.stream);
        assert!(!decision.changes.is_empty());
        assert!(streams.into_iter().all(|stream| *stream != turn_stream(CLUSTER)));
    }
}
