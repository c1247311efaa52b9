//! Nodes, applications, secrets, events, logs.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_api_tests::{Platform, expect, text};
use berth_bus::subject;
use berth_events::{Credit, Frame, FrameBody, OpenLogs};
use berth_ids::NodeId;
use berth_testlog::{Failure, eventually};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PLANTED: &str = "planted-value-5d1e";

fn compose(text: &str) -> Value {
    json!({ "compose": { "file_name": "shop.yml", "text": text } })
}

fn shop(image: &str) -> Value {
    compose(&format!(
        "name: shop\nservices:\n  web:\n    image: {image}\n    environment:\n      PASSWORD: {PLANTED}\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_joins_once_and_is_operated() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    platform.cluster("main").await?;
    let body = platform.join_body("main", "n1").await?;
    let join = |body: &Value| platform.open(Method::POST, "/v1/join").json(body);
    let mut wrong = body.clone();
    wrong["secret"] = json!("wrong");
    let refused = expect(join(&wrong), StatusCode::FORBIDDEN).await?;
    assert!(refused["code"].is_string());
    let first = expect(join(&body), StatusCode::CREATED).await?;
    // The answer was lost: the agent asks again, and has measured anew meanwhile.
    let mut again = body.clone();
    again["facts"]["disk_bytes"] = json!(1);
    let second = expect(join(&again), StatusCode::CREATED).await?;
    assert_eq!(first["node_id"], second["node_id"]);
    assert_eq!(text(&first, "/name"), "n1");
    assert!(text(&first, "/user_jwt").starts_with("ey"), "{first}");

    let nodes = platform
        .get_at("/v1/nodes?cluster=main", &second["position"])
        .await?;
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
    assert_eq!(text(&nodes, "/items/0/status"), "ready");
    assert_eq!(
        text(&platform.get("/v1/clusters/main").await?, "/state"),
        "running"
    );
    let mut other = body.clone();
    other["node_id"] = json!(berth_service_kit::new_id::<NodeId>());
    let used = join(&other).send().await?.status();
    assert!(
        used.is_client_error(),
        "a token for one server was used twice: {used}"
    );

    let cordoned = platform
        .post("/v1/nodes/n1/cordon", json!({ "reason": "new disk" }), 200)
        .await?;
    let node = platform.get_at("/v1/nodes/n1", &cordoned["position"]).await?;
    assert_eq!(
        (text(&node, "/status"), text(&node, "/reason")),
        ("cordoned".into(), "new disk".into())
    );
    platform.post("/v1/nodes/n1/uncordon", json!({}), 200).await?;
    let labels = platform
        .root(Method::PATCH, "/v1/nodes/n1")
        .json(&json!({ "set": { "gpu": "1" }, "remove": ["disk"] }));
    let labelled = expect(labels, StatusCode::OK).await?;
    let node = platform.get_at("/v1/nodes/n1", &labelled["position"]).await?;
    assert_eq!(node["labels"], json!({ "gpu": "1" }));
    let drained = platform
        .post("/v1/nodes/n1/drain", json!({ "deadline_seconds": 60 }), 202)
        .await?;
    let node = platform.get_at("/v1/nodes/n1", &drained["position"]).await?;
    assert!(node["drain"]["deadline_at"].is_string(), "{node}");
    let inspected = platform.get("/v1/inspect/n1").await?;
    assert_eq!(text(&inspected, "/kind"), "node");
    assert!(inspected["events"].to_string().contains("node.drain_started"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_deployed_without_its_secrets() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    platform.cluster("main").await?;
    let path = "/v1/clusters/main/applications";
    let deployed = platform.post(path, shop("nginx:1"), 202).await?;
    assert!(deployed["release_id"].is_string(), "{deployed}");
    let shown = platform
        .get_at("/v1/applications/shop", &deployed["position"])
        .await?;
    assert_eq!(text(&shown, "/services/0/image"), "nginx:1");
    let unchanged = platform.post(path, shop("nginx:1"), 202).await?;
    assert_eq!(unchanged["application_id"], deployed["application_id"]);
    assert!(
        unchanged["release_id"].is_null(),
        "the same file is no new release: {unchanged}"
    );

    // No node: it waits, and says why.
    let pending = eventually("the reason", || async {
        let why = platform.get("/v1/applications/shop/why").await.ok()?;
        why["services"][0]["pending"]["summary"]
            .is_string()
            .then_some(why)
    })
    .await?;
    assert_eq!(text(&pending, "/status"), "pending", "{pending}");

    let template = platform.get("/v1/applications/shop/template").await?;
    assert!(!template.to_string().contains(PLANTED), "{template}");
    // What the template does not show is kept when it is deployed again.
    let again = json!({ "compose": { "file_name": "shop.yml", "text": text(&template, "/text") } });
    let kept = platform.post(path, again, 202).await?;
    assert!(kept["release_id"].is_null(), "nothing has changed: {kept}");
    let reader = platform.token(&["read"], &[]).await?;
    let reveal = "/v1/applications/shop/template?reveal=true";
    expect(
        platform.open(Method::GET, reveal).bearer_auth(&reader),
        StatusCode::FORBIDDEN,
    )
    .await?;
    let template = platform.get(reveal).await?;
    assert!(text(&template, "/text").contains(PLANTED), "{template}");
    for path in [
        "/v1/events?limit=500",
        "/v1/inspect/shop",
        "/v1/applications/shop",
    ] {
        let answer = platform.get(path).await?.to_string();
        assert!(!answer.contains(PLANTED), "{path}: {answer}");
    }
    let admin = platform.log.admin().await?;
    let rows: Vec<(String,)> = sqlx::query_as("select body::text from svc_gateway.row")
        .fetch_all(&admin)
        .await?;
    assert!(!rows.is_empty() && rows.iter().all(|(row,)| !row.contains(PLANTED)));

    let scaled = platform
        .post(
            "/v1/applications/shop/scale",
            json!({ "service": "web", "replicas": 3 }),
            202,
        )
        .await?;
    let shown = platform
        .get_at("/v1/applications/shop", &scaled["position"])
        .await?;
    assert_eq!(shown["services"][0]["wanted"], 3);
    let stopped = platform
        .post("/v1/applications/shop/stop", json!({}), 202)
        .await?;
    let shown = platform
        .get_at("/v1/applications/shop", &stopped["position"])
        .await?;
    assert_eq!(text(&shown, "/status"), "stopped");
    let twice = platform
        .post(&format!("{path}?must_exist=false"), shop("nginx:2"), 409)
        .await?;
    assert!(twice["code"].is_string());
    expect(
        platform.root(Method::DELETE, "/v1/applications/shop"),
        StatusCode::ACCEPTED,
    )
    .await?;
    eventually("the application is gone", || async {
        let response = platform
            .root(Method::GET, "/v1/applications/shop")
            .send()
            .await
            .ok()?;
        (response.status() == StatusCode::NOT_FOUND).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_names_its_places() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    platform.cluster("main").await?;
    let path = "/v1/clusters/main/applications";
    let refused = platform
        .post(
            path,
            compose("name: shop\nservices:\n  web:\n    image: nginx\n    privileged: true\n"),
            422,
        )
        .await?;
    assert_eq!(text(&refused, "/code"), "compose.policy");
    assert_eq!(refused["errors"][0]["line"], 5);
    assert!(
        text(&refused, "/errors/0/cure").contains("administrator"),
        "{refused}"
    );
    let broken =
        compose("name: shop\nservices:\n  web:\n    image: nginx\n    ports: ['99999:80']\n  db: {}\n");
    let refused = platform.post(path, broken.clone(), 422).await?;
    assert!(refused["errors"].as_array().unwrap().len() >= 2, "{refused}");
    let checked = platform.post("/v1/applications:check", broken, 200).await?;
    assert_eq!(checked["valid"], false);
    let checked = platform
        .post("/v1/applications:check", shop("nginx"), 200)
        .await?;
    assert_eq!(
        (&checked["valid"], text(&checked, "/name")),
        (&json!(true), "shop".into())
    );
    assert!(!checked.to_string().contains(PLANTED));
    let neither = platform.post(path, json!({ "name": "x" }), 422).await?;
    assert_eq!(text(&neither, "/code"), "deploy.source");
    let run = json!({ "image": { "image": "nginx:1", "ports": ["8080:80"] } });
    let run = platform.post(path, run, 202).await?;
    assert_eq!(text(&run, "/name"), "nginx");
    Ok(())
}

/// Ids and types of a stream's first events.
async fn stream_of(response: reqwest::Response, count: usize) -> Result<Vec<(u64, String)>, Failure> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut body, mut text, mut found) = (response.bytes_stream(), String::new(), Vec::new());
    while found.len() < count {
        let chunk = tokio::time::timeout(berth_testlog::PATIENCE, body.next()).await?;
        text.push_str(std::str::from_utf8(&chunk.ok_or("the stream ended")??)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix(name).map(str::to_owned))
            };
            if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                let data: Value = serde_json::from_str(&data)?;
                assert_eq!(data["sequence"].to_string(), id);
                found.push((id.parse()?, data["type"].as_str().unwrap().to_owned()));
            }
            text = rest.to_owned();
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_paged_filtered_and_followed_without_a_hole() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let first = platform.cluster("a").await?;
    let follow = |query: &str, last: Option<u64>| {
        let request = platform.root(Method::GET, &format!("/v1/events?{query}"));
        let request = request.header("accept", "text/event-stream");
        match last {
            Some(last) => request.header("last-event-id", last.to_string()),
            None => request,
        }
    };
    let stream = follow("since=0&type=cluster.*", None).send().await?;
    let reading = tokio::spawn(stream_of(stream, 3));
    platform.cluster("b").await?;
    platform.cluster("c").await?;
    let seen = reading.await??;
    assert!(seen.iter().all(|(_, name)| name == "cluster.created"), "{seen:?}");
    let resumed = stream_of(follow("type=cluster.*", Some(seen[0].0)).send().await?, 2).await?;
    assert_eq!(resumed, seen[1..]);

    let mut paged = Vec::new();
    let mut next = "/v1/events?type=cluster.created&limit=2".to_owned();
    loop {
        let page = platform.get_at(&next, &first["position"]).await?;
        paged.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["sequence"].as_u64().unwrap()),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/v1/events?type=cluster.created&limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, seen.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    let about = platform.get("/v1/events?cluster=b").await?;
    assert_eq!(about["items"].as_array().unwrap().len(), 1, "{about}");
    let recent = platform.get("/v1/events?since=1h&type=cluster.*").await?;
    assert_eq!(recent["items"].as_array().unwrap().len(), 3);
    let last = platform.get("/v1/events?last=1&type=cluster.*").await?;
    assert_eq!(last["items"][0]["sequence"].as_u64(), Some(seen[2].0));
    let status = platform.get("/v1/status").await?;
    assert!(
        status["silent"]
            .as_array()
            .unwrap()
            .iter()
            .all(|service| service == "lb"),
        "{status}"
    );
    let top = platform.get("/v1/top").await?;
    assert_eq!(top["nodes"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_in_order_or_end_with_a_reason() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    platform.cluster("main").await?;
    let joined = platform.join("main", "n1").await?;
    platform
        .post("/v1/clusters/main/applications", shop("nginx"), 202)
        .await?;
    let container = eventually("a placement", || async {
        let list = platform.get("/v1/containers").await.ok()?;
        list["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await?;
    let why = platform.get(&format!("/v1/containers/{container}/why")).await?;
    assert!(why["explanation"].as_array().unwrap().len() >= 2, "{why}");
    let node: NodeId = text(&joined, "/node_id").parse()?;
    // The agent's side of the session, by the contract.
    let agent = berth_bus::Bus::connect(&berth_bus::BusOptions {
        url: platform.log.services().nats_url(),
        user: node.to_string(),
        credentials: Some(platform.credentials(&joined)),
        ca: None,
    })
    .await?;
    let mut orders = agent.client().subscribe(subject::control(node, "logs")).await?;
    agent.client().flush().await?;
    let hole = tokio::spawn(async move {
        for numbers in [vec![1, 2, 3], vec![1, 3]] {
            let order = orders.next().await.unwrap();
            let order: OpenLogs = serde_json::from_slice(&order.payload).unwrap();
            let mut credit = agent
                .client()
                .subscribe(subject::terminal(node, &order.session, "in"))
                .await
                .unwrap();
            let granted: Credit = serde_json::from_slice(&credit.next().await.unwrap().payload).unwrap();
            assert_eq!(granted, Credit::UpTo { number: 8 });
            for number in numbers {
                let body = match number {
                    3 => FrameBody::End { error: None },
                    number => FrameBody::Data {
                        stream: "stdout".into(),
                        bytes: STANDARD.encode(format!("line {number}\nhalf ")),
                    },
                };
                agent
                    .tell(
                        subject::terminal(node, &order.session, "out"),
                        &Frame { number, body },
                    )
                    .await
                    .unwrap();
            }
            // The connection ends with this task: nothing may be left in it.
            agent.client().flush().await.unwrap();
        }
    });
    let path = format!("/v1/containers/{container}/logs?follow=true");
    let read = || async { Ok::<_, Failure>(platform.root(Method::GET, &path).send().await?.text().await?) };
    let whole = read().await?;
    let lines: Vec<Value> = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["line 1", "half line 2", "half "]);
    let holed = read().await?;
    let last: Value = serde_json::from_str(holed.lines().last().unwrap())?;
    assert_eq!(last["stream"], "error");
    assert!(
        last["text"]
            .as_str()
            .unwrap()
            .contains("frame 3 came where 2 was due"),
        "{last}"
    );
    hole.await?;
    Ok(())
}
