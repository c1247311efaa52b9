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

/// Other content under the same name; gives the digest that the name has then.
fn push_anew(rig: &mut Rig, registry: &Registry, name: &str) -> String {
    let image = registry.image(name);
    rig.docker(&["create", "--name", "newer", IMAGE, "sh"]);
    rig.docker(&["commit", "-m", "newer", "newer", &image]);
    rig.docker(&["rm", "newer"]);
    rig.docker(&["push", "-q", &image]);
    rig.docker(&["rmi", &image]);
    let (path, tag) = name.split_once(':').unwrap();
    registry.digest(path, tag).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_the_digest_that_it_was_ordered_with_whatever_its_name_means_now() {
    let mut rig = Rig::with_secrets(Arc::new(Keys::default()));
    let registry = Registry::start(&rig.lab).unwrap();
    let image = push(&mut rig, &registry, "shop/web:1");
    let old = registry.digest("shop/web", "1").unwrap();

    // Without a digest the name decides, and the report says which bytes that were.
    let first = placed(1, "web", policy(ANY));
    let id = first.allocation_id;
    rig.order(vec![(first, of(&image))], &[]).await;
    rig.running(id).await;
    assert_eq!(reported_digest(&rig, id).await, Some(old.clone()));

    let new = push_anew(&mut rig, &registry, "shop/web:1");
    assert_ne!(old, new);
    // Even where the file asks for a pull each time: a digest has no newer content.
    let mut pinned = placed(2, "web", policy(ANY));
    pinned.image_digest = Some(old.clone());
    let id = pinned.allocation_id;
    let always = ContainerSpec {
        pull_policy: PullPolicy::Always,
        ..of(&image)
    };
    rig.order(vec![(pinned, always)], &[]).await;
    rig.running(id).await;
    assert_eq!(reported_digest(&rig, id).await, Some(old.clone()));
    let shown = rig.docker(&["inspect", "-f", "{{.Config.Image}}", "shop_web_2"]);
    assert_eq!(shown, format!("{image}@{old}"));

    // The node does not have the name any more: it is missing, and means the new content.
    let fresh = placed(3, "web", policy(ANY));
    let id = fresh.allocation_id;
    rig.order(vec![(fresh, of(&image))], &[]).await;
    rig.running(id).await;
    assert_eq!(reported_digest(&rig, id).await, Some(new));

    // What was made on the node has no digest.
    let local = placed(4, "web", policy(ANY));
    let id = local.allocation_id;
    rig.order(vec![(local, sleeper())], &[]).await;
    rig.running(id).await;
    assert_eq!(reported_digest(&rig, id).await, None);
}

async fn reported_digest(rig: &Rig, id: AllocationId) -> Option<String> {
    let states = rig.states(id).await;
    let digest = states.into_iter().find_map(|state| match state {
        Observed::Created { image_digest, .. } => Some(image_digest),
        _ => None,
    });
    digest.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_every_so_often_is_pulled_again_when_its_time_is_over() {
    let mut rig = Rig::with_secrets(Arc::new(Keys::default()));
    let registry = Registry::start(&rig.lab).unwrap();
    let image = push(&mut rig, &registry, "shop/web:1");
    let every = |seconds| ContainerSpec {
        pull_policy: PullPolicy::Every { seconds },
        ..of(&image)
    };
    let first = placed(1, "web", policy(ANY));
    let id = first.allocation_id;
    rig.order(vec![(first, every(3_600))], &[]).await;
    rig.running(id).await;

    let digest = push_anew_elsewhere(&mut rig, &registry);
    let within = placed(2, "web", policy(ANY));
    let id = within.allocation_id;
    rig.order(vec![(within, every(3_600))], &[]).await;
    rig.running(id).await;
    assert_ne!(reported_digest(&rig, id).await, Some(digest.clone()));

    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let over = placed(3, "web", policy(ANY));
    let id = over.allocation_id;
    rig.order(vec![(over, every(1))], &[]).await;
    rig.running(id).await;
    assert_eq!(reported_digest(&rig, id).await, Some(digest));
}

/// The name gets other content in the registry, and keeps its old one on the node.
fn push_anew_elsewhere(rig: &mut Rig, registry: &Registry) -> String {
    let image = registry.image("shop/web:1");
    rig.docker(&["tag", &image, "kept:1"]);
    let digest = push_anew(rig, registry, "shop/web:1");
    rig.docker(&["tag", "kept:1", &image]);
    digest
}
