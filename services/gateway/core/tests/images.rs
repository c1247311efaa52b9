//! What the view tells of the bytes that releases run.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod world;

use berth_events::{
    ApplicationEvent, ImagesPinned, ReleaseSource, ReleaseStarted,
    spec::{ApplicationSpec, RestartCondition},
};
use berth_ids::ReleaseId;
use std::collections::BTreeMap;
use world::*;

const NEXT: ReleaseId = ReleaseId::from_u128(0x31);

fn pin(world: &mut World, release_id: ReleaseId, digest: &str) {
    let images = BTreeMap::from([("r.example/web:1".to_owned(), digest.to_owned())]);
    world.app(ApplicationEvent::ImagesPinned(ImagesPinned {
        release_id,
        images,
    }));
}

#[test]
fn other_content_behind_the_same_name_is_told_with_both_digests() {
    let mut world = World::default();
    world.cluster(CLUSTER, "main");
    world.deploy(1, RestartCondition::Any);
    pin(&mut world, RELEASE, "sha256:old");
    world.app(ApplicationEvent::ReleaseStarted(ReleaseStarted {
        method: Default::default(),
        release_id: NEXT,
        number: 2,
        spec: ApplicationSpec::default(),
        source: ReleaseSource::Image { image: "x".into() },
        warnings: vec![],
    }));
    pin(&mut world, NEXT, "sha256:new");
    let releases = &world.row().releases;
    let last = |at: usize| releases[at].steps.last().unwrap().what.as_str();
    assert_eq!(last(0), "images pinned: r.example/web:1 is sha256:old");
    assert_eq!(
        last(1),
        "images pinned: r.example/web:1 is sha256:new: other content under the same name than in release 1, \
         which ran sha256:old"
    );
    assert_eq!(releases[1].answer().digests["r.example/web:1"], "sha256:new");
}
