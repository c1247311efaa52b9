//! The worker when the machine or the agent itself is at fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

mod common;

use async_trait::async_trait;
use berth_events::{
    FailureReason, Observed,
    spec::{ContainerSpec, EnvironmentValue, FileSpec, RestartCondition, SecretRef},
};
use berth_ids::{AllocationId, SecretId};
use berth_node_agent::{
    engine::Login,
    worker::{SecretError, SecretSource},
};
use common::{Rig, placed, policy, shell, sleeper};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

const ANY: RestartCondition = RestartCondition::Any;

/// Panics as often as it is told, then gives its value.
struct Faulty(AtomicU32);

#[async_trait]
impl SecretSource for Faulty {
    async fn open(
        &self,
        _: AllocationId,
        wanted: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError> {
        let left = self.0.load(Ordering::SeqCst);
        if left > 0 {
            self.0.store(left - 1, Ordering::SeqCst);
            panic!("planted");
        }
        Ok(wanted
            .into_iter()
            .map(|secret| (secret, "open".to_owned()))
            .collect())
    }

    async fn login(&self, _: AllocationId, _: &str) -> Result<Option<Login>, SecretError> {
        Ok(None)
    }
}

fn with_secret() -> ContainerSpec {
    let secret = SecretRef {
        secret_id: SecretId::from_u128(5),
        version: 1,
        key: "k".into(),
    };
    ContainerSpec {
        environment: BTreeMap::from([("WORD".to_owned(), EnvironmentValue::Secret(secret))]),
        ..sleeper()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_panics_has_failed_and_is_tried_again() {
    let faults = Arc::new(Faulty(AtomicU32::new(2)));
    let mut rig = Rig::with_secrets(faults.clone());
    let (first, other) = (placed(1, "web", policy(ANY)), placed(2, "other", policy(ANY)));
    let ids = [first.allocation_id, other.allocation_id];
    rig.order(vec![(first, with_secret()), (other, sleeper())], &[])
        .await;
    rig.running(ids[1]).await;
    rig.running(ids[0]).await;
    assert_eq!(faults.0.load(Ordering::SeqCst), 0);

    // One that always panics ends like one that always fails.
    faults.0.store(u32::MAX, Ordering::SeqCst);
    let never = placed(3, "never", policy(ANY));
    let id = never.allocation_id;
    rig.order(vec![(never, with_secret())], &[]).await;
    let state = rig
        .until(
            id,
            "failed",
            |s| matches!(s, Observed::Failed { reason, .. } if *reason == FailureReason::Create),
        )
        .await;
    assert!(format!("{state:?}").contains("the agent failed"), "{state:?}");
    rig.order(Vec::new(), &[ids[0], ids[1], id]).await;
    for id in [ids[0], ids[1], id] {
        rig.removed(id).await;
    }
}

/// The machine loses its power and comes back with nobody else there: the disk alone says what to run.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_reboots_alone_runs_what_its_disk_says() {
    let mut rig = Rig::new();
    let never = policy(RestartCondition::Never);
    let (web, gone, once) = (
        placed(1, "web", policy(ANY)),
        placed(2, "gone", policy(ANY)),
        placed(3, "once", never),
    );
    let ids = [web.allocation_id, gone.allocation_id, once.allocation_id];
    rig.order(
        vec![(web, sleeper()), (gone, sleeper()), (once, shell("exit 7"))],
        &[],
    )
    .await;
    rig.running(ids[0]).await;
    rig.running(ids[1]).await;
    rig.until(ids[2], "exited", |s| matches!(s, Observed::Exited(_)))
        .await;
    rig.order(Vec::new(), &[ids[1]]).await;
    rig.removed(ids[1]).await;
    // Ordered at the last moment: known to the disk before anything is made of it.
    let late = placed(4, "late", policy(ANY));
    let late_id = late.allocation_id;
    rig.order(vec![(late, sleeper())], &[]).await;
    rig.eventually("the late one is created", |rig| {
        !rig.docker(&["ps", "-aq", "--filter", "name=shop_late_4"])
            .is_empty()
    })
    .await;
    let journal = rig.remote.status().journal;

    for reboot in 1..=2_u32 {
        rig.kill_agent();
        rig.lab.node(1).unwrap().power_off();
        rig.lab.node(1).unwrap().start_engine().unwrap();
        rig.start_agent();
        rig.eventually("what should run runs", |rig| {
            let names = rig.docker(&["ps", "--format", "{{.Names}}"]);
            let mut names: Vec<&str> = names.lines().collect();
            names.sort_unstable();
            names == ["shop_late_4", "shop_web_1"]
        })
        .await;
        rig.until(
            ids[0],
            "restarted",
            |s| matches!(s, Observed::Running { restarts, .. } if *restarts == reboot),
        )
        .await;
        rig.running(late_id).await;
        assert_eq!(
            rig.docker(&["inspect", "-f", "{{.State.ExitCode}}", "shop_once_3"]),
            "7",
            "what had ended for good is not started again"
        );
        assert_ne!(rig.remote.status().journal, journal);
    }
    // Told to stop by somebody who came back, it obeys without harm to the other.
    let before = rig.docker(&["inspect", "-f", "{{.State.StartedAt}}", "shop_web_1"]);
    rig.order(Vec::new(), &[late_id]).await;
    rig.removed(late_id).await;
    let after = rig.docker(&["inspect", "-f", "{{.State.StartedAt}}", "shop_web_1"]);
    assert_eq!(before, after);
}

fn file(target: &str, content: EnvironmentValue, mode: Option<u32>, uid: Option<u32>) -> FileSpec {
    FileSpec {
        target: target.into(),
        content,
        uid,
        gid: None,
        mode,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_secrets_are_in_memory_and_come_back_after_a_reboot() {
    let mut rig = Rig::with_secrets(Arc::new(Faulty(AtomicU32::new(0))));
    let one = placed(1, "web", policy(ANY));
    let id = one.allocation_id;
    let secret = |key: &str| {
        EnvironmentValue::Secret(SecretRef {
            secret_id: SecretId::from_u128(5),
            version: 1,
            key: key.into(),
        })
    };
    let spec = ContainerSpec {
        read_only: true,
        files: vec![
            file("/run/secrets/word", secret("secrets/word"), Some(0o400), Some(7)),
            file(
                "/etc/app/x.conf",
                EnvironmentValue::Plain("public".into()),
                None,
                None,
            ),
        ],
        ..sleeper()
    };
    rig.order(vec![(one, spec)], &[]).await;
    rig.running(id).await;
    let look = "cat /run/secrets/word /etc/app/x.conf; stat -c '%a %u' /run/secrets/word /etc/app/x.conf; \
                echo x 2>/dev/null >/run/secrets/word || echo refused";
    let seen = |rig: &mut Rig| rig.docker(&["exec", "shop_web_1", "sh", "-c", look]);
    let expected = "openpublic400 7\n444 0\nrefused";
    assert_eq!(seen(&mut rig), expected);
    let source = "{{range .Mounts}}{{.Source}} {{end}}";
    let sources = rig.docker(&["inspect", "-f", source, "shop_web_1"]);
    let folder = std::path::Path::new(sources.split(' ').next().unwrap())
        .parent()
        .unwrap()
        .to_owned();
    let kind = std::process::Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(&folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&kind.stdout).trim(), "tmpfs");
    // As a reboot: the agent is gone, the container has ended, memory is empty.
    rig.kill_agent();
    rig.docker(&["kill", "shop_web_1"]);
    std::fs::remove_dir_all(&folder).unwrap();
    rig.start_agent();
    rig.eventually("the container runs again", |rig| {
        rig.docker(&["inspect", "-f", "{{.State.Running}}", "shop_web_1"]) == "true"
    })
    .await;
    assert_eq!(seen(&mut rig), expected);
    rig.order(vec![], &[id]).await;
    rig.removed(id).await;
    assert!(!folder.exists(), "the files outlived their container");
}
