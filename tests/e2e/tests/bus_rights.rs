//! Least right on the bus of a running platform, tried with the real credentials of every service and of a
//! stolen node. What each may do stands in `docs/contracts.md`; this list was written from there.

use anyhow::{Context, Result, ensure};
use berth_e2e::{BusUser, Form, IMAGE, Platform, SERVICES, StolenNode, items};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Nothing came in this time: nothing comes.
const SILENCE: Duration = Duration::from_millis(500);
/// How long the log may take to take note of something.
const NOTED: Duration = Duration::from_secs(3);

/// Two nodes; a secret value lives on the second only.
struct Scene {
    platform: Platform,
    own: StolenNode,
    other: StolenNode,
}

fn scene() -> Result<Scene> {
    let platform = Platform::start(Form::One, 2)?;
    platform.berth(&["node", "label", "n2", "vault=here"])?;
    platform.deploy(
        "safe",
        &format!(
            "services:
  web:
    image: {IMAGE}
    environment: {{ PASSWORD: planted-on-n2 }}
    deploy: {{ placement: {{ constraints: [node.labels.vault==here] }} }}
"
        ),
    )?;
    let (own, other) = (StolenNode::of(&platform, 1)?, StolenNode::of(&platform, 2)?);
    Ok(Scene { platform, own, other })
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_more_than_its_own_on_the_bus() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let scene = tokio::task::spawn_blocking(scene).await??;
    for service in SERVICES {
        service_keeps_to_its_own(&scene, service)
            .await
            .with_context(|| format!("service {service}"))?;
    }
    let mut thief = scene.own.connect(&scene.platform).await?;
    node_says_and_hears_only_its_own(&scene, &mut thief).await?;
    node_reads_only_its_own_assignment(&scene, &thief).await?;
    node_gets_no_secret_of_another(&scene, &thief).await?;
    node_uses_nobody_as_its_deputy(&scene, &thief).await?;
    tokio::task::spawn_blocking(move || drop(scene)).await?;
    Ok(())
}

/// All of these are refused, all of those are not.
async fn judged(user: &mut BusUser, hear: bool, refused: &[String], allowed: &[String]) -> Result<()> {
    let all: Vec<String> = refused.iter().chain(allowed).cloned().collect();
    let found = if hear {
        user.refused_to_hear(&all).await?
    } else {
        user.refused_to_say(&all).await?
    };
    let found: BTreeSet<&String> = found.iter().collect();
    let wanted: BTreeSet<&String> = refused.iter().collect();
    let verb = if hear { "hear" } else { "say" };
    let open: Vec<_> = wanted.difference(&found).collect();
    let shut: Vec<_> = found.difference(&wanted).collect();
    ensure!(open.is_empty(), "{} may {verb} {open:?}", user.name);
    ensure!(shut.is_empty(), "{} may not {verb} {shut:?}", user.name);
    Ok(())
}

/// Subjects, except those that this service has a right to.
fn but<const N: usize>(service: &str, subjects: [(&str, String); N]) -> Vec<String> {
    subjects
        .into_iter()
        .filter(|(owner, _)| *owner != service)
        .map(|(_, subject)| subject)
        .collect()
}

async fn service_keeps_to_its_own(scene: &Scene, service: &str) -> Result<()> {
    let mut user = BusUser::service(&scene.platform, service).await?;
    let (node, cluster) = (&scene.other.node, &scene.other.cluster);
    let mut say = but(
        service,
        [
            ("ledger", format!("evt.main.placement.{node}")),
            ("ledger", "$JS.API.STREAM.DELETE.EVT".into()),
            ("ledger", "$JS.API.STREAM.PURGE.CMD".into()),
            ("ledger", "$JS.API.STREAM.UPDATE.DOC".into()),
            ("ledger", "$JS.API.STREAM.MSG.GET.CMD".into()),
            ("ledger", "$JS.API.DIRECT.GET.DOC".into()),
            ("gateway", "cmd.scheduler.deploy.x".into()),
            ("gateway", "cmd.access.mint_token.-".into()),
            ("gateway", format!("q.access.reveal.{cluster}")),
            ("gateway", format!("q.access.put_secret.{cluster}")),
            ("gateway", format!("q.access.secret.{node}")),
            ("gateway", format!("q.access.renew.{node}")),
            ("gateway", format!("term.{node}.s.in")),
            ("scheduler", format!("ctl.{node}.recorded")),
            ("gateway", format!("ctl.{node}.build")),
            ("gateway", format!("ctl.{node}.registry")),
            ("log", format!("ctl.{node}.logs")),
            ("monitor", format!("ctl.{node}.beat")),
            ("lb", format!("doc.{cluster}.endpoints.a.web")),
            ("", format!("doc.{cluster}.node.{node}.volumes")),
            ("", format!("rpt.alloc.{node}")),
            ("", format!("rpt.node.{node}")),
            ("", format!("hb.{node}")),
            ("", format!("met.{cluster}.{node}")),
            ("", format!("log.{cluster}.{node}")),
            ("", format!("term.{node}.s.out")),
            ("", "$JS.API.STREAM.CREATE.MINE".into()),
            ("", "$JS.API.CONSUMER.CREATE.DOC.mine".into()),
            ("", "$JS.API.CONSUMER.DURABLE.CREATE.CMD.mine".into()),
            ("", "$JS.API.CONSUMER.DELETE.CMD.scheduler".into()),
            ("", "$JS.API.CONSUMER.CREATE.EVT".into()),
            ("", "$JS.API.CONSUMER.CREATE.EVT.mine".into()),
            ("", "$SYS.REQ.CLAIMS.UPDATE".into()),
            ("", "_INBOX.log.x".into()),
        ],
    );
    let mut hear = but(
        service,
        [
            ("ledger", "led.append.*".into()),
            ("monitor", "hb.*".into()),
            ("monitor", "met.*.*".into()),
            ("gateway", "term.*.*.out".into()),
            ("", "evt.>".into()),
            ("", "cmd.>".into()),
            ("", "rpt.>".into()),
            ("", "doc.>".into()),
            ("", "q.>".into()),
            ("", "_INBOX.>".into()),
            ("", ">".into()),
            ("", "$JS.>".into()),
            ("", "$SYS.>".into()),
            ("", format!("ctl.{node}.>")),
        ],
    );
    for other in SERVICES.iter().filter(|other| **other != service) {
        say.push(format!("led.append.{other}"));
        say.push(format!("$JS.ACK.CMD.{other}.1.1.1.1.0"));
        hear.push(format!("_INBOX.{other}.>"));
        hear.push(format!("q.{other}.>"));
        for verb in ["CREATE", "DELETE", "MSG.NEXT"] {
            say.push(format!("$JS.API.CONSUMER.{verb}.EVT.{other}-0"));
        }
    }
    // An inbox is its owner's to be spoken to; `log` sends no commands, so nobody answers it but by reply.
    let say: Vec<String> = say
        .into_iter()
        .filter(|subject| !(service == "log" && subject == "_INBOX.log.x"))
        .collect();
    judged(&mut user, false, &say, &["q.ledger.head.-".into()]).await?;
    let own = [format!("_INBOX.{service}.x"), format!("q.{service}.health.-")];
    judged(&mut user, true, &hear, &own).await?;
    // What it should do works: the head of the log is told.
    let head: Value = serde_json::from_slice(&user.ask("q.ledger.head.-", &json!({})).await?.payload)?;
    ensure!(head["ok"]["position"].as_u64() > Some(0), "the head is {head}");
    Ok(())
}

async fn node_says_and_hears_only_its_own(scene: &Scene, thief: &mut BusUser) -> Result<()> {
    let (own, cluster, other) = (&scene.own.node, &scene.own.cluster, &scene.other.node);
    let mut say: Vec<String> = vec![
        format!("evt.main.placement.{own}"),
        format!("evt.main.placement.{other}"),
        format!("ctl.{own}.recorded"),
        format!("ctl.{other}.recorded"),
        format!("doc.{cluster}.node.{own}.x"),
        format!("met.{other}.{own}"),
        format!("q.access.reveal.{own}"),
        format!("q.access.put_secret.{own}"),
        format!("q.access.authenticate.{own}"),
        format!("q.log.open.{own}"),
        format!("q.ledger.command.{own}"),
        format!("q.access.reveal.{cluster}"),
        "$JS.API.INFO".into(),
        "$JS.API.STREAM.CREATE.MINE".into(),
        "$JS.API.STREAM.DELETE.RPT".into(),
        "$JS.API.STREAM.PURGE.RPT".into(),
        "$JS.API.STREAM.INFO.EVT".into(),
        "$JS.API.STREAM.MSG.GET.EVT".into(),
        "$JS.API.DIRECT.GET.EVT".into(),
        "$JS.API.DIRECT.GET.EVT.evt.main.token.>".into(),
        format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{other}"),
        format!("$JS.API.DIRECT.GET.DOC.doc.{cluster}.node.{other}.x"),
        "$JS.API.CONSUMER.CREATE.EVT".into(),
        "$JS.API.CONSUMER.CREATE.EVT.mine".into(),
        "$JS.API.CONSUMER.MSG.NEXT.CMD.scheduler".into(),
        "$SYS.REQ.CLAIMS.UPDATE".into(),
        format!("_INBOX.{other}.x"),
    ];
    for kind in [
        "rpt.alloc",
        "rpt.node",
        "hb",
        "q.scheduler.assignment",
        "q.access.secret",
    ] {
        say.push(format!("{kind}.{other}"));
    }
    for kind in ["log", "met"] {
        say.push(format!("{kind}.{cluster}.{other}"));
    }
    for service in SERVICES {
        say.push(format!("led.append.{service}"));
        say.push(format!("cmd.{service}.remove.{cluster}"));
        say.push(format!("_INBOX.{service}.x"));
    }
    let may_say = [
        format!("q.scheduler.assignment.{own}"),
        format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{own}"),
        format!("term.{own}.s.out"),
    ];
    judged(thief, false, &say, &may_say).await?;
    let hear = [
        format!("evt.main.placement.{other}"),
        "evt.>".into(),
        "evt.*.placement.*".into(),
        "evt.main.token.>".into(),
        format!("ctl.{other}.>"),
        format!("doc.{cluster}.node.{other}.>"),
        format!("doc.{other}.>"),
        format!("term.{other}.*.in"),
        format!("term.{own}.*.out"),
        format!("_INBOX.{other}.>"),
        "_INBOX.>".into(),
        "_INBOX.gateway.>".into(),
        "_INBOX.scheduler.>".into(),
        "q.>".into(),
        format!("q.scheduler.assignment.{own}"),
        "cmd.>".into(),
        "led.>".into(),
        format!("rpt.alloc.{other}"),
        "hb.>".into(),
        "met.>".into(),
        "$JS.>".into(),
        "$SYS.>".into(),
        ">".into(),
    ];
    let may_hear = [
        format!("evt.*.placement.{own}"),
        format!("ctl.{own}.>"),
        format!("doc.{cluster}.endpoints.*.*"),
        format!("doc.{cluster}.node.{own}.*"),
        format!("_INBOX.{own}.x"),
    ];
    judged(thief, true, &hear, &may_hear).await
}

async fn node_reads_only_its_own_assignment(scene: &Scene, thief: &BusUser) -> Result<()> {
    let owner = scene.other.connect(&scene.platform).await?;
    let subject = |node: &str| format!("q.scheduler.assignment.{node}");
    let known = owner.ask(&subject(&scene.other.node), &json!({})).await?;
    let known: Value = serde_json::from_slice(&known.payload)?;
    ensure!(
        known.to_string().contains("safe"),
        "the owner is told of its container: {known}"
    );
    let own = thief.ask(&subject(&scene.own.node), &json!({})).await?;
    ensure!(
        !String::from_utf8_lossy(&own.payload).contains("safe"),
        "a node is told of what another runs"
    );
    // The stream answers about the own node only, whatever is asked in the body.
    let direct = format!(
        "$JS.API.DIRECT.GET.EVT.evt.{}.placement.{}",
        scene.own.tenant, scene.own.node
    );
    let elsewhere = format!("evt.main.placement.{}", scene.other.node);
    for body in [
        json!({"last_by_subj": elsewhere}),
        json!({"seq": 1}),
        json!({"multi_last": [elsewhere]}),
    ] {
        let answer = thief.ask(&direct, &body).await?;
        ensure!(
            answer.payload.is_empty(),
            "asked for {body}, the stream gave {:?}",
            String::from_utf8_lossy(&answer.payload)
        );
    }
    Ok(())
}

/// Which values the application needs, and for which container, as the log names them.
fn wanted_by(platform: &Platform) -> Result<(String, Value)> {
    let shown = items(&platform.json(&["ps", "safe"])?);
    let container = shown.first().context("a container of the application")?;
    let allocation = container["id"].as_str().context("it has an id")?.to_owned();
    let events = platform.json(&["events", "--type", "placement.decided"])?;
    let text = events.to_string();
    let mut found = None;
    find_reference(&events, &mut found);
    Ok((
        allocation,
        found.with_context(|| format!("a reference in {text}"))?,
    ))
}

fn find_reference(value: &Value, found: &mut Option<Value>) {
    match value {
        Value::Object(fields) if fields.contains_key("secret_id") && fields.contains_key("key") => {
            *found = Some(value.clone());
        }
        Value::Object(fields) => fields.values().for_each(|value| find_reference(value, found)),
        Value::Array(values) => values.iter().for_each(|value| find_reference(value, found)),
        _ => {}
    }
}

async fn node_gets_no_secret_of_another(scene: &Scene, thief: &BusUser) -> Result<()> {
    let (allocation, reference) = tokio::task::block_in_place(|| wanted_by(&scene.platform))?;
    let question = json!({"allocation_id": allocation, "wanted": [reference]});
    let asked = thief
        .ask(&format!("q.access.secret.{}", scene.own.node), &question)
        .await?;
    let answer: Value = serde_json::from_slice(&asked.payload)?;
    ensure!(
        answer["refused"]["kind"] == "forbidden",
        "a thief is answered {answer}"
    );
    let owner = scene.other.connect(&scene.platform).await?;
    let asked = owner
        .ask(&format!("q.access.secret.{}", scene.other.node), &question)
        .await?;
    let text = String::from_utf8_lossy(&asked.payload).into_owned();
    let answer: Value = serde_json::from_str(&text)?;
    ensure!(
        answer["ok"]["sealed"].is_string(),
        "the owner is answered {answer}"
    );
    ensure!(
        !text.contains("planted-on-n2"),
        "the value goes over the bus unsealed"
    );
    Ok(())
}

/// What each stream ever took (of EVT: beyond the log), and when it was made, as the ledger's user is told.
async fn streams(platform: &Platform) -> Result<Vec<(String, u64, String)>> {
    let ledger = BusUser::service(platform, "ledger").await?;
    let mut found = Vec::new();
    for stream in ["EVT", "CMD", "DOC"] {
        let info = ledger
            .ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))
            .await?;
        let info: Value = serde_json::from_slice(&info.payload)?;
        let last = info["state"]["last_seq"]
            .as_u64()
            .context("a stream has a last message")?;
        found.push((stream.to_owned(), last, info["created"].to_string()));
    }
    Ok(found)
}

/// Whoever answers speaks with its own rights, and JetStream answers wherever it is told to: nothing of that
/// may arrive at a subject of the platform or of another node.
async fn node_uses_nobody_as_its_deputy(scene: &Scene, thief: &BusUser) -> Result<()> {
    let victim = scene.other.connect(&scene.platform).await?;
    let (own, other, cluster) = (&scene.own.node, &scene.other.node, &scene.own.cluster);
    let mut heard = Vec::new();
    for subject in [
        format!("ctl.{other}.>"),
        format!("evt.*.placement.{other}"),
        format!("doc.{cluster}.*.*"),
        format!("term.{other}.*.in"),
    ] {
        heard.push(victim.client.subscribe(subject).await?);
    }
    victim.client.flush().await?;
    let before = streams(&scene.platform).await?;
    for target in [
        format!("evt.main.placement.{other}"),
        "cmd.scheduler.deploy.-".to_owned(),
        format!("rpt.alloc.{other}"),
        format!("rpt.node.{other}"),
        format!("doc.{cluster}.endpoints.x"),
        format!("ctl.{other}.forged"),
        format!("term.{other}.s.in"),
        "led.append.scheduler".to_owned(),
        "$JS.API.STREAM.PURGE.CMD".to_owned(),
        "$JS.API.STREAM.DELETE.RPT".to_owned(),
        "$JS.API.STREAM.DELETE.EVT".to_owned(),
    ] {
        for question in [
            format!("rpt.alloc.{own}"),
            format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{own}"),
            // JetStream answers that there is no such document, with an empty body: what its own requests look like.
            format!("$JS.API.DIRECT.GET.DOC.doc.{cluster}.none.none"),
            format!("q.scheduler.assignment.{own}"),
        ] {
            let client = &thief.client;
            let asked = client.publish_with_reply(question, target.clone(), "{}".into());
            asked.await?;
        }
    }
    thief.client.flush().await?;
    tokio::time::sleep(NOTED).await;
    for ear in &mut heard {
        while let Some(message) = victim.next(ear, SILENCE).await {
            // The platform itself says what it recorded of this node.
            let forged = message.subject.as_str() != format!("ctl.{other}.recorded");
            ensure!(!forged, "an answer to a thief arrived at {}", message.subject);
        }
    }
    ensure!(
        streams(&scene.platform).await? == before,
        "a stream took an answer to a thief, or was made anew"
    );
    let platform = &scene.platform;
    tokio::task::block_in_place(|| {
        platform.deploy("after", &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"))
    })
    .context("the platform takes orders after a node tried to write facts by a deputy")
}
