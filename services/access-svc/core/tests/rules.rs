//! Rules of tokens, credentials and secrets: given events, when command, then events or a refusal.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use berth_access_core::{AccessView, Context, Secret, StoreSecret, decide, store};
use berth_events::{
    AccessCommand, BuildEvent, BuildFailed, BuildRequested, Category, ClusterCreated, ClusterDeleteRequested,
    ClusterEvent, Event, Meta, Placed, PlacementDecided, PlacementEvent, PlacementReason, Rejection, Scope,
    StopOrder, StopReason, StreamName, TokenGrant, build_stream,
    spec::{ContainerSpec, EnvironmentValue, SecretRef},
};
use berth_eventsourcing::{
    AppendRequest, Change, Decision, Expected, MemoryLog, NewEvent, RowKey, StreamAppend, Streams, Undecided,
    View,
};
use berth_ids::{
    AccountId, AllocationId, ApplicationId, BuildId, ClusterId, EventId, Name, NodeId, ReleaseId, SecretId,
    Timestamp, TokenId,
};
use std::collections::{BTreeMap, BTreeSet};

const CLUSTER: ClusterId = ClusterId::from_u128(0xc1);
const TOKEN: TokenId = TokenId::from_u128(0x70);
const NODE: NodeId = NodeId::from_u128(0xa1);
const OTHER_NODE: NodeId = NodeId::from_u128(0xa2);
const ALLOCATION: AllocationId = AllocationId::from_u128(0xb1);
const SECRET: SecretId = SecretId::from_u128(0x5e);

#[derive(Default)]
struct World {
    log: MemoryLog,
    view: AccessView,
    now: i64,
    events: u128,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn hash(of: char) -> String {
    of.to_string().repeat(64)
}

fn key(prefix: char, rest: char) -> String {
    format!("{prefix}{}", rest.to_string().repeat(55))
}

impl World {
    fn decide(&self, command: &AccessCommand) -> Result<Decision, Rejection> {
        let context = Context {
            tenant: "main",
            now: at(self.now),
        };
        let mut streams = Streams::default();
        loop {
            match decide(command, context, &streams) {
                Ok(decision) => return Ok(decision),
                Err(Undecided::Refused(rejection)) => return Err(rejection),
                Err(Undecided::Needs(stream)) => {
                    let loaded = self.log.load(&stream);
                    streams.insert(stream, loaded);
                }
            }
        }
    }

    fn append(&mut self, caller: &str, decision: &Decision) -> Vec<String> {
        let mut streams = Vec::new();
        for change in &decision.changes {
            let mut events = Vec::new();
            for event in &change.events {
                self.events += 1;
                events.push(NewEvent::encode(EventId::from_u128(self.events), event).unwrap());
            }
            streams.push(StreamAppend {
                stream: change.stream.clone(),
                expected: change.expected,
                events,
            });
        }
        let request = AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams,
            guards: decision.guards.clone(),
            command: None,
        };
        let before = self.log.head();
        self.log.append(caller, &request, at(self.now)).unwrap();
        let new = self.log.after(before).to_vec();
        for recorded in &new {
            self.view.apply(recorded, &recorded.event().unwrap());
        }
        new.iter().map(|event| event.type_name.to_string()).collect()
    }

    fn run(&mut self, command: AccessCommand) -> Result<Vec<String>, Rejection> {
        let decision = self.decide(&command)?;
        Ok(self.append("access", &decision))
    }

    fn code(&mut self, command: AccessCommand) -> String {
        match self.run(command) {
            Ok(events) => panic!("accepted with {events:?}"),
            Err(rejection) => rejection.code,
        }
    }

    fn given(&mut self, stream: StreamName, event: impl Into<Event>) {
        let caller = stream.category().owner();
        let change = Change {
            stream,
            expected: Expected::Any,
            events: vec![event.into()],
        };
        let decision = Decision {
            changes: vec![change],
            ..Decision::nothing()
        };
        self.append(caller, &decision);
    }

    fn with_cluster() -> Self {
        let mut world = Self {
            now: 1_000,
            ..Self::default()
        };
        world.given(
            StreamName::new(Category::Cluster, CLUSTER),
            ClusterEvent::Created(ClusterCreated {
                cluster_id: CLUSTER,
                name: Name::parse("shop").unwrap(),
                region: "eu-1".into(),
                zones: BTreeSet::new(),
                policy: Default::default(),
                strategy: Default::default(),
            }),
        );
        world
    }

    fn with_join_token(max_uses: u32) -> Self {
        let mut world = Self::with_cluster();
        world.run(mint_join(max_uses, Some(at(2_000)))).unwrap();
        world
    }
}

fn mint_join(max_uses: u32, expires_at: Option<Timestamp>) -> AccessCommand {
    AccessCommand::MintToken {
        token_id: TOKEN,
        grant: TokenGrant::Join {
            cluster_id: CLUSTER,
            max_uses,
        },
        hash: hash('a'),
        label: String::new(),
        expires_at,
    }
}

fn mint_api(scopes: &[Scope]) -> AccessCommand {
    AccessCommand::MintToken {
        token_id: TOKEN,
        grant: TokenGrant::Api {
            scopes: scopes.iter().copied().collect(),
            clusters: BTreeSet::new(),
        },
        hash: hash('a'),
        label: "ci".into(),
        expires_at: Some(at(2_000)),
    }
}

fn redeem(node_id: NodeId, secret: char, user: char) -> AccessCommand {
    AccessCommand::RedeemJoin {
        token_id: TOKEN,
        hash: hash(secret),
        node_id,
        user_key: key('U', user),
        sealing_key: key('X', user),
    }
}

fn revoke() -> AccessCommand {
    AccessCommand::RevokeToken { token_id: TOKEN }
}

#[test]
fn the_platform_is_bootstrapped_once() {
    let mut world = World::default();
    let bootstrap = |id| AccessCommand::Bootstrap {
        account_id: AccountId::from_u128(id),
        token_id: TokenId::from_u128(id),
        hash: hash('f'),
    };
    assert_eq!(
        world.run(bootstrap(1)).unwrap(),
        ["account.created", "token.minted", "name.claimed"]
    );
    assert_eq!(world.code(bootstrap(2)), "access.bootstrapped");
    let root = world.view.authenticate(&hash('f'), at(0)).unwrap();
    assert_eq!(root.scopes, BTreeSet::from([Scope::Admin]));
    assert_eq!(root.tenant, "main");
}

#[test]
fn a_node_redeems_a_token_once_and_again_with_the_same_answer() {
    let mut world = World::with_join_token(1);
    let first = world.decide(&redeem(NODE, 'a', 'A')).unwrap();
    assert_eq!(
        world.append("access", &first),
        ["token.used", "credential.issued"]
    );
    let again = world.decide(&redeem(NODE, 'a', 'A')).unwrap();
    assert!(again.changes.is_empty());
    assert_eq!(again.result, first.result);
    assert_eq!(world.code(redeem(OTHER_NODE, 'a', 'B')), "access.token_used_up");
}

#[test]
fn a_token_that_opens_nothing_says_why() {
    let mut world = World::with_join_token(0);
    assert_eq!(world.code(redeem(NODE, 'b', 'A')), "access.token_wrong");
    world.now = 2_000;
    assert_eq!(world.code(redeem(NODE, 'a', 'A')), "access.token_expired");
    world.now = 1_500;
    assert_eq!(world.run(revoke()).unwrap(), ["token.revoked"]);
    assert!(world.run(revoke()).unwrap().is_empty());
    assert_eq!(world.code(redeem(NODE, 'a', 'A')), "access.token_revoked");
}

#[test]
fn an_api_token_joins_nothing() {
    let mut world = World::with_cluster();
    world.run(mint_api(&[Scope::Admin])).unwrap();
    assert_eq!(world.code(redeem(NODE, 'a', 'A')), "access.token_wrong");
}

#[test]
fn nobody_takes_the_place_of_a_node_with_a_good_token() {
    let mut world = World::with_join_token(0);
    world.run(redeem(NODE, 'a', 'A')).unwrap();
    assert_eq!(world.code(redeem(NODE, 'a', 'B')), "access.node_taken");
    let revoke = AccessCommand::RevokeCredential { node_id: NODE };
    assert_eq!(world.run(revoke.clone()).unwrap(), ["credential.revoked"]);
    assert!(world.run(revoke).unwrap().is_empty());
    assert_eq!(world.code(redeem(NODE, 'a', 'A')), "access.node_removed");
    let accounts = world.view.node_accounts();
    assert!(accounts[&NODE].1.is_some(), "{accounts:?}");
}

#[test]
fn a_cluster_that_is_being_deleted_takes_no_node() {
    let mut world = World::with_join_token(0);
    let joining = world.decide(&redeem(NODE, 'a', 'A')).unwrap();
    world.given(
        StreamName::new(Category::Cluster, CLUSTER),
        ClusterEvent::DeleteRequested(ClusterDeleteRequested { force: false }),
    );
    assert_eq!(world.code(redeem(NODE, 'a', 'A')), "cluster.deleting");
    assert_eq!(
        joining.guards.len(),
        1,
        "a decision before the deletion is stopped by its guard"
    );
}

#[test]
fn tokens_are_checked_when_they_are_minted() {
    let mut world = World::with_cluster();
    assert_eq!(world.code(mint_join(0, None)), "access.join_token_unbounded");
    assert_eq!(world.code(mint_join(1, Some(at(1_000)))), "access.expiry_past");
    assert_eq!(world.code(mint_api(&[])), "access.no_scope");
    assert_eq!(world.run(mint_api(&[Scope::Read])).unwrap(), ["token.minted"]);
    assert!(world.run(mint_api(&[Scope::Read])).unwrap().is_empty());
    assert_eq!(world.code(mint_api(&[Scope::Admin])), "access.token_exists");
}

#[test]
fn an_api_token_tells_who_speaks_until_it_ends() {
    let mut world = World::with_cluster();
    world.run(mint_api(&[Scope::Deploy])).unwrap();
    let principal = world.view.authenticate(&hash('a'), at(1_999)).unwrap();
    assert_eq!(principal.actor, format!("token:{TOKEN}"));
    let code = |world: &World, hash: &str, now| world.view.authenticate(hash, now).unwrap_err().code;
    assert_eq!(code(&world, &hash('b'), at(1_000)), "access.token_wrong");
    assert_eq!(code(&world, &hash('a'), at(2_000)), "access.token_expired");
    world.run(revoke()).unwrap();
    assert_eq!(code(&world, &hash('a'), at(1_000)), "access.token_revoked");
}

fn wanted(version: u64) -> BTreeSet<SecretRef> {
    BTreeSet::from([SecretRef {
        secret_id: SECRET,
        version,
        key: "PASSWORD".into(),
    }])
}

fn decided(place: bool) -> PlacementEvent {
    let secret = wanted(2).first().cloned().unwrap();
    let spec = ContainerSpec {
        environment: BTreeMap::from([("PASSWORD".into(), EnvironmentValue::Secret(secret))]),
        ..ContainerSpec::default()
    };
    let placed = Placed {
        allocation_id: ALLOCATION,
        application_id: ApplicationId::from_u128(1),
        release_id: ReleaseId::from_u128(1),
        service: "web".into(),
        slot: 1,
        spec_hash: "h".into(),
        restart: Default::default(),
        why: PlacementReason::default(),
        image_digest: None,
    };
    let stop = StopOrder {
        allocation_id: ALLOCATION,
        reason: StopReason::Surplus,
        by: None,
    };
    PlacementEvent::Decided(PlacementDecided {
        cluster_id: CLUSTER,
        node_id: NODE,
        previous: 0,
        place: if place { vec![placed] } else { vec![] },
        stop: if place { vec![] } else { vec![stop] },
        containers: BTreeMap::from([("h".into(), spec)]),
        projects: BTreeMap::new(),
        drop_volumes: BTreeSet::new(),
    })
}

#[test]
fn a_secret_is_given_only_for_what_the_assignment_names() {
    let mut world = World::with_cluster();
    let placement = StreamName::new(Category::Placement, CLUSTER);
    world.given(placement.clone(), decided(true));
    let view = &world.view;
    view.may_have(NODE, ALLOCATION, &wanted(2)).unwrap();
    view.may_have(OTHER_NODE, ALLOCATION, &wanted(2)).unwrap_err();
    view.may_have(NODE, ALLOCATION, &wanted(1)).unwrap_err();
    view.may_have(NODE, AllocationId::from_u128(9), &wanted(2))
        .unwrap_err();

    let key = RowKey::new("allocation", ALLOCATION);
    let mut restored = AccessView::default();
    restored.restore(key.clone(), &view.row(&key).unwrap()).unwrap();
    restored.may_have(NODE, ALLOCATION, &wanted(2)).unwrap();

    world.given(placement, decided(false));
    world.view.may_have(NODE, ALLOCATION, &wanted(2)).unwrap_err();
}

#[test]
fn a_version_of_a_secret_is_recorded_once() {
    let mut wanted = StoreSecret {
        secret_id: SECRET,
        cluster_id: CLUSTER,
        scope: "shop/web".into(),
        version: 1,
        keys: BTreeSet::from(["PASSWORD".to_owned()]),
    };
    assert_eq!(store(&Secret::default(), &wanted).unwrap().len(), 1);
    let known = Secret {
        version: 1,
        destroyed: false,
    };
    assert!(store(&known, &wanted).unwrap().is_empty());
    wanted.scope = "x".repeat(berth_access_core::MAX_SECRET_SCOPE_BYTES + 1);
    assert_eq!(store(&known, &wanted).unwrap_err().code, "access.scope_invalid");
}

#[test]
fn a_node_logs_in_for_the_registries_of_an_image_that_it_makes_and_only_meanwhile() {
    let build = BuildId::from_u128(0xbb);
    let mut world = World::default();
    let requested = BuildRequested {
        cluster_id: CLUSTER,
        node_id: NODE,
        image: "r.example/web:1".into(),
        tags: vec![],
        registries: BTreeSet::from(["r.example".to_owned()]),
        application: None,
        service: None,
    };
    world.given(build_stream(build), BuildEvent::Requested(requested));
    let may = |world: &World, node, build, registry, seconds| {
        let asked = world.view.may_log_in_to_build(node, build, registry, at(seconds));
        asked.is_ok()
    };
    assert!(may(&world, NODE, build, "r.example", 10));
    assert!(!may(&world, OTHER_NODE, build, "r.example", 10));
    assert!(!may(&world, NODE, build, "other.example", 10));
    assert!(!may(&world, NODE, BuildId::from_u128(1), "r.example", 10));
    assert!(
        !may(&world, NODE, build, "r.example", 3_700),
        "it takes no longer than an hour"
    );
    let failed = BuildFailed {
        message: "no".into(),
        duration_ms: 1,
    };
    world.given(build_stream(build), BuildEvent::Failed(failed));
    assert!(!may(&world, NODE, build, "r.example", 10), "it has ended");
}
