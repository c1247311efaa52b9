//! The whole agent against a real bus and a real engine; the services are played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

mod common;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use berth_bus::async_nats::{self, Client, Message, Subscriber, jetstream};
use berth_embedded::{Binaries, EmbeddedNats, NatsOptions};
use berth_events::{
    AllocationReport, Answer, Assignment, Frame, FrameBody, NodeReport, ObservationKind, Observed, Placed,
    PlacementDecided, PlacementEvent, ProjectSpec, RecordedUpTo, RenewedAccess, SealedSecrets, SecretRequest,
    UsageSample,
    spec::{ContainerSpec, EnvironmentValue, RestartCondition, SecretRef},
};
use berth_ids::SecretId;
use berth_lab::Lab;
use berth_node_agent::{
    AgentOptions,
    state::{Identity, Membership, StateDir},
};
use common::{CLUSTER, IMAGE, NODE, placed, policy, shell};
use futures::StreamExt;
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(40);
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Bus {
    client: Client,
    jetstream: jetstream::Context,
    position: u64,
    reports: Subscriber,
}

impl Bus {
    async fn connect(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let jetstream = jetstream::new(client.clone());
        for (name, subject) in [("EVT", "evt.>"), ("RPT", "rpt.>")] {
            let config = jetstream::stream::Config {
                name: name.into(),
                subjects: vec![subject.into()],
                allow_direct: true,
                ..jetstream::stream::Config::default()
            };
            jetstream.create_stream(config).await.unwrap();
        }
        let reports = client.subscribe("rpt.>").await.unwrap();
        Self {
            client,
            jetstream,
            position: 0,
            reports,
        }
    }

    /// Answers every question on a subject.
    async fn answer(&self, subject: String, reply: impl Fn(&Message) -> Vec<u8> + Send + 'static) {
        let mut questions = self.client.subscribe(subject).await.unwrap();
        let client = self.client.clone();
        tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let to = question.reply.clone().unwrap();
                client.publish(to, reply(&question).into()).await.unwrap();
            }
        });
    }

    /// Records a placement as the ledger would.
    async fn place(&mut self, previous: u64, place: Vec<(Placed, ContainerSpec)>) {
        self.position += 1;
        let event = PlacementEvent::Decided(change(previous, place));
        let data: serde_json::Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        let nothing = "0".repeat(64);
        let recorded = serde_json::json!({
            "specversion": "1.0", "id": uuid(1), "source": "berth/test", "type": event.type_name(),
            "subject": format!("placement/{CLUSTER}"), "time": "2026-11-24T06:00:00.000000Z",
            "sequence": self.position, "streamversion": 1, "categoryprevious": 0,
            "schemaversion": event.schema_version(), "tenant": "main", "incarnation": 0,
            "hash": nothing, "previoushash": nothing,
            "meta": {"actor": "root", "correlation_id": uuid(2), "traceparent": TRACE}, "data": data,
        });
        let subject = format!("evt.main.placement.{NODE}");
        let ack = self
            .jetstream
            .publish(subject, recorded.to_string().into())
            .await
            .unwrap();
        ack.await.unwrap();
    }

    /// Reads reports until one fits; gives it.
    async fn report(&mut self, what: &str, fits: impl Fn(&AllocationReport) -> bool) -> AllocationReport {
        let found = async {
            loop {
                let message = self.reports.next().await.unwrap();
                if message.subject.as_str() != format!("rpt.alloc.{NODE}") {
                    continue;
                }
                let report: AllocationReport = serde_json::from_slice(&message.payload).unwrap();
                if fits(&report) {
                    return report;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("no report: {what}"))
    }

    async fn running(&mut self, placed: &Placed) -> AllocationReport {
        let id = placed.allocation_id;
        self.report("running", move |report| {
            report.items.iter().any(|item| {
                matches!(&item.what, ObservationKind::Allocation { allocation_id, state: Observed::Running { .. } }
                    if *allocation_id == id)
            })
        })
        .await
    }
}

fn uuid(number: u32) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

fn change(previous: u64, place: Vec<(Placed, ContainerSpec)>) -> PlacementDecided {
    let project = ProjectSpec {
        name: "shop".into(),
        ..ProjectSpec::default()
    };
    PlacementDecided {
        cluster_id: CLUSTER,
        node_id: NODE,
        previous,
        containers: place
            .iter()
            .map(|(p, c)| (p.spec_hash.clone(), c.clone()))
            .collect(),
        projects: place
            .iter()
            .map(|(p, _)| (p.application_id, project.clone()))
            .collect(),
        place: place.into_iter().map(|(p, _)| p).collect(),
        stop: Vec::new(),
        drop_volumes: BTreeSet::new(),
    }
}

fn first<T: serde::de::DeserializeOwned>(message: Option<Message>) -> T {
    serde_json::from_slice(&message.unwrap().payload).unwrap()
}

struct Folder(tempfile::TempDir, nkeys::XKey);

impl Folder {
    fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sealing = nkeys::XKey::new();
        let identity = Identity {
            node_id: NODE,
            membership: Some(Membership {
                name: "n1".into(),
                cluster_id: CLUSTER,
                tenant: "main".into(),
                user_jwt: String::new(),
                nats_urls: vec![url.to_owned()],
                ca_pem: String::new(),
                address: "127.0.0.1".into(),
            }),
            user_seed: SecretString::from(nkeys::KeyPair::new_user().seed().unwrap()),
            sealing_seed: SecretString::from(sealing.seed().unwrap()),
        };
        StateDir::open(folder.path())
            .unwrap()
            .keep_identity(&identity)
            .unwrap();
        Self(folder, sealing)
    }
}

/// Seals each wanted value as `value of <key>`.
fn sealed(recipient: &nkeys::XKey, question: &Message) -> Vec<u8> {
    let request: SecretRequest = serde_json::from_slice(&question.payload).unwrap();
    let values: BTreeMap<String, String> = request
        .wanted
        .iter()
        .map(|s| {
            (
                format!("{}@{}/{}", s.secret_id, s.version, s.key),
                format!("value of {}", s.key),
            )
        })
        .collect();
    let sender = nkeys::XKey::new();
    let bytes = sender
        .seal(&serde_json::to_vec(&values).unwrap(), recipient)
        .unwrap();
    let sealed = SealedSecrets {
        sender_key: sender.public_key(),
        sealed: STANDARD.encode(bytes),
    };
    serde_json::to_vec(&Answer::Ok(sealed)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_obeys_reports_streams_and_survives_the_bus() {
    let data = tempfile::tempdir().unwrap();
    let nats =
        EmbeddedNats::start_blocking(data.path(), &Binaries::default(), &NatsOptions::default()).unwrap();
    let mut lab = Lab::start(1).unwrap();
    let node = lab.node(1).unwrap();
    node.import_busybox(IMAGE).unwrap();
    let mut bus = Bus::connect(&nats.url()).await;
    let folder = Folder::new(&nats.url());
    let web = placed(1, "web", policy(RestartCondition::Any));
    let late = placed(2, "late", policy(RestartCondition::Any));
    let secret = SecretRef {
        secret_id: SecretId::from_u128(9),
        version: 1,
        key: "PASSWORD".into(),
    };
    let chatty = ContainerSpec {
        environment: BTreeMap::from([("PASSWORD".to_owned(), EnvironmentValue::Secret(secret))]),
        ..shell(
            "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x; echo; trap 'exit 0' TERM; while :; do sleep 0.1; done",
        )
    };
    let whole = Assignment {
        generation: 7,
        change: change(
            0,
            vec![(web.clone(), chatty.clone()), (late.clone(), shell("sleep 1000"))],
        ),
    };
    let nothing = Assignment {
        generation: 0,
        change: change(0, Vec::new()),
    };
    let (whole, nothing) = (Answer::Ok(whole), Answer::Ok(nothing));
    let (whole, nothing) = (
        serde_json::to_vec(&whole).unwrap(),
        serde_json::to_vec(&nothing).unwrap(),
    );
    let asked = std::sync::atomic::AtomicU32::new(0);
    bus.answer(format!("q.scheduler.assignment.{NODE}"), move |_| {
        let before = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if before == 0 {
            nothing.clone()
        } else {
            whole.clone()
        }
    })
    .await;
    let Folder(folder, sealing) = folder;
    bus.answer(format!("q.access.secret.{NODE}"), move |question| {
        sealed(&sealing, question)
    })
    .await;
    let user_jwt = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"nats":{"pub":["new"]}}"#));
    let renewed = Answer::Ok(RenewedAccess {
        user_jwt: user_jwt.clone(),
        ca_pem: String::new(),
    });
    let renewed = serde_json::to_vec(&renewed).unwrap();
    bus.answer(format!("q.access.renew.{NODE}"), move |_| renewed.clone())
        .await;
    let mut beats = bus.client.subscribe(format!("hb.{NODE}")).await.unwrap();
    let mut samples = bus
        .client
        .subscribe(format!("met.{CLUSTER}.{NODE}"))
        .await
        .unwrap();
    let mut facts = bus.client.subscribe(format!("rpt.node.{NODE}")).await.unwrap();

    let shutdown = CancellationToken::new();
    let options = AgentOptions {
        data_dir: folder.path().to_owned(),
        docker_host: node.docker_host(),
    };
    let agent = tokio::spawn(berth_node_agent::run(options, shutdown.clone()));
    let told: NodeReport = first(facts.next().await);
    assert!(
        told.facts.memory_bytes > 0 && told.facts.disk_bytes > 0,
        "{told:?}"
    );
    bus.report("everything", |report| report.digest.is_some()).await;

    // Rights have changed: they are kept, and the agent connects anew with them.
    let state = StateDir::open(folder.path()).unwrap();
    let end = std::time::Instant::now() + PATIENCE;
    while state.identity().unwrap().unwrap().membership.unwrap().user_jwt != user_jwt {
        assert!(std::time::Instant::now() < end, "the renewed rights are not kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its new connection is up before the rest is asked of it.
    tokio::time::sleep(Duration::from_secs(1)).await;

    // A change by the log, with a secret, in the trace of its event.
    bus.place(0, vec![(web.clone(), chatty)]).await;
    let report = bus.running(&web).await;
    assert_eq!(report.traceparent.as_deref(), Some(TRACE));
    let shown = lab
        .node(1)
        .unwrap()
        .docker(&["exec", "shop_web_1", "sh", "-c", "echo $PASSWORD"])
        .unwrap();
    assert_eq!(shown.trim(), "value of PASSWORD");
    for file in ["assignment.json", "journal.json"] {
        let text = std::fs::read_to_string(folder.path().join("agent").join(file)).unwrap();
        assert!(!text.contains("value of PASSWORD"), "a secret value is on disk");
    }

    // What is not recorded comes again; what is recorded goes from the journal.
    let again = bus
        .report("the first one again", |report| {
            report.items.iter().any(|item| item.number == 1)
        })
        .await;
    let number = again.items.last().unwrap().number;
    let recorded = RecordedUpTo {
        journal: again.journal,
        number,
        resend: false,
    };
    let told = serde_json::to_vec(&recorded).unwrap();
    bus.client
        .publish(format!("ctl.{NODE}.recorded"), told.into())
        .await
        .unwrap();

    logs_need_credit(&bus, &web).await;
    usage_is_told(&mut samples).await;

    // A change that does not follow: the agent asks for everything, and takes it.
    bus.position = 6;
    bus.place(5, Vec::new()).await;
    bus.running(&late).await;

    // The bus dies and comes back.
    let pid = nats.pid().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    bus.report("everything, after the outage", |report| {
        report
            .digest
            .as_ref()
            .is_some_and(|digest| digest.generation == 7 && digest.allocations.len() == 2)
    })
    .await;
    // Asked for, heartbeats come at once.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(20), beats.next()).await {}
    let asked = std::time::Instant::now();
    for _ in 0..10 {
        bus.client
            .publish(format!("ctl.{NODE}.beat"), "{}".into())
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, beats.next()).await.unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let beat = tokio::time::timeout(PATIENCE, beats.next()).await.unwrap();
    let beat: berth_events::Heartbeat = first(beat);
    assert!(beat.engine_up);
    shutdown.cancel();
    agent.await.unwrap().unwrap();
    let left = lab.node(1).unwrap().docker(&["ps", "-q"]).unwrap();
    assert_eq!(left.lines().count(), 2, "containers go on without the agent");
}

async fn logs_need_credit(bus: &Bus, web: &Placed) {
    let mut frames = bus.client.subscribe(format!("term.{NODE}.s1.out")).await.unwrap();
    let open = serde_json::json!({
        "session": "s1", "allocation_id": web.allocation_id, "follow": false,
        "tail": null, "since": null, "timestamps": false,
    });
    bus.client
        .publish(format!("ctl.{NODE}.logs"), open.to_string().into())
        .await
        .unwrap();
    let mut bytes = 0;
    let mut last = 0;
    let mut frame = async || -> Option<Frame> {
        let message = tokio::time::timeout(Duration::from_secs(2), frames.next())
            .await
            .ok()??;
        serde_json::from_slice(&message.payload).ok()
    };
    while let Some(Frame { number, body }) = frame().await {
        assert_eq!(number, last + 1, "a hole");
        last = number;
        let FrameBody::Data { bytes: text, .. } = body else {
            panic!("it ended before its credit: {body:?}")
        };
        bytes += STANDARD.decode(text).unwrap().len();
    }
    assert_eq!(last, 8, "no more than was allowed");
    let more = serde_json::to_vec(&berth_events::Credit::UpTo { number: 100_000 }).unwrap();
    bus.client
        .publish(format!("term.{NODE}.s1.in"), more.into())
        .await
        .unwrap();
    loop {
        let Frame { number, body } = frame().await.expect("the rest of the output");
        assert_eq!(number, last + 1, "a hole");
        last = number;
        match body {
            FrameBody::Data { bytes: text, .. } => bytes += STANDARD.decode(text).unwrap().len(),
            FrameBody::End { error } => {
                assert_eq!(error, None);
                break;
            }
        }
    }
    assert_eq!(bytes, 1024 * 1024 + 1);
}

async fn usage_is_told(samples: &mut Subscriber) {
    let found = async {
        loop {
            let sample: UsageSample = first(samples.next().await);
            if let Some(container) = sample.containers.first() {
                assert!(container.memory_bytes > 0 && container.pids > 0, "{container:?}");
                assert_eq!(container.name, "shop_web_1");
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("a sample with the container");
}
