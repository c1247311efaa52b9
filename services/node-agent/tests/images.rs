//! Images from a real registry: one pull however many wait, logins, refusals that name the cure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

mod common;

use async_trait::async_trait;
use berth_events::{
    FailureReason, Observed,
    spec::{ContainerSpec, PullPolicy, RestartCondition, SecretRef},
};
use berth_ids::AllocationId;
use berth_lab::{Registry, registry};
use berth_node_agent::{
    engine::Login,
    worker::{SecretError, SecretSource},
};
use common::{IMAGE, Rig, placed, policy, sleeper};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

const ANY: RestartCondition = RestartCondition::Any;

/// Has a login for one registry, and tells which registries were asked for.
#[derive(Default)]
struct Keys {
    password: Mutex<Option<&'static str>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl SecretSource for Keys {
    async fn open(
        &self,
        _: AllocationId,
        _: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError> {
        Ok(BTreeMap::new())
    }

    async fn login(&self, _: AllocationId, registry: &str) -> Result<Option<Login>, SecretError> {
        self.asked.lock().unwrap().push(registry.to_owned());
        let password = *self.password.lock().unwrap();
        Ok(password.map(|password| Login {
            username: registry::USER.into(),
            password: password.into(),
        }))
    }
}

/// Puts the test image into a registry under a name and takes it off the node.
fn push(rig: &mut Rig, registry: &Registry, name: &str) -> String {
    let image = registry.image(name);
    let config = rig.lab.root().join("docker-config").display().to_string();
    rig.docker(&["tag", IMAGE, &image]);
    let user = ["--config", &config, "login", "-u", registry::USER, "-p"];
    rig.docker(&[&user[..], &[registry::PASSWORD, &registry.host()]].concat());
    rig.docker(&["--config", &config, "push", "-q", &image]);
    rig.docker(&["rmi", &image]);
    image
}

fn of(image: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.to_owned(),
        ..sleeper()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pull_serves_all_who_wait_for_the_image() {
    const CONTAINERS: u32 = 12;
    let mut rig = Rig::with_secrets(Arc::new(Keys::default()));
    let registry = Registry::start(&rig.lab).unwrap();
    let image = push(&mut rig, &registry, "shop/web:1");
    let digest = registry.digest("shop/web", "1").unwrap();
    let before = registry.served(&digest);
    let always = ContainerSpec {
        pull_policy: PullPolicy::Always,
        ..of(&image)
    };
    let work = (1..=CONTAINERS).map(|n| {
        let spec = if n % 2 == 0 { always.clone() } else { of(&image) };
        (placed(n, "web", policy(ANY)), spec)
    });
    let work: Vec<_> = work.collect();
    let ids: Vec<AllocationId> = work.iter().map(|(placed, _)| placed.allocation_id).collect();
    rig.order(work, &[]).await;
    for id in ids {
        rig.running(id).await;
    }
    assert_eq!(registry.served(&digest) - before, 1, "pulls of one image");

    // The image is here now: the registry is not asked again, unless the file says so.
    let later = placed(40, "web", policy(ANY));
    let again = placed(41, "web", policy(ANY));
    let ids = [later.allocation_id, again.allocation_id];
    rig.order(vec![(later, of(&image)), (again, always)], &[]).await;
    for id in ids {
        rig.running(id).await;
    }
    assert!(registry.served(&digest) - before <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_comes_with_the_stored_login_and_a_refusal_names_the_cure() {
    let keys = Arc::new(Keys::default());
    let source: Arc<dyn SecretSource> = Arc::clone(&keys) as Arc<dyn SecretSource>;
    let mut rig = Rig::with_secrets(source);
    let registry = Registry::start_private(&rig.lab).unwrap();
    let image = push(&mut rig, &registry, "shop/private:1");
    let host = registry.host();
    let words = async |rig: &mut Rig, number: u32| {
        let one = placed(number, "web", policy(ANY));
        let id = one.allocation_id;
        rig.order(vec![(one, of(&image))], &[]).await;
        let failed = |state: &Observed| {
            matches!(
                state,
                Observed::Failed {
                    reason: FailureReason::Pull,
                    ..
                }
            )
        };
        match rig.until(id, "failed", failed).await {
            Observed::Failed { message, .. } => message,
            _ => unreachable!(),
        }
    };
    let none = words(&mut rig, 1).await;
    assert!(
        none.contains(&format!("`{host}`")) && none.contains("none is stored"),
        "{none}"
    );
    *keys.password.lock().unwrap() = Some("wrong-word");
    let wrong = words(&mut rig, 2).await;
    let cure = format!("berth registry login {host}");
    assert!(wrong.contains("refused the login of user `ada`"), "{wrong}");
    assert!(wrong.contains(&cure) && !wrong.contains("wrong-word"), "{wrong}");

    *keys.password.lock().unwrap() = Some(registry::PASSWORD);
    let right = placed(3, "web", policy(ANY));
    let id = right.allocation_id;
    rig.order(vec![(right, of(&image))], &[]).await;
    rig.running(id).await;
    let asked = keys.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|registry| *registry == host), "{asked:?}");
}
