//! Given events, when a command comes, then events or a refusal.

use super::*;
use crate::lab::{CLUSTER, Lab, app, service};
use berth_events::{
    Event, RejectionKind,
    spec::{Constraint, DependencyCondition, Operator, ServiceSpec},
};
use std::collections::BTreeSet;

struct Case {
    lab: Lab,
    id: ApplicationId,
}

fn given(services: [(&str, ServiceSpec); 2]) -> Case {
    let mut lab = Lab::new();
    let id = lab.deploy("shop", app(services));
    Case { lab, id }
}

fn shop() -> Case {
    let mut agent = service(1, "agent");
    agent.mode = ServiceMode::Global;
    given([("web", service(2, "nginx")), ("agent", agent)])
}

impl Case {
    /// Names of the events that a command causes.
    fn when(&mut self, command: &SchedulerCommand) -> Result<Vec<String>, Rejection> {
        let head = self.lab.log.head();
        self.lab.try_command(command)?;
        let events = self.lab.log.after(head).iter();
        Ok(events.map(|event| event.type_name.to_string()).collect())
    }

    fn refused(&mut self, command: &SchedulerCommand) -> Rejection {
        self.when(command).expect_err("it should be refused")
    }

    fn scale(&self, service: &str, replicas: u32) -> SchedulerCommand {
        SchedulerCommand::Scale {
            application_id: self.id,
            service: service.into(),
            replicas,
            expected_version: None,
        }
    }
}

#[test]
fn a_new_application_claims_its_name_and_starts_a_release_in_one_append() {
    let mut lab = Lab::new();
    let head = lab.log.head();
    lab.deploy("Shop", app([("web", service(1, "nginx"))]));
    let names: Vec<_> = lab
        .log
        .after(head)
        .iter()
        .map(|event| event.type_name.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "name.claimed",
            "application.created",
            "application.release_started"
        ]
    );
    assert_eq!(
        lab.log.after(head)[0].stream.as_str(),
        format!("name/cluster/{CLUSTER}/application/shop")
    );
}

#[test]
fn deploying_the_same_records_nothing() {
    let mut case = given([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    let same = app([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    let command = case.lab.deploy_command("shop", same);
    assert_eq!(case.when(&command).unwrap(), Vec::<String>::new());
}

#[test]
fn a_change_supersedes_the_release_that_had_not_settled() {
    let mut case = shop();
    let command = case
        .lab
        .deploy_command("shop", app([("web", service(3, "nginx"))]));
    assert_eq!(
        case.when(&command).unwrap(),
        ["application.release_settled", "application.release_started"]
    );
}

#[test]
fn the_file_wins_over_scale() {
    let mut case = given([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    let scale = case.scale("web", 5);
    assert_eq!(case.when(&scale).unwrap(), ["application.scaled"]);
    assert_eq!(case.when(&scale).unwrap(), Vec::<String>::new());
    let file = app([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    case.lab.deploy("shop", file);
    assert_eq!(
        case.lab.view.application(case.id).unwrap().replicas("web"),
        Some(2)
    );
}

#[test]
fn a_deploy_of_a_stopped_application_starts_it() {
    let mut case = given([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    let stop = SchedulerCommand::Stop {
        application_id: case.id,
    };
    assert_eq!(case.when(&stop).unwrap(), ["application.stopped"]);
    assert_eq!(case.when(&stop).unwrap(), Vec::<String>::new());
    let same = app([("web", service(2, "nginx")), ("db", service(1, "pg"))]);
    let command = case.lab.deploy_command("shop", same);
    assert_eq!(case.when(&command).unwrap(), ["application.started"]);
}

#[test]
fn scale_is_refused_with_a_way_out() {
    let mut case = shop();
    let unknown = case.scale("wep", 1);
    let refusal = case.refused(&unknown);
    assert_eq!(refusal.kind, RejectionKind::NotFound);
    assert_eq!(refusal.cure.as_deref(), Some("its services: agent, web"));
    let global = case.scale("agent", 2);
    let refusal = case.refused(&global);
    assert_eq!(refusal.code, "application.global_service");
    assert_eq!(refusal.cure.as_deref(), Some("scalable services: web"));
    let many = case.scale("web", 10_001);
    assert_eq!(case.refused(&many).code, "application.too_many_replicas");
}

#[test]
fn versions_and_existence_are_checked() {
    let mut case = shop();
    let SchedulerCommand::Scale { application_id, .. } = case.scale("web", 1) else {
        panic!("scale");
    };
    let stale = SchedulerCommand::Scale {
        application_id,
        service: "web".into(),
        replicas: 1,
        expected_version: Some(1),
    };
    assert_eq!(case.refused(&stale).kind, RejectionKind::VersionMismatch);
    for (name, wanted, code) in [
        ("shop", Some(false), "application.exists"),
        ("other", Some(true), "application.not_found"),
    ] {
        let mut command = case.lab.deploy_command(name, app([("web", service(1, "x"))]));
        if let SchedulerCommand::Deploy { must_exist, .. } = &mut command {
            *must_exist = wanted;
        }
        assert_eq!(case.refused(&command).code, code);
    }
}

#[test]
fn what_the_planner_notes_of_a_release_does_not_outdate_what_a_client_has_read() {
    let mut case = shop();
    case.lab.node("n1");
    let version = |case: &Case| case.lab.view.application(case.id).unwrap().version;
    let read = version(&case);
    case.lab.settle();
    assert!(version(&case) > read, "the release has settled meanwhile");
    let scale = |case: &Case, replicas| {
        let mut command = case.scale("web", replicas);
        if let SchedulerCommand::Scale { expected_version, .. } = &mut command {
            *expected_version = Some(read);
        }
        command
    };
    let first = scale(&case, 1);
    assert_eq!(case.when(&first).unwrap(), ["application.scaled"]);
    let second = scale(&case, 2);
    assert_eq!(case.refused(&second).kind, RejectionKind::VersionMismatch);
}

#[test]
fn what_is_being_removed_takes_no_orders() {
    let mut case = shop();
    let remove = |volumes| SchedulerCommand::Remove {
        application_id: case.id,
        volumes,
    };
    let (keep, drop) = (remove(false), remove(true));
    assert_eq!(case.when(&keep).unwrap(), ["application.remove_requested"]);
    assert_eq!(case.when(&keep).unwrap(), Vec::<String>::new());
    assert_eq!(case.when(&drop).unwrap(), ["application.remove_requested"]);
    let scale = case.scale("web", 1);
    assert_eq!(case.refused(&scale).code, "application.removing");
    let command = case.lab.deploy_command("shop", app([("web", service(1, "x"))]));
    assert_eq!(case.refused(&command).code, "application.removing");
    case.lab.settle();
    assert_eq!(case.refused(&scale).code, "application.not_found");
}

#[test]
fn a_restart_needs_known_services_and_a_running_application() {
    let mut case = shop();
    let restart = |services: BTreeSet<String>| SchedulerCommand::Restart {
        application_id: case.id,
        services,
    };
    let (all, unknown) = (restart(BTreeSet::new()), restart(["x".to_owned()].into()));
    assert_eq!(case.when(&all).unwrap(), ["application.restart_requested"]);
    assert_eq!(case.refused(&unknown).code, "application.unknown_service");
    let stop = SchedulerCommand::Stop {
        application_id: case.id,
    };
    case.lab.command(stop);
    assert_eq!(case.refused(&all).code, "application.stopped");
}

#[test]
fn specifications_are_checked_before_anything_is_recorded() {
    let mut circle = app([
        ("a", service(1, "x")),
        ("b", service(1, "x")),
        ("c", service(1, "x")),
    ]);
    for (from, to) in [("a", "b"), ("b", "a"), ("c", "a")] {
        let service = circle.services.get_mut(from).unwrap();
        service
            .depends_on
            .insert(to.into(), DependencyCondition::default());
    }
    let refusal = validate(&circle).unwrap_err();
    assert_eq!(refusal.code, "application.depends_on_cycle");
    assert!(refusal.message.ends_with("a → b → a"), "{}", refusal.message);

    let mut unknown = app([("a", service(1, "x"))]);
    let service_a = unknown.services.get_mut("a").unwrap();
    service_a
        .depends_on
        .insert("db".into(), DependencyCondition::default());
    assert_eq!(
        validate(&unknown).unwrap_err().code,
        "application.depends_on_unknown"
    );

    let mut pattern = app([("a", service(1, "x"))]);
    let service_a = pattern.services.get_mut("a").unwrap();
    service_a.placement.constraints.push(Constraint {
        key: "zone".into(),
        operator: Operator::Equal,
        pattern: "/[/".into(),
        soft: false,
    });
    assert_eq!(validate(&pattern).unwrap_err().code, "application.bad_pattern");

    let long = "x".repeat(64);
    for name in ["", "-a", "a b", "ä", long.as_str()] {
        let refusal = validate(&app([(name, service(1, "x"))])).unwrap_err();
        assert_eq!(refusal.code, "application.bad_service_name", "{name}");
    }
    assert_eq!(validate(&app([])).unwrap_err().code, "application.no_service");
    let mut large = service(1, "x");
    large
        .container
        .labels
        .insert("big".into(), "x".repeat(200 * 1024));
    assert_eq!(
        validate(&app([("a", large)])).unwrap_err().code,
        "application.too_large"
    );
    let many = service(10_001, "x");
    assert_eq!(
        validate(&app([("a", many)])).unwrap_err().code,
        "application.too_many_replicas"
    );
}

#[test]
fn a_deploy_into_a_cluster_that_goes_or_is_not_the_tenants_is_refused() {
    let mut case = shop();
    let command = case.lab.deploy_command("new", app([("web", service(1, "x"))]));
    let context = Context {
        tenant: "stranger",
        view: &case.lab.view,
    };
    let refusal = decide(&command, context, &Default::default()).unwrap_err();
    assert!(matches!(
        refusal,
        berth_eventsourcing::Undecided::Refused(Rejection {
            kind: RejectionKind::NotFound,
            ..
        })
    ));
    let going =
        berth_events::ClusterEvent::DeleteRequested(berth_events::ClusterDeleteRequested { force: false });
    let stream = berth_events::StreamName::new(berth_events::Category::Cluster, CLUSTER);
    case.lab.record("cluster", stream, going);
    assert_eq!(case.refused(&command).code, "cluster.deleting");
}

#[test]
fn the_reconciler_settles_only_the_live_release_and_only_once() {
    let case = shop();
    let stream = application_stream(case.id);
    let events: Vec<_> = case
        .lab
        .log
        .stream(&stream)
        .filter_map(|recorded| match recorded.event().unwrap() {
            Event::Application(event) => Some(event),
            _ => None,
        })
        .collect();
    let state = ApplicationAggregate::fold(&events);
    let release_id = state.release.as_ref().unwrap().release_id;
    let settle = ApplicationCommand::SettleRelease { release_id };
    let settled = ApplicationAggregate::decide(&state, &settle).unwrap();
    assert_eq!(settled.len(), 1);
    let after = ApplicationAggregate::evolve(state.clone(), &settled[0]);
    assert!(ApplicationAggregate::decide(&after, &settle).unwrap().is_empty());
    let other = ApplicationCommand::SettleRelease {
        release_id: ReleaseId::from_u128(9),
    };
    assert!(ApplicationAggregate::decide(&state, &other).unwrap().is_empty());
    let finish = ApplicationAggregate::decide(&state, &ApplicationCommand::FinishRemove).unwrap();
    assert!(finish.is_empty(), "nobody asked for its removal");
}
