//! Placement decisions: how many a second, on many nodes that hold many containers; alone, and durable.

use crate::servers::Servers;
use anyhow::{Context as _, Result, ensure};
use berth_events::{
    AllocationEvent, AllocationRunning, Category, ClusterCreated, ClusterEvent, DeployMethod, Event, Meta,
    NodeEvent, NodeFacts, NodeJoined, ReleaseSource, ReportMark, SchedulerCommand, SecurityPolicy,
    StreamName,
    spec::{
        Affinity, ApplicationSpec, Constraint, ContainerSpec, Operator, ServiceMode, ServiceSpec, Strategy,
    },
};
use berth_eventsourcing::{
    AppendRequest, Decision, Expected, MemoryLog, NewEvent, StreamAppend, Streams, Undecided, View,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, EventId, Name, NodeId, ReleaseId, Timestamp};
use berth_ledger_svc::{LedgerHandle, LedgerOptions, write_only};
use berth_scheduler_core::{
    allocation::Phase,
    application::{Context, decide},
    limits::SETTLE_AFTER,
    planner::plan,
    view::SchedulerView,
};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CLUSTER: ClusterId = ClusterId::from_u128(1);
const ZONES: u32 = 10;
/// Replicas of one service of the filling.
const REPLICAS: u32 = 1_000;
/// How often each plan is made.
const REPEATS: u32 = 5;
/// Plans in a row before something is wrong.
const MAX_PLANS: u32 = 100_000;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Nodes, in ten zones; half of them have a label that some services want.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
    /// Containers that are there before.
    #[arg(long, default_value_t = 50_000)]
    containers: u32,
    /// Containers of each kind that are placed then.
    #[arg(long, default_value_t = 5_000)]
    more: u32,
}

/// A log in memory, or a real one beside it, and the scheduler's view of it.
struct Lab {
    log: MemoryLog,
    durable: Option<LedgerHandle>,
    view: SchedulerView,
    now: Timestamp,
}

/// What a deployment took.
#[derive(Default)]
struct Took {
    placed: usize,
    plans: u32,
    appends: u32,
    planning: Duration,
    whole: Duration,
    /// The plan that found nothing left to do.
    idle: Duration,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let mut lab = Lab::new(options.nodes)?;
    println!(
        "plan: {} nodes, {} containers, then {} more of each kind",
        options.nodes, options.containers, options.more
    );
    let mut filling = Took::default();
    for number in 0..options.containers.div_ceil(REPLICAS) {
        filling.add(lab.deploy(&format!("fill-{number}"), service(REPLICAS)).await?);
    }
    lab.run_all().await?;
    filling.print("filling, spread over zones");
    for (name, spec) in kinds(options.more) {
        lab.deploy(name, spec).await?.print(name);
        lab.run_all().await?;
    }
    let one = lab.deploy("one", service(1)).await?;
    println!(
        "  one container more: {:.1} ms to plan it, {:.1} ms to find nothing left to do",
        millis(one.planning),
        millis(one.idle)
    );
    let servers = Servers::start(false).await?;
    let stop = CancellationToken::new();
    let (handle, writer) = write_only(&servers.ledger, &LedgerOptions::default(), stop.clone()).await?;
    lab.durable = Some(handle);
    lab.deploy("durable", service(options.more))
        .await?
        .print("durable: each plan committed by Postgres, fsync on");
    stop.cancel();
    writer.await?;
    Ok(())
}

fn service(replicas: u32) -> ServiceSpec {
    ServiceSpec {
        mode: ServiceMode::Replicated { replicas },
        container: ContainerSpec {
            image: "busybox".into(),
            ..ContainerSpec::default()
        },
        ..ServiceSpec::default()
    }
}

fn kinds(replicas: u32) -> [(&'static str, ServiceSpec); 4] {
    let mut packed = service(replicas);
    packed.placement.strategy = Some(Strategy::Binpack);
    packed.container.resources.memory_reserved_bytes = 64 << 20;
    let mut constrained = service(replicas);
    constrained.placement.constraints.push(Constraint {
        key: "disk".into(),
        operator: Operator::Equal,
        pattern: "ssd".into(),
        soft: false,
    });
    let mut apart = service(replicas.min(2_000));
    apart.placement.affinities.push(Affinity {
        subject: "service".into(),
        operator: Operator::NotEqual,
        pattern: "web".into(),
        soft: false,
    });
    [
        ("spread", service(replicas)),
        ("binpack", packed),
        ("constraint", constrained),
        ("anti-affinity", apart),
    ]
}

impl Lab {
    fn new(nodes: u32) -> Result<Self> {
        let mut lab = Self {
            log: MemoryLog::default(),
            durable: None,
            view: SchedulerView::default(),
            now: Timestamp::from_millis(1_000_000),
        };
        let created = ClusterEvent::Created(ClusterCreated {
            cluster_id: CLUSTER,
            name: Name::parse("main")?,
            region: "here".into(),
            zones: Default::default(),
            policy: SecurityPolicy::Open,
            strategy: Strategy::Spread,
        });
        lab.record(StreamName::new(Category::Cluster, CLUSTER), created)?;
        for index in 1..=nodes {
            let node_id = NodeId::from_u128(u128::from(index));
            let disk = if index % 2 == 0 { "ssd" } else { "hdd" };
            let joined = NodeEvent::Joined(NodeJoined {
                node_id,
                cluster_id: CLUSTER,
                name: Name::parse(&format!("node-{index}"))?,
                index,
                zone: format!("zone-{}", index % ZONES),
                address: "10.0.0.1".into(),
                labels: [("disk".to_owned(), disk.to_owned())].into(),
                resources: Default::default(),
                facts: NodeFacts {
                    hostname: format!("node-{index}"),
                    os: "linux".into(),
                    architecture: "amd64".into(),
                    cpu_millis: 32_000,
                    memory_bytes: 128 << 30,
                    ..NodeFacts::default()
                },
            });
            lab.record(StreamName::new(Category::Node, node_id), joined)?;
        }
        Ok(lab)
    }

    fn record(&mut self, stream: StreamName, event: impl Into<Event>) -> Result<()> {
        let recorded = self.log.record(stream, event, self.now)?;
        self.view.apply(&recorded, &recorded.event()?);
        Ok(())
    }

    async fn append(&mut self, decision: Decision) -> Result<()> {
        let streams = decision.changes.into_iter().map(|change| {
            let events = change.events.iter();
            anyhow::Ok(StreamAppend {
                stream: change.stream,
                expected: change.expected,
                events: events
                    .map(|event| NewEvent::encode(EventId::from_uuid(Uuid::now_v7()), event))
                    .collect::<Result<_, _>>()?,
            })
        });
        let request = AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams: streams.collect::<Result<_>>()?,
            guards: decision.guards,
            command: None,
        };
        // As in the service, what is folded comes while the log goes on.
        let committed = self.durable.clone().map(|durable| {
            let mut request = request.clone();
            for append in &mut request.streams {
                // The real log begins here: it does not have the streams from before.
                append.expected = Expected::Any;
            }
            tokio::spawn(async move { durable.append("scheduler", request).await })
        });
        let head = self.log.head();
        self.log.append("scheduler", &request, self.now)?;
        for recorded in self.log.after(head) {
            self.view.apply(recorded, &recorded.event()?);
        }
        if let Some(committed) = committed {
            committed.await??;
        }
        Ok(())
    }

    /// Every container that was placed runs, and has run for a while: what a cluster is most of the time.
    async fn run_all(&mut self) -> Result<()> {
        let placed = self.view.allocations().filter(|row| row.phase == Phase::Placed);
        let placed: Vec<_> = placed.map(|row| (row.node_id, row.allocation_id)).collect();
        for (node_id, allocation_id) in placed {
            let running = AllocationEvent::Running(AllocationRunning {
                allocation_id,
                report: ReportMark::default(),
                container_id: String::new(),
                addresses: Default::default(),
                ports: Vec::new(),
            });
            self.record(StreamName::new(Category::Allocation, node_id), running)?;
        }
        self.now = self.now.plus(SETTLE_AFTER);
        self.settle().await?;
        Ok(())
    }

    async fn deploy(&mut self, name: &str, spec: ServiceSpec) -> Result<Took> {
        let command = SchedulerCommand::Deploy {
            cluster_id: CLUSTER,
            name: Name::parse(name)?,
            application_id: ApplicationId::from_uuid(Uuid::now_v7()),
            release_id: ReleaseId::from_uuid(Uuid::now_v7()),
            spec: Box::new(ApplicationSpec {
                services: [("web".to_owned(), spec)].into(),
                ..ApplicationSpec::default()
            }),
            source: ReleaseSource::Image {
                image: "busybox".into(),
            },
            warnings: Vec::new(),
            must_exist: None,
            expected_version: None,
            method: DeployMethod::default(),
        };
        let mut streams = Streams::default();
        let decision = loop {
            let context = Context {
                tenant: "main",
                view: &self.view,
            };
            match decide(&command, context, &streams) {
                Ok(decision) => break decision,
                Err(Undecided::Needs(stream)) => {
                    let loaded = self.log.load(&stream);
                    streams.insert(stream, loaded);
                }
                Err(Undecided::Refused(rejection)) => anyhow::bail!("{}", rejection.message),
            }
        };
        self.append(decision).await?;
        self.settle().await
    }

    async fn settle(&mut self) -> Result<Took> {
        let mut took = Took::default();
        for _ in 0..MAX_PLANS {
            let (parts, placed, planned) = self.plan()?;
            if parts.is_empty() {
                took.idle = planned;
                return Ok(took);
            }
            took.placed += placed;
            took.planning += planned;
            took.whole += planned;
            took.plans += 1;
            let started = Instant::now();
            for part in parts {
                took.appends += 1;
                self.append(part).await?;
            }
            took.whole += started.elapsed();
        }
        None.context("plans never end")
    }

    /// The same plan several times; the best counts, since nothing but the machine makes a difference.
    fn plan(&self) -> Result<(Vec<Decision>, usize, Duration)> {
        let mut best = Duration::MAX;
        let mut last = None;
        for _ in 0..REPEATS {
            let started = Instant::now();
            let made = plan(&self.view, CLUSTER, self.now, &mut || {
                AllocationId::from_uuid(Uuid::now_v7())
            });
            ensure!(
                !(made.is_empty() && made.more),
                "a plan says that there is more, and is empty"
            );
            let placed = made.changes.iter().map(|change| change.place.len()).sum();
            let parts = made.into_decisions();
            best = best.min(started.elapsed());
            last = Some((parts, placed));
        }
        let (parts, placed) = last.context("no plan was made")?;
        Ok((parts, placed, best))
    }
}

impl Took {
    fn add(&mut self, other: Self) {
        self.placed += other.placed;
        self.plans += other.plans;
        self.appends += other.appends;
        self.planning += other.planning;
        self.whole += other.whole;
        self.idle = other.idle;
    }

    fn print(&self, what: &str) {
        let rate = |time: Duration| self.placed as f64 / time.as_secs_f64().max(f64::EPSILON);
        println!(
            "  {what:<52} {:>6} placed by {} plans in {:>3} appends: {:>8.0}/s decided, {:>7.0}/s with log and view; then idle {:.1} ms",
            self.placed,
            self.plans,
            self.appends,
            rate(self.planning),
            rate(self.whole),
            millis(self.idle)
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
