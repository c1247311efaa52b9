//! A rehearsal says what happens: its first step is what is recorded then, and it changes nothing.

use super::Rehearsal;
use crate::{
    lab::{CLUSTER, GIB, Lab, app, service, with_memory, with_volume},
    planner::{
        Plan,
        tests::properties::{Deed, World, config, deed},
    },
    view::SchedulerView,
};
use berth_events::{
    ChangePlan, DeployMethod, PlanQuestion, Rejection, SchedulerCommand,
    spec::{ApplicationSpec, EnvironmentValue, SecretRef, UpdateOrder, UpdatePolicy},
};
use berth_eventsourcing::{LoadedStream, Streams, Undecided};
use berth_ids::{AllocationId, ReleaseId, SecretId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn question(commands: impl IntoIterator<Item = SchedulerCommand>) -> PlanQuestion {
    PlanQuestion {
        tenant: "main".into(),
        commands: commands.into_iter().collect(),
        same_values: BTreeSet::new(),
    }
}

fn begin(lab: &Lab, question: &PlanQuestion) -> Result<Rehearsal, Rejection> {
    let mut streams = Streams::default();
    loop {
        match Rehearsal::begin(question.clone(), CLUSTER, &lab.view, lab.log.head(), &streams) {
            Ok(rehearsal) => return Ok(rehearsal),
            Err(Undecided::Refused(rejection)) => return Err(rejection),
            Err(Undecided::Needs(stream)) => {
                let loaded: LoadedStream = lab.log.load(&stream);
                streams.insert(stream, loaded);
            }
        }
    }
}

fn ids() -> impl FnMut() -> AllocationId {
    let mut id = 1_u128 << 64;
    move || {
        id += 1;
        AllocationId::from_u128(id)
    }
}

fn rehearse(lab: &Lab, commands: impl IntoIterator<Item = SchedulerCommand>) -> ChangePlan {
    let rehearsal = begin(lab, &question(commands)).unwrap();
    rehearsal.run(lab.now, &mut ids()).unwrap()
}

fn deploying(lab: &mut Lab, spec: ApplicationSpec) -> ChangePlan {
    let command = lab.deploy_command("shop", spec);
    rehearse(lab, [command])
}

/// Ids of new allocations in the order in which they are placed: those are made anew each time.
fn without_ids(mut plans: Vec<Plan>) -> Vec<Plan> {
    let mut known: BTreeMap<AllocationId, AllocationId> = BTreeMap::new();
    for placed in plans
        .iter_mut()
        .flat_map(|plan| &mut plan.changes)
        .flat_map(|change| &mut change.place)
    {
        let next = AllocationId::from_u128(known.len() as u128);
        placed.allocation_id = *known.entry(placed.allocation_id).or_insert(next);
    }
    for order in plans
        .iter_mut()
        .flat_map(|plan| &mut plan.changes)
        .flat_map(|change| &mut change.stop)
    {
        order.allocation_id = known
            .get(&order.allocation_id)
            .copied()
            .unwrap_or(order.allocation_id);
    }
    plans
}

/// What an answer says of its first step: containers placed with node and reason, and containers stopped.
fn said(plan: &ChangePlan) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = || plan.containers.iter().chain(&plan.others);
    let name = |planned: &berth_events::PlannedContainer| {
        format!("{}/{}.{}", planned.application, planned.service, planned.slot)
    };
    let placed = all().filter(|planned| planned.placed_in == Some(1));
    let stopped = all().filter(|planned| planned.stopped_in == Some(1) && planned.stop.is_some());
    (
        placed
            .map(|planned| format!("{} on {:?}: {:?}", name(planned), planned.to, planned.why))
            .collect(),
        stopped
            .map(|planned| format!("{} on {:?}: {:?}", name(planned), planned.from, planned.stop))
            .collect(),
    )
}

/// What plans have recorded, in the same words. Only containers that were to stay count as stopped.
fn done(before: &SchedulerView, lab: &Lab, plans: &[Plan]) -> (BTreeSet<String>, BTreeSet<String>) {
    let name = |id| lab.view.application(id).map(|row| row.name.clone());
    let node = |id| lab.view.node(id).map(|node| node.name.clone());
    let (mut placed, mut stopped) = (BTreeSet::new(), BTreeSet::new());
    for change in plans.iter().flat_map(|plan| &plan.changes) {
        for one in &change.place {
            let application = name(one.application_id).unwrap();
            let why = Some(&one.why);
            let place = node(change.node_id);
            placed.insert(format!(
                "{application}/{}.{} on {place:?}: {why:?}",
                one.service, one.slot
            ));
        }
        for order in &change.stop {
            let row = before.allocation(order.allocation_id);
            if let Some(row) = row.filter(|row| row.is_kept())
                && let Some(application) = name(row.application_id)
            {
                let (place, reason) = (node(change.node_id), Some(order.reason));
                stopped.insert(format!(
                    "{application}/{}.{} on {place:?}: {reason:?}",
                    row.service, row.slot
                ));
            }
        }
    }
    (placed, stopped)
}

/// A change that may be asked for in a world.
fn command(world: &mut World, asked: &Deed) -> Option<SchedulerCommand> {
    let known = |world: &World, at: &usize| world.lab.applications.get(&format!("app{at}")).copied();
    match asked {
        Deed::Deploy {
            application,
            variant,
            replicas,
            policy,
            method,
        } => Some(world.deploy_command(
            &format!("app{application}"),
            (*variant, *replicas),
            *policy,
            *method,
        )),
        Deed::Scale {
            application,
            replicas,
        } => Some(SchedulerCommand::Scale {
            application_id: known(world, application)?,
            service: "web".into(),
            replicas: *replicas,
            expected_version: None,
        }),
        Deed::Rollback(at, to) => Some(SchedulerCommand::Rollback {
            application_id: known(world, at)?,
            release_id: ReleaseId::from_u128(world.lab.id()),
            to: *to,
            unsettled_only: false,
            expected_version: None,
        }),
        Deed::Remove(at, volumes) => Some(SchedulerCommand::Remove {
            application_id: known(world, at)?,
            volumes: *volumes,
        }),
        Deed::Confirm(at) => Some(SchedulerCommand::ConfirmRelease {
            application_id: known(world, at)?,
            force: *at == 1,
        }),
        Deed::Pause(at) => Some(SchedulerCommand::PauseRelease {
            application_id: known(world, at)?,
        }),
        Deed::Resume(at) => Some(SchedulerCommand::ResumeRelease {
            application_id: known(world, at)?,
        }),
        Deed::StopApp(at) => Some(SchedulerCommand::Stop {
            application_id: known(world, at)?,
        }),
        Deed::StartApp(at) => Some(SchedulerCommand::Start {
            application_id: known(world, at)?,
        }),
        Deed::Restart(at) => Some(SchedulerCommand::Restart {
            application_id: known(world, at)?,
            services: BTreeSet::new(),
        }),
        _ => None,
    }
}

/// Plans a change, then asks for it, and compares.
fn compare(world: &mut World, command: SchedulerCommand) {
    let before = world.lab.view.clone();
    let head = world.lab.log.head();
    let asked = question([command.clone()]);
    let planned = begin(&world.lab, &asked);
    let answer = begin(&world.lab, &asked).map(|rehearsal| rehearsal.run(world.lab.now, &mut ids()).unwrap());
    assert!(
        before == world.lab.view && head == world.lab.log.head(),
        "a plan changes nothing"
    );
    let first = planned.map(|mut rehearsal| {
        rehearsal.stage.now = world.lab.now;
        rehearsal.stage.plan(&mut ids()).unwrap()
    });
    match (world.lab.try_command(&command), first, answer) {
        (Ok(_), Ok(first), Ok(answer)) => {
            let recorded = world.lab.plan_all();
            assert_eq!(said(&answer), done(&before, &world.lab, &recorded));
            assert_eq!(
                without_ids(first),
                without_ids(recorded),
                "deploy does what plan said"
            );
        }
        (Err(refused), Err(said), Err(_)) => assert_eq!(refused, said, "both are refused alike"),
        (done, said, _) => panic!("plan says {said:#?}, deploy {done:#?}"),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_asked_for_does_what_its_plan_said(
        deeds in prop::collection::vec((deed(), any::<bool>()), 1..40),
    ) {
        let mut world = World::new();
        for (deed, calm) in deeds {
            // Also when the last thing has not been planned yet.
            match command(&mut world, &deed) {
                Some(command) => compare(&mut world, command),
                None => world.container_deed(deed),
            }
            if calm {
                world.plan();
            }
        }
    }
}

fn actions(plan: &ChangePlan) -> Vec<String> {
    let shown = |planned: &berth_events::PlannedContainer| {
        let node = |name: &Option<berth_ids::Name>| name.as_ref().map_or("-".to_owned(), ToString::to_string);
        format!(
            "{:?} {}.{} {}→{}",
            planned.action,
            planned.service,
            planned.slot,
            node(&planned.from),
            node(&planned.to)
        )
    };
    plan.containers.iter().map(shown).collect()
}

fn policy(order: UpdateOrder) -> Option<UpdatePolicy> {
    Some(UpdatePolicy {
        order,
        monitor_ms: 5_000,
        delay_ms: 1_000,
        ..UpdatePolicy::default()
    })
}

#[test]
fn a_new_application_is_created_and_its_images_pulled() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    let command = lab.deploy_command("shop", app([("web", service(2, "nginx"))]));
    let plan = rehearse(&lab, [command]);
    assert!(plan.changed && plan.complete);
    assert_eq!(
        (plan.application_id, plan.release, plan.steps),
        (None, Some(1), 1)
    );
    assert_eq!(actions(&plan), ["Create web.1 -→n1", "Create web.2 -→n2"]);
    assert_eq!(plan.model.added, BTreeSet::from(["web".to_owned()]));
    let pulls: Vec<_> = plan.pulls["nginx"].iter().map(|node| node.as_str()).collect();
    assert_eq!(pulls, ["n1", "n2"]);
    let web = &plan.services["web"];
    assert!(!web.interrupted, "what was not there is not missed");
    assert_eq!((web.wanted, web.ready), (2, 0));
}

#[test]
fn a_change_names_its_keys_and_what_it_replaces() {
    let mut lab = Lab::new();
    lab.node("n1");
    let before = app([("web", service(2, "nginx:1")), ("db", service(1, "mariadb"))]);
    lab.deploy("shop", before.clone());
    lab.settle();
    let mut after = before;
    let web = after.services.get_mut("web").unwrap();
    web.container.image = "nginx:2".into();
    web.update = policy(UpdateOrder::StopFirst);
    let plan = deploying(&mut lab, after);
    assert_eq!(
        actions(&plan),
        ["Keep db.1 n1→n1", "Replace web.1 n1→n1", "Replace web.2 n1→n1"]
    );
    assert_eq!((plan.counts.replace, plan.counts.keep), (2, 1));
    let keys: Vec<_> = plan.model.keys.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(
        keys,
        [
            "services.web.image",
            "services.web.update.delay_ms",
            "services.web.update.monitor_ms",
            "services.web.update.parallelism"
        ]
    );
    let image = &plan.model.keys[0];
    assert_eq!(
        (image.before.as_deref(), image.after.as_deref()),
        (Some("nginx:1"), Some("nginx:2"))
    );
    let web = &plan.services["web"];
    assert_eq!((web.order, web.least_ready), (Some(UpdateOrder::StopFirst), 1));
    assert!(!web.interrupted && plan.complete, "one of two runs on");
    assert_eq!(plan.pulls.keys().collect::<Vec<_>>(), ["nginx:2"]);
}

#[test]
fn only_stop_first_interrupts_a_service_of_one() {
    for (order, interrupted, least) in [
        (UpdateOrder::StopFirst, true, 0),
        (UpdateOrder::StartFirst, false, 1),
    ] {
        let mut lab = Lab::new();
        lab.node("n1");
        lab.deploy("shop", app([("web", service(1, "nginx:1"))]));
        lab.settle();
        let mut web = service(1, "nginx:2");
        web.update = policy(order);
        let plan = deploying(&mut lab, app([("web", web)]));
        let web = &plan.services["web"];
        assert_eq!(
            (web.order, web.interrupted, web.least_ready),
            (Some(order), interrupted, least)
        );
    }
}

#[test]
fn what_fits_nowhere_is_pending_and_says_why() {
    let mut lab = Lab::new();
    lab.node("n1");
    let spec = app([("web", with_memory(service(1, "nginx"), 100 * GIB))]);
    let plan = deploying(&mut lab, spec);
    assert_eq!(actions(&plan), ["Pending web.1 -→-"]);
    let web = &plan.services["web"];
    let why = web.why.as_ref().unwrap();
    assert_eq!(web.pending, BTreeSet::from([1]));
    assert!(why.summary.contains("no node has 100 GiB"), "{}", why.summary);
}

#[test]
fn the_same_file_again_changes_nothing() {
    let mut lab = Lab::new();
    lab.node("n1");
    let spec = app([("web", with_volume(service(1, "nginx"), "data"))]);
    lab.deploy("shop", spec.clone());
    lab.settle();
    let plan = deploying(&mut lab, spec);
    assert!(!plan.changed);
    assert_eq!((plan.steps, plan.release), (0, None));
    assert_eq!(actions(&plan), ["Keep web.1 n1→n1"]);
    assert!(plan.model.keys.is_empty() && plan.pulls.is_empty());
}

#[test]
fn several_commands_are_planned_together() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("a", service(1, "x")), ("b", service(2, "x"))]));
    lab.settle();
    let scale = |service: &str, replicas| SchedulerCommand::Scale {
        application_id: id,
        service: service.into(),
        replicas,
        expected_version: None,
    };
    let plan = rehearse(&lab, [scale("a", 2), scale("b", 0)]);
    assert_eq!(
        actions(&plan),
        [
            "Keep a.1 n1→n1",
            "Create a.2 -→n1",
            "Remove b.1 n1→-",
            "Remove b.2 n1→-"
        ]
    );
    let keys: Vec<_> = plan.model.keys.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(keys, ["services.a.mode.replicas", "services.b.mode.replicas"]);
}

#[test]
fn a_removal_leaves_nothing() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", with_volume(service(1, "nginx"), "data"))]));
    lab.settle();
    let plan = rehearse(
        &lab,
        [SchedulerCommand::Remove {
            application_id: id,
            volumes: true,
        }],
    );
    assert_eq!(actions(&plan), ["Remove web.1 n1→-"]);
    assert!(plan.complete);
    assert_eq!(plan.model.removed, BTreeSet::from(["web".to_owned()]));
}

#[test]
fn values_of_the_vault_are_not_shown() {
    let secret = |version| {
        EnvironmentValue::Secret(SecretRef {
            secret_id: SecretId::from_u128(9),
            version,
            key: "PASSWORD".into(),
        })
    };
    let with = |version, public: &str| {
        let mut spec = service(1, "mariadb");
        let environment = &mut spec.container.environment;
        environment.insert("PASSWORD".into(), secret(version));
        environment.insert("MODE".into(), EnvironmentValue::Plain(public.into()));
        app([("db", spec)])
    };
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", with(1, "a"));
    lab.settle();
    let mut asked = question([lab.deploy_command("shop", with(2, "b"))]);
    let keys = |asked: &PlanQuestion, lab: &Lab| {
        let plan = begin(lab, asked).unwrap().run(lab.now, &mut ids()).unwrap();
        let keys = plan.model.keys.into_iter();
        keys.map(|key| (key.path, key.before.unwrap(), key.after.unwrap()))
            .collect::<Vec<_>>()
    };
    let mode = (
        "services.db.environment.MODE".to_owned(),
        "a".to_owned(),
        "b".to_owned(),
    );
    let password = "services.db.environment.PASSWORD".to_owned();
    assert_eq!(
        keys(&asked, &lab),
        [
            mode.clone(),
            (password, "(secret)".to_owned(), "(secret)".to_owned())
        ]
    );
    // The version is another one because of another value.
    asked.same_values.insert(SecretRef {
        secret_id: SecretId::from_u128(9),
        version: 1,
        key: "PASSWORD".into(),
    });
    assert_eq!(keys(&asked, &lab), [mode]);
}

#[test]
fn jobs_that_others_wait_for_are_taken_to_end_well() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut job = service(1, "migrate");
    job.restart.condition = berth_events::spec::RestartCondition::Never;
    let mut web = service(1, "nginx");
    web.depends_on.insert(
        "migrate".into(),
        berth_events::spec::DependencyCondition::ServiceCompletedSuccessfully,
    );
    let plan = deploying(&mut lab, app([("migrate", job), ("web", web)]));
    assert_eq!(actions(&plan), ["Create migrate.1 -→n1", "Create web.1 -→n1"]);
    let steps: Vec<_> = plan.containers.iter().map(|planned| planned.placed_in).collect();
    assert_eq!(
        steps,
        [Some(1), Some(2)],
        "the second comes when the first has ended"
    );
}

#[test]
fn a_change_that_is_refused_is_refused_in_the_plan() {
    let mut lab = Lab::new();
    let command = lab.deploy_command("shop", app([]));
    assert_eq!(
        begin(&lab, &question([command])).unwrap_err().code,
        "application.no_service"
    );
    let nothing = begin(&lab, &question([])).unwrap_err();
    assert_eq!(nothing.code, "plan.nothing");
}

#[test]
fn a_blue_green_release_stands_beside_the_old_one() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("blue", service(1, "nginx:1"))]));
    lab.settle();
    let mut command = lab.deploy_command("shop", app([("green", service(1, "nginx:2"))]));
    if let SchedulerCommand::Deploy { method, .. } = &mut command {
        *method = DeployMethod::BlueGreen;
    }
    let plan = rehearse(&lab, [command]);
    assert_eq!(actions(&plan), ["Keep blue.1 n1→n1", "Create green.1 -→n1"]);
    assert_eq!(plan.services["blue"].least_ready, 1);
}
