//! Rules of clusters: given events, when command, then events.

mod world;

use berth_cluster_core::{ClusterState, ClusterView};
use berth_events::{
    ApplicationCreated, ApplicationEvent, ApplicationRemoved, Category, ClusterCommand, Quota, RejectionKind,
    SecurityPolicy, StreamName,
};
use berth_eventsourcing::{RowKey, View};
use berth_ids::{ApplicationId, ClusterId};
use world::{CLUSTER, NODE, World, create, join, name};

const APPLICATION: ApplicationId = ApplicationId::from_u128(7);

fn application_stream() -> StreamName {
    StreamName::new(Category::Application, APPLICATION)
}

fn with_application() -> World {
    let mut world = World::with_cluster();
    world.given(
        application_stream(),
        ApplicationEvent::Created(ApplicationCreated {
            application_id: APPLICATION,
            cluster_id: CLUSTER,
            name: name("web"),
        }),
    );
    world
}

fn delete(force: bool) -> ClusterCommand {
    ClusterCommand::DeleteCluster {
        cluster_id: CLUSTER,
        force,
    }
}

fn rename(to: &str, expected_version: Option<u64>) -> ClusterCommand {
    ClusterCommand::RenameCluster {
        cluster_id: CLUSTER,
        name: name(to),
        expected_version,
    }
}

#[test]
fn a_name_is_unique_in_the_tenant_whatever_its_case() {
    let mut world = World::with_cluster();
    assert_eq!(
        world.code(create(ClusterId::from_u128(2), "SHOP")),
        "cluster.name_taken"
    );
    assert_eq!(
        world.run(create(ClusterId::from_u128(2), "other")).unwrap(),
        ["cluster.created", "name.claimed"]
    );
}

#[test]
fn two_creations_at_once_cannot_both_have_the_name() {
    let mut world = World::with_cluster();
    let (first, second) = (ClusterId::from_u128(2), ClusterId::from_u128(3));
    let (one, two) = (
        world.decide("main", &create(first, "new")).unwrap(),
        world.decide("main", &create(second, "new")).unwrap(),
    );
    world.append(&one).unwrap();
    world.append(&two).unwrap_err();
}

#[test]
fn renaming_moves_the_claim_and_frees_the_old_name() {
    let mut world = World::with_cluster();
    assert_eq!(
        world.run(rename("store", None)).unwrap(),
        ["cluster.renamed", "name.claimed", "name.released"]
    );
    assert_eq!(world.run(rename("store", None)).unwrap(), Vec::<String>::new());
    assert_eq!(world.run(rename("Store", None)).unwrap(), ["cluster.renamed"]);
    world.run(create(ClusterId::from_u128(2), "shop")).unwrap();
}

#[test]
fn an_old_version_is_refused() {
    let mut world = World::with_cluster();
    let refused = world.run(rename("store", Some(9))).unwrap_err();
    assert_eq!(refused.kind, RejectionKind::VersionMismatch);
    world.run(rename("store", Some(1))).unwrap();
}

#[test]
fn settings_change_only_if_they_differ() {
    let mut world = World::with_cluster();
    let settings = |policy| ClusterCommand::ChangeSettings {
        cluster_id: CLUSTER,
        policy: Some(policy),
        strategy: None,
        quota: None,
        application_quota: None,
        expected_version: None,
    };
    assert!(world.run(settings(SecurityPolicy::Baseline)).unwrap().is_empty());
    assert_eq!(
        world.run(settings(SecurityPolicy::Open)).unwrap(),
        ["cluster.settings_changed"]
    );
}

#[test]
fn quotas_change_one_without_the_other() {
    let mut world = World::with_cluster();
    let containers = |most| Quota {
        containers: Some(most),
        ..Quota::default()
    };
    let quotas = |quota, application_quota| ClusterCommand::ChangeSettings {
        cluster_id: CLUSTER,
        policy: None,
        strategy: None,
        quota,
        application_quota,
        expected_version: None,
    };
    let changed = ["cluster.quotas_changed"];
    assert_eq!(world.run(quotas(Some(containers(5)), None)).unwrap(), changed);
    assert!(world.run(quotas(Some(containers(5)), None)).unwrap().is_empty());
    assert_eq!(world.run(quotas(None, Some(containers(2)))).unwrap(), changed);
    // The first is still there: the same again is no news.
    assert!(
        world
            .run(quotas(Some(containers(5)), Some(containers(2))))
            .unwrap()
            .is_empty()
    );
    assert_eq!(world.run(quotas(Some(Quota::default()), None)).unwrap(), changed);
}

#[test]
fn a_cluster_with_applications_is_deleted_only_by_force() {
    let mut world = with_application();
    assert_eq!(world.code(delete(false)), "cluster.has_applications");
    assert_eq!(world.run(delete(true)).unwrap(), ["cluster.delete_requested"]);
    assert!(world.run(delete(true)).unwrap().is_empty());
    assert_eq!(world.code(join(NODE, None, "late")), "cluster.deleting");
    let finish = ClusterCommand::FinishDelete { cluster_id: CLUSTER };
    assert_eq!(world.code(finish.clone()), "cluster.not_empty");
    world.given(
        application_stream(),
        ApplicationEvent::Removed(ApplicationRemoved {}),
    );
    assert_eq!(
        world.run(finish.clone()).unwrap(),
        ["cluster.deleted", "name.released"]
    );
    assert!(world.run(finish).unwrap().is_empty());
    world.run(create(ClusterId::from_u128(2), "shop")).unwrap();
}

#[test]
fn another_tenant_sees_no_cluster() {
    let world = World::with_cluster();
    assert_eq!(
        world.decide("other", &delete(true)).unwrap_err().kind,
        RejectionKind::NotFound
    );
}

#[test]
fn the_state_follows_from_nodes_and_life() {
    let mut world = World::with_cluster();
    assert_eq!(world.view.state(CLUSTER), ClusterState::Inactive);
    world.run(join(NODE, None, "a")).unwrap();
    assert_eq!(world.view.state(CLUSTER), ClusterState::Running);
    world
        .run(ClusterCommand::MarkLost {
            node_id: NODE,
            silent_ms: 2_000,
        })
        .unwrap();
    assert_eq!(world.view.state(CLUSTER), ClusterState::Failed);
    world.run(delete(false)).unwrap();
    assert_eq!(world.view.state(CLUSTER), ClusterState::Deleting);
}

#[test]
fn a_view_restored_from_its_rows_answers_the_same() {
    let mut world = with_application();
    world.run(join(NODE, None, "a")).unwrap();
    let keys = [
        RowKey::new("cluster", CLUSTER),
        RowKey::new("node", NODE),
        RowKey::new("application", APPLICATION),
    ];
    let mut restored = ClusterView::default();
    for key in keys {
        let row = world.view.row(&key).unwrap();
        restored.restore(key.clone(), &row).unwrap();
        assert_eq!(restored.row(&key), Some(row));
    }
    assert_eq!(restored.next_index(CLUSTER), 2);
    assert_eq!(restored.applications(CLUSTER), world.view.applications(CLUSTER));
    assert_eq!(restored.nodes(CLUSTER).count(), 1);
}
