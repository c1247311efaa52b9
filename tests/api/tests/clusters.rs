//! Clusters, errors, idempotency, pages, tokens.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_api_tests::{Platform, expect, text};
use berth_testlog::Failure;
use reqwest::{Method, StatusCode};
use serde_json::json;

const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_shown_changed_and_deleted() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let made = platform.cluster("shop").await?;
    let shown = platform.get_at("/v1/clusters/shop", &made["position"]).await?;
    assert_eq!(
        (shown["id"].clone(), text(&shown, "/state")),
        (made["id"].clone(), "inactive".into())
    );

    let taken = platform
        .post("/v1/clusters", json!({ "name": "SHOP" }), 409)
        .await?;
    assert!(taken["cure"].is_string() && taken["code"].is_string(), "{taken}");

    let response = platform.root(Method::GET, "/v1/clusters/shop").send().await?;
    let etag = response.headers()["etag"].to_str()?.to_owned();
    let patch = |etag: &str| {
        platform
            .root(Method::PATCH, "/v1/clusters/shop")
            .header("if-match", etag)
            .json(&json!({ "policy": "open" }))
    };
    expect(patch("\"77\""), StatusCode::PRECONDITION_FAILED).await?;
    let answer = patch(&etag).send().await?;
    assert_eq!(answer.status(), StatusCode::OK);
    let after = answer.headers()["etag"].to_str()?.to_owned();
    let changed: serde_json::Value = answer.json().await?;
    let same = patch(&after).send().await?;
    assert_eq!(
        (same.status(), same.headers()["etag"].to_str()?),
        (StatusCode::OK, after.as_str()),
        "nothing was to be changed"
    );
    expect(patch(&etag), StatusCode::PRECONDITION_FAILED).await?;
    let shown = platform.get_at("/v1/clusters/shop", &changed["position"]).await?;
    assert_eq!(text(&shown, "/policy"), "open");

    let renamed = expect(
        platform
            .root(Method::PATCH, "/v1/clusters/shop")
            .json(&json!({ "name": "store" })),
        StatusCode::OK,
    )
    .await?;
    platform
        .get_at("/v1/clusters/store", &renamed["position"])
        .await?;
    expect(
        platform.root(Method::GET, "/v1/clusters/shop"),
        StatusCode::NOT_FOUND,
    )
    .await?;
    let gone = expect(
        platform.root(Method::DELETE, "/v1/clusters/store"),
        StatusCode::ACCEPTED,
    )
    .await?;
    assert_eq!(gone["id"], made["id"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_does_it_once_and_a_key_is_for_one_request() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let create = |name: &str| {
        platform
            .root(Method::POST, "/v1/clusters")
            .header("idempotency-key", "k1")
            .json(&json!({ "name": name }))
    };
    let first = expect(create("shop"), StatusCode::CREATED).await?;
    let again = expect(create("shop"), StatusCode::CREATED).await?;
    assert_eq!(first, again);
    let reused = expect(create("other"), StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert_eq!(text(&reused, "/code"), "command.key_reused");
    let report = platform
        .get(&format!("/v1/commands/{}", text(&first, "/command_id")))
        .await?;
    assert_eq!(text(&report, "/outcome/outcome"), "accepted");
    let list = platform.get_at("/v1/clusters", &first["position"]).await?;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);

    let mint = || {
        let request = platform
            .root(Method::POST, "/v1/tokens")
            .header("idempotency-key", "k2");
        request.json(&json!({ "scopes": ["read"] }))
    };
    expect(mint(), StatusCode::CREATED).await?;
    // The first answer's secret is the good one; a second text would open nothing.
    let again = expect(mint(), StatusCode::CONFLICT).await?;
    assert_eq!(text(&again, "/code"), "token.already_minted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_a_problem() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let cases = [
        (platform.root(Method::GET, "/v1/nothing"), 404, "request.no_route"),
        (platform.root(Method::PUT, "/v1/clusters"), 405, "request.method"),
        (
            platform.open(Method::GET, "/v1/clusters"),
            401,
            "access.token_missing",
        ),
        (
            platform.open(Method::GET, "/v1/clusters").bearer_auth("x"),
            401,
            "access.token_shape",
        ),
        (
            platform.root(Method::GET, "/v1/clusters?limit=0"),
            400,
            "page.invalid",
        ),
        (
            platform.root(Method::GET, "/v1/clusters?limti=1"),
            400,
            "request.query",
        ),
        (
            platform.root(Method::GET, "/v1/clusters?cursor=x"),
            400,
            "page.invalid",
        ),
        (
            platform
                .root(Method::GET, "/v1/clusters")
                .header("min-position", "999999"),
            400,
            "request.min_position",
        ),
        (
            platform.root(Method::GET, "/v1/clusters/none"),
            404,
            "cluster.not_found",
        ),
        (
            platform.root(Method::POST, "/v1/clusters").body("{}"),
            415,
            "request.media_type",
        ),
        (
            platform
                .root(Method::POST, "/v1/clusters")
                .header("content-type", "application/json")
                .body("{"),
            400,
            "request.json",
        ),
        (
            platform
                .root(Method::POST, "/v1/clusters")
                .json(&json!({ "name": "-" })),
            422,
            "request.shape",
        ),
        (
            platform
                .root(Method::POST, "/v1/clusters")
                .json(&json!({ "name": "x".repeat(5 << 20) })),
            413,
            "request.too_large",
        ),
        (
            platform.root(Method::GET, "/v1/events?since=tomorrow"),
            400,
            "events.since",
        ),
    ];
    for (request, status, code) in cases {
        let response = request.send().await?;
        let url = response.url().clone();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{url}"
        );
        assert_eq!(response.status().as_u16(), status, "{url}");
        let problem: berth_api::Problem = response.json().await?;
        assert_eq!((problem.code.as_str(), problem.status), (code, status), "{url}");
    }
    let wrong = platform.open(Method::GET, "/v1/clusters");
    let wrong = wrong.bearer_auth(format!("berth-api-{}.wrong", "0".repeat(32)));
    expect(wrong, UNAUTHORIZED).await?;
    let allowed = platform.root(Method::PUT, "/v1/clusters").send().await?;
    assert!(allowed.headers()["allow"].to_str()?.contains("POST"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_join_to_the_list_and_tokens_open_what_they_say() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let mut last = json!(0);
    for name in ["c", "a", "b"] {
        last = platform.cluster(name).await?["position"].clone();
    }
    let first = platform.get_at("/v1/clusters?limit=2", &last).await?;
    let cursor = text(&first, "/next_cursor");
    let second = platform
        .get(&format!("/v1/clusters?limit=2&cursor={cursor}"))
        .await?;
    let names = [
        text(&first, "/items/0/name"),
        text(&first, "/items/1/name"),
        text(&second, "/items/0/name"),
    ];
    assert_eq!(names, ["a", "b", "c"]);
    assert!(second["next_cursor"].is_null());

    let reader = platform.token(&["read"], &[]).await?;
    let as_reader = |method, path: &str| platform.open(method, path).bearer_auth(&reader);
    expect(as_reader(Method::GET, "/v1/clusters"), StatusCode::OK).await?;
    let create = as_reader(Method::POST, "/v1/clusters").json(&json!({ "name": "x" }));
    expect(create, StatusCode::FORBIDDEN).await?;
    expect(as_reader(Method::GET, "/v1/tokens"), StatusCode::FORBIDDEN).await?;

    let confined = platform.token(&["admin"], &["a"]).await?;
    let as_confined = |method, path: &str| platform.open(method, path).bearer_auth(&confined);
    let seen = expect(as_confined(Method::GET, "/v1/clusters"), StatusCode::OK).await?;
    assert_eq!(
        (
            text(&seen, "/items/0/name"),
            seen["items"].as_array().unwrap().len()
        ),
        ("a".into(), 1)
    );
    expect(as_confined(Method::GET, "/v1/clusters/b"), StatusCode::NOT_FOUND).await?;
    let events = expect(as_confined(Method::GET, "/v1/events"), StatusCode::OK).await?;
    assert!(!events.to_string().contains("\"name\":\"b\""), "{events}");
    let wider = as_confined(Method::POST, "/v1/tokens").json(&json!({ "scopes": ["read"] }));
    let wider = expect(wider, StatusCode::CREATED).await?;
    let list = expect(
        as_confined(Method::GET, "/v1/tokens").header("min-position", wider["position"].to_string()),
        StatusCode::OK,
    )
    .await?;
    let made = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["id"] == wider["id"]);
    assert_eq!(made.unwrap()["clusters"].as_array().unwrap().len(), 1, "{list}");

    let id = text(&wider, "/id");
    expect(
        platform.root(Method::DELETE, &format!("/v1/tokens/{id}")),
        StatusCode::OK,
    )
    .await?;
    let revoked = platform
        .open(Method::GET, "/v1/clusters")
        .bearer_auth(text(&wider, "/token"));
    expect(revoked, UNAUTHORIZED).await?;
    Ok(())
}
