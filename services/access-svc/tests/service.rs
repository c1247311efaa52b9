//! The whole service on a real Postgres and NATS, with every user under its own rights.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a failed step fails the test"
)]

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_access_svc::{
    AccessOptions,
    nats_auth::{Bootstrap, SYSTEM_USER, credentials_text},
    run,
    vault::MasterKey,
};
use berth_bus::{AskError, Bus, BusOptions};
use berth_events::{
    AccessCommand, ApplicationCreated, ApplicationEvent, ApplicationRemoved, Authenticate, Category,
    ClusterCreated, ClusterEvent, CommandBody, CommandOutcome, JoinGrant, LOGIN_PASSWORD, LOGIN_SCOPE,
    LOGIN_USERNAME, ListLogins, MatchedSecret, NodeEvent, NodeRemoved, Placed, PlacementDecided,
    PlacementEvent, PlacementReason, Principal, PutSecret, RenewAccess, RenewedAccess, RevealSecrets, Scope,
    SealedSecrets, SecretRequest, StoredLogin, StoredSecret, StreamName, TokenGrant,
    spec::{ContainerSpec, EnvironmentValue, SecretRef},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId, TokenId};
use berth_service_kit::{Clock, new_id, telemetry};
use berth_testlog::{TestLog, eventually, submit};
use futures::StreamExt;
use nkeys::{KeyPair, XKey};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const PLANTED: &str = "planted-value-8f2c";

struct World {
    log: TestLog,
    gateway: Bus,
    cluster: ClusterId,
    folder: tempfile::TempDir,
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl World {
    async fn start() -> Self {
        telemetry::init(&telemetry::TelemetryOptions::default()).ok();
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let bootstrap = Bootstrap::create_or_load(&keys, Clock::now()).unwrap();
        let log = TestLog::start_with(bootstrap.nats_config(), Some(keys))
            .await
            .unwrap();
        let options = AccessOptions {
            master_key: MasterKey::create_or_load(&folder.path().join("master.key")).unwrap(),
            signer: bootstrap.signer().unwrap(),
            system: Some(BusOptions {
                url: log.services().nats_url(),
                user: SYSTEM_USER.into(),
                credentials: Some(bootstrap.credentials(SYSTEM_USER)),
                ca: None,
            }),
            agents_ca_pem: Arc::new(|| Ok("pins".to_owned())),
            removed_secret_grace: Duration::from_millis(300),
        };
        tokio::spawn(run(log.context("access").await.unwrap(), options));
        let cluster: ClusterId = new_id();
        log.record(
            StreamName::new(Category::Cluster, cluster),
            ClusterEvent::Created(ClusterCreated {
                cluster_id: cluster,
                name: Name::parse("shop").unwrap(),
                region: "eu-1".into(),
                zones: BTreeSet::new(),
                policy: Default::default(),
                strategy: Default::default(),
            }),
        )
        .await
        .unwrap();
        Self {
            gateway: log.bus("gateway").await.unwrap(),
            log,
            cluster,
            folder,
        }
    }

    async fn run(&self, command: AccessCommand) -> CommandOutcome {
        submit(&self.gateway, CommandBody::Access(command), None)
            .await
            .unwrap()
    }

    async fn accepted(&self, command: AccessCommand) -> serde_json::Value {
        match self.run(command).await {
            CommandOutcome::Accepted { result, .. } => result,
            CommandOutcome::Rejected(rejection) => panic!("{rejection:?}"),
        }
    }

    async fn mint(&self, grant: TokenGrant, secret: &str) -> TokenId {
        let token_id: TokenId = new_id();
        self.accepted(AccessCommand::MintToken {
            token_id,
            grant,
            hash: hash(secret),
            label: String::new(),
            expires_at: None,
        })
        .await;
        token_id
    }

    /// A server joins: redeems a token and connects as its own user.
    async fn join(&self, token: TokenId, secret: &str) -> Agent {
        let (node, user, sealing) = (new_id::<NodeId>(), KeyPair::new_user(), XKey::new());
        let result = self
            .accepted(AccessCommand::RedeemJoin {
                token_id: token,
                hash: hash(secret),
                node_id: node,
                user_key: user.public_key(),
                sealing_key: sealing.public_key(),
            })
            .await;
        let grant: JoinGrant = serde_json::from_value(result).unwrap();
        assert_eq!((grant.cluster_id, grant.tenant.as_str()), (self.cluster, "main"));
        let credentials = self.folder.path().join(format!("{node}.creds"));
        std::fs::write(
            &credentials,
            credentials_text(&grant.user_jwt, &user.seed().unwrap()),
        )
        .unwrap();
        let bus = Bus::connect(&BusOptions {
            url: self.log.services().nats_url(),
            user: node.to_string(),
            credentials: Some(credentials),
            ca: None,
        })
        .await
        .unwrap();
        Agent { node, sealing, bus }
    }

    fn secret(&self, value: &str) -> PutSecret {
        PutSecret {
            cluster_id: self.cluster,
            tenant: "main".into(),
            scope: "shop/web".into(),
            values: BTreeMap::from([("PASSWORD".to_owned(), value.to_owned())]),
            actor: "test".into(),
        }
    }

    async fn matched(&self, value: &str) -> MatchedSecret {
        let (asked, cluster) = (self.secret(value), self.cluster.to_string());
        let answer = self.gateway.ask("access", "match_secret", &cluster, &asked);
        answer.await.unwrap()
    }

    async fn put(&self, value: &str) -> StoredSecret {
        let asked = self.secret(value);
        let cluster = self.cluster.to_string();
        eventually("the vault answers", || async {
            self.gateway
                .ask("access", "put_secret", &cluster, &asked)
                .await
                .ok()
        })
        .await
        .unwrap()
    }

    /// No table of the database has this text, plain or in hexadecimal.
    async fn nothing_holds(&self, text: &str) {
        let admin = self.log.admin().await.unwrap();
        for table in [
            "es.event",
            "es.command",
            "vault.version",
            "vault.data_key",
            "svc_access.row",
        ] {
            let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            let sql = format!("select count(*) from {table} t where t::text like $1 or t::text like $2");
            let found: (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(format!("%{text}%"))
                .bind(format!("%{hexadecimal}%"))
                .fetch_one(&admin)
                .await
                .unwrap();
            assert_eq!(found.0, 0, "{table} holds the value");
        }
    }

    async fn place(&self, node: NodeId, secret: &SecretRef) -> AllocationId {
        let spec = ContainerSpec {
            environment: BTreeMap::from([("PASSWORD".into(), EnvironmentValue::Secret(secret.clone()))]),
            ..ContainerSpec::default()
        };
        self.place_spec(node, spec).await
    }

    async fn place_image(&self, node: NodeId, image: &str) -> AllocationId {
        let spec = ContainerSpec {
            image: image.into(),
            ..ContainerSpec::default()
        };
        self.place_spec(node, spec).await
    }

    async fn place_spec(&self, node: NodeId, spec: ContainerSpec) -> AllocationId {
        let allocation_id: AllocationId = new_id();
        let decided = PlacementDecided {
            cluster_id: self.cluster,
            node_id: node,
            previous: 0,
            place: vec![Placed {
                allocation_id,
                application_id: ApplicationId::from_u128(1),
                release_id: ReleaseId::from_u128(1),
                service: "web".into(),
                slot: 1,
                spec_hash: "h".into(),
                restart: Default::default(),
                why: PlacementReason::default(),
                image_digest: None,
            }],
            stop: vec![],
            containers: BTreeMap::from([("h".into(), spec)]),
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        };
        let stream = StreamName::new(Category::Placement, self.cluster);
        self.log
            .record(stream, PlacementEvent::Decided(decided))
            .await
            .unwrap();
        allocation_id
    }
}

struct Agent {
    node: NodeId,
    sealing: XKey,
    bus: Bus,
}

impl Agent {
    async fn secret(&self, of: NodeId, asked: &SecretRequest) -> Result<SealedSecrets, AskError> {
        self.bus.ask("access", "secret", &of.to_string(), asked).await
    }

    async fn renew(&self, of: NodeId) -> Result<RenewedAccess, AskError> {
        let asked = RenewAccess::default();
        self.bus.ask("access", "renew", &of.to_string(), &asked).await
    }

    fn open(&self, sealed: &SealedSecrets) -> BTreeMap<String, String> {
        let sender = XKey::from_public_key(&sealed.sender_key).unwrap();
        let plain = self
            .sealing
            .open(&STANDARD.decode(&sealed.sealed).unwrap(), &sender)
            .unwrap();
        serde_json::from_slice(&plain).unwrap()
    }
}

fn join_grant(cluster_id: ClusterId) -> TokenGrant {
    TokenGrant::Join {
        cluster_id,
        max_uses: 5,
    }
}

fn api(scope: Scope) -> TokenGrant {
    TokenGrant::Api {
        scopes: BTreeSet::from([scope]),
        clusters: BTreeSet::new(),
    }
}

#[tokio::test]
async fn tokens_are_minted_and_tell_who_speaks() {
    let world = World::start().await;
    let root: TokenId = new_id();
    let bootstrap = |token_id| AccessCommand::Bootstrap {
        account_id: new_id(),
        token_id,
        hash: hash("root"),
    };
    world.accepted(bootstrap(root)).await;
    assert!(matches!(
        world.run(bootstrap(new_id())).await,
        CommandOutcome::Rejected(_)
    ));
    let ask = async |secret: &str| -> Result<Principal, AskError> {
        let question = Authenticate { hash: hash(secret) };
        world.gateway.ask("access", "authenticate", "-", &question).await
    };
    assert_eq!(ask("root").await.unwrap().actor, format!("token:{root}"));
    let token_id = world.mint(api(Scope::Read), "reader").await;
    assert_eq!(ask("reader").await.unwrap().scopes, BTreeSet::from([Scope::Read]));
    world.accepted(AccessCommand::RevokeToken { token_id }).await;
    let refused = ask("reader").await.unwrap_err();
    assert!(matches!(refused, AskError::Refused(rejection) if rejection.code == "access.token_revoked"));
}

#[tokio::test]
async fn secrets_are_kept_sealed_and_given_only_to_the_node_that_needs_them() {
    let world = World::start().await;
    let token = world.mint(join_grant(world.cluster), "join").await;
    let (agent, other) = (world.join(token, "join").await, world.join(token, "join").await);

    let stored = world.put(PLANTED).await;
    assert_eq!(
        world.put(PLANTED).await,
        stored,
        "the same values are the same version"
    );
    let next = world.matched("another").await;
    assert_eq!((next.stored.version, next.same.len()), (stored.version + 1, 0));
    assert_eq!(world.matched("another").await, next, "a match stores nothing");
    let same = world.matched(PLANTED).await;
    assert_eq!(
        (same.stored, same.same),
        (stored.clone(), BTreeSet::from(["PASSWORD".to_owned()]))
    );
    let newer = world.put("another").await;
    assert_eq!(
        (newer.secret_id, newer.version),
        (stored.secret_id, stored.version + 1)
    );

    let wanted = SecretRef {
        secret_id: stored.secret_id,
        version: stored.version,
        key: "PASSWORD".into(),
    };
    let mut asked = SecretRequest {
        allocation_id: new_id(),
        build_id: None,
        wanted: BTreeSet::from([wanted.clone()]),
        registry: None,
    };
    agent.secret(agent.node, &asked).await.unwrap_err();
    asked.allocation_id = world.place(agent.node, &wanted).await;
    let sealed = agent.secret(agent.node, &asked).await.unwrap();
    let name = format!("{}@{}/PASSWORD", stored.secret_id, stored.version);
    assert_eq!(
        agent.open(&sealed),
        BTreeMap::from([(name.clone(), PLANTED.to_owned())])
    );
    let foreign = other.secret(other.node, &asked).await.unwrap_err();
    assert!(matches!(foreign, AskError::Refused(_)), "{foreign}");
    let forged = other.secret(agent.node, &asked).await.unwrap_err();
    assert!(matches!(forged, AskError::Silent { .. }), "{forged}");

    let reveal = async |token: TokenId| -> Result<BTreeMap<String, String>, AskError> {
        let question = RevealSecrets {
            wanted: BTreeSet::from([wanted.clone()]),
            actor: format!("token:{token}"),
        };
        let cluster = world.cluster.to_string();
        world.gateway.ask("access", "reveal", &cluster, &question).await
    };
    let (deployer, reader) = (
        world.mint(api(Scope::Deploy), "d").await,
        world.mint(api(Scope::Read), "r").await,
    );
    assert_eq!(reveal(deployer).await.unwrap()[&name], PLANTED);
    reveal(reader).await.unwrap_err();

    world.nothing_holds(PLANTED).await;
}

#[tokio::test]
async fn an_agent_reaches_only_its_own_and_nothing_once_it_is_removed() {
    let world = World::start().await;
    let token = world.mint(join_grant(world.cluster), "join").await;
    let (agent, other) = (world.join(token, "join").await, world.join(token, "join").await);
    let monitor = world.log.bus("monitor").await.unwrap();
    let mut beats = monitor.client().subscribe("hb.*").await.unwrap();
    // Sent until it is heard: a subscription takes force a moment after it is asked for.
    let heard = loop {
        for node in [agent.node, other.node] {
            other.bus.tell(format!("hb.{node}"), &"beat").await.unwrap();
        }
        if let Some(heard) = next_subject(&mut beats).await {
            break heard;
        }
    };
    let own = format!("hb.{}", other.node);
    assert_eq!(heard, own, "another node's heartbeat is refused");
    while let Some(heard) = next_subject(&mut beats).await {
        assert_eq!(heard, own, "another node's heartbeat is refused");
    }

    let renewed = agent.renew(agent.node).await.unwrap();
    assert_eq!(renewed.ca_pem, "pins");
    assert_eq!(renewed.user_jwt.split('.').count(), 3, "a signed token");
    let of_another = agent.renew(other.node).await.unwrap_err();
    assert!(matches!(of_another, AskError::Silent { .. }), "{of_another}");

    let stream = StreamName::new(Category::Node, agent.node);
    world
        .log
        .record(stream, NodeEvent::Removed(NodeRemoved { forced: false }))
        .await
        .unwrap();
    eventually("the removed node's user is refused", || async {
        let state = agent.bus.client().connection_state();
        (state != berth_bus::async_nats::connection::State::Connected).then_some(())
    })
    .await
    .unwrap();
    // Also over another's connection there is nothing to renew any more.
    let node = agent.node.to_string();
    let renewed: Result<RenewedAccess, AskError> = world
        .gateway
        .ask("access", "renew", &node, &RenewAccess::default())
        .await;
    let refused = renewed.unwrap_err();
    assert!(
        matches!(&refused, AskError::Refused(rejection) if rejection.code == "access.node_removed"),
        "{refused}"
    );
    other
        .bus
        .tell(format!("hb.{}", other.node), &"beat")
        .await
        .unwrap();
}

#[tokio::test]
async fn no_service_speaks_for_a_user_and_what_is_given_up_is_told() {
    let world = World::start().await;
    let token_id = world.mint(api(Scope::Read), "reader").await;
    let cluster = world.log.bus("cluster").await.unwrap();
    let node_id: NodeId = new_id();
    let forged = berth_testlog::command(CommandBody::Access(AccessCommand::RevokeCredential { node_id }));
    let mut forged = berth_events::Command {
        actor: format!("token:{token_id}"),
        ..forged
    };
    let outcome = cluster.submit(&forged, None).await.unwrap();
    assert!(
        matches!(&outcome, CommandOutcome::Rejected(rejection) if rejection.code == "command.actor_unproven"),
        "{outcome:?}"
    );
    forged.actor = "service:cluster".into();
    forged.command_id = new_id();
    let outcome = cluster.submit(&forged, None).await.unwrap();
    assert!(matches!(outcome, CommandOutcome::Accepted { .. }), "{outcome:?}");

    // What has no shape is handled by nobody: it is kept apart, and the log says so.
    let subject = "cmd.access.mint_token.-".to_owned();
    world.gateway.store(subject.clone(), &"no command").await.unwrap();
    let told = eventually("the dead letter is told", || async {
        match world.log.health().state {
            berth_events::HealthState::Yellow(reason) => Some(reason),
            _ => None,
        }
    })
    .await
    .unwrap();
    assert!(told.contains(&subject) && told.contains("by access"), "{told}");
}

/// Rows of the vault, over all its tables.
async fn in_vault(admin: &sqlx::PgPool) -> i64 {
    let sql = "select (select count(*) from vault.data_key) + (select count(*) from vault.version)";
    let found: (i64,) = sqlx::query_as(sql).fetch_one(admin).await.unwrap();
    found.0
}

#[tokio::test]
async fn secrets_are_destroyed_with_their_application_and_a_new_one_begins_anew() {
    let world = World::start().await;
    let admin = world.log.admin().await.unwrap();
    let first = world.put(PLANTED).await;
    let application_id: ApplicationId = new_id();
    let stream = StreamName::new(Category::Application, application_id);
    let created = ApplicationCreated {
        application_id,
        cluster_id: world.cluster,
        name: Name::parse("shop").unwrap(),
    };
    let log = &world.log;
    log.record(stream.clone(), ApplicationEvent::Created(created))
        .await
        .unwrap();
    assert!(in_vault(&admin).await > 0);
    log.record(stream, ApplicationEvent::Removed(ApplicationRemoved {}))
        .await
        .unwrap();
    eventually("the vault is empty", || async {
        (in_vault(&admin).await == 0).then_some(())
    })
    .await
    .unwrap();
    let second = world.put(PLANTED).await;
    assert_ne!(second.secret_id, first.secret_id, "a destroyed secret stays so");
    assert_eq!(second.version, 1);
    assert!(in_vault(&admin).await > 0);
}

/// Messages that each stream ever took, and when the stream was made.
async fn taken(ledger: &Bus) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    for stream in ["EVT", "CMD", "RPT", "DOC"] {
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        let answer = ledger.client().request(subject, "".into()).await.unwrap();
        let info: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        let last = info["state"]["last_seq"].as_u64().unwrap();
        found.insert(stream.to_owned(), (last, info["created"].to_string()));
    }
    found
}

/// JetStream acknowledges to any subject that the publisher names, and answers a direct read likewise.
#[tokio::test]
async fn what_a_node_is_answered_never_lands_on_a_subject_of_the_platform() {
    let world = World::start().await;
    let token = world.mint(join_grant(world.cluster), "join").await;
    let (thief, other) = (world.join(token, "join").await, world.join(token, "join").await);
    let ledger = world.log.bus("ledger").await.unwrap();
    let monitor = world.log.bus("monitor").await.unwrap();
    let mut beats = monitor.client().subscribe("hb.*").await.unwrap();
    let mut ears = Vec::new();
    for subject in [
        format!("ctl.{}.>", other.node),
        format!("evt.*.placement.{}", other.node),
    ] {
        ears.push(other.bus.client().subscribe(subject).await.unwrap());
    }
    let own_report = format!("rpt.alloc.{}", thief.node);
    // Also says that the thief's account has come to the server.
    eventually("a node reports", || async {
        thief.bus.store(own_report.clone(), &"report").await.ok()
    })
    .await
    .unwrap();
    // Sent until it is heard; then the rest is heard out.
    while next_subject(&mut beats).await.is_none() {
        let beat = format!("hb.{}", other.node);
        other.bus.tell(beat, &"beat").await.unwrap();
    }
    let before = taken(&ledger).await;
    let targets = [
        format!("evt.main.placement.{}", other.node),
        "cmd.scheduler.deploy.-".to_owned(),
        format!("doc.{}.endpoints.a.web", world.cluster),
        format!("rpt.alloc.{}", other.node),
        format!("ctl.{}.recorded", other.node),
        format!("hb.{}", other.node),
        "led.append.scheduler".to_owned(),
        "$JS.API.STREAM.PURGE.CMD".to_owned(),
        "$JS.API.STREAM.DELETE.DOC".to_owned(),
    ];
    let questions = [
        own_report,
        format!("$JS.API.DIRECT.GET.DOC.doc.{}.none.none", world.cluster),
        format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{}", thief.node),
        format!("q.access.secret.{}", thief.node),
    ];
    for target in &targets {
        for question in &questions {
            let client = thief.bus.client();
            let asked = client.publish_with_reply(question.clone(), target.clone(), "{}".into());
            asked.await.unwrap();
        }
    }
    thief.bus.client().flush().await.unwrap();
    assert_eq!(
        next_subject(&mut beats).await,
        None,
        "a beat of another node was forged"
    );
    for ear in &mut ears {
        assert_eq!(next_subject(ear).await, None, "another node heard an answer");
    }
    let mut after = taken(&ledger).await;
    // Its own reports are taken, once for each target, and nothing else is.
    let reports = after.get_mut("RPT").unwrap();
    reports.0 -= u64::try_from(targets.len()).unwrap();
    assert_eq!(after, before);
}

/// The subject of the next message, or `None` if none comes for a while.
async fn next_subject(beats: &mut berth_bus::async_nats::Subscriber) -> Option<String> {
    let message = tokio::time::timeout(Duration::from_millis(700), beats.next())
        .await
        .ok()??;
    Some(message.subject.to_string())
}

#[tokio::test]
async fn a_login_of_a_registry_is_given_for_its_images_only_and_goes_when_it_is_told_to() {
    let world = World::start().await;
    let token = world.mint(join_grant(world.cluster), "join").await;
    let agent = world.join(token, "join").await;
    let cluster = world.cluster.to_string();
    let login = |password: &str| PutSecret {
        cluster_id: world.cluster,
        tenant: "main".into(),
        scope: format!("{LOGIN_SCOPE}r.example:5000"),
        values: BTreeMap::from([
            (LOGIN_USERNAME.to_owned(), "ada".to_owned()),
            (LOGIN_PASSWORD.to_owned(), password.to_owned()),
        ]),
        actor: "token:ops".into(),
    };
    let put = async |password: &str| -> StoredSecret {
        let asked = login(password);
        let gateway = &world.gateway;
        gateway
            .ask("access", "put_secret", &cluster, &asked)
            .await
            .unwrap()
    };
    let stored = async || -> Vec<StoredLogin> {
        let gateway = &world.gateway;
        let asked = ListLogins {};
        gateway
            .ask("access", "registries", &cluster, &asked)
            .await
            .unwrap()
    };
    put("first").await;
    let second = put(PLANTED).await;
    assert_eq!(second.version, 2);
    let listed = stored().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (
            listed[0].registry.as_str(),
            listed[0].username.as_str(),
            listed[0].stored_by.as_str()
        ),
        ("r.example:5000", "ada", "token:ops")
    );

    let allocation_id = world.place_image(agent.node, "r.example:5000/shop/web:1").await;
    let mut asked = SecretRequest {
        allocation_id,
        build_id: None,
        wanted: BTreeSet::new(),
        registry: Some("r.example:5000".into()),
    };
    let values = agent.open(&agent.secret(agent.node, &asked).await.unwrap());
    assert_eq!(values.get(LOGIN_PASSWORD).unwrap(), PLANTED, "the newest");
    asked.registry = Some("ghcr.io".into());
    assert!(
        agent.secret(agent.node, &asked).await.is_err(),
        "another registry's login"
    );

    let forget = AccessCommand::ForgetLogin {
        cluster_id: world.cluster,
        secret_id: second.secret_id,
    };
    world.accepted(forget.clone()).await;
    assert_eq!(stored().await, vec![]);
    asked.registry = Some("r.example:5000".into());
    let values = agent.open(&agent.secret(agent.node, &asked).await.unwrap());
    assert_eq!(values, BTreeMap::new());
    // It may be stored anew, as another secret.
    assert_ne!(put("third").await.secret_id, second.secret_id);
    assert_eq!(stored().await.len(), 1);
    // No other secret is forgotten by this command.
    let other = world.put("x").await;
    let foreign = AccessCommand::ForgetLogin {
        cluster_id: world.cluster,
        secret_id: other.secret_id,
    };
    assert!(matches!(world.run(foreign).await, CommandOutcome::Rejected(_)));
    world.nothing_holds(PLANTED).await;
}
