//! What a change would do, over real services: nothing is stored, and a deploy then does what was said.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_api_tests::{Platform, text};
use berth_testlog::{Failure, eventually};
use serde_json::{Value, json};

const PLANTED: &str = "planted-value-71c3";

fn shop(image: &str, password: &str, replicas: u32) -> Value {
    json!({ "compose": { "file_name": "shop.yml", "text": format!(
        "name: shop\nservices:\n  web:\n    image: {image}\n    deploy:\n      replicas: {replicas}\n    \
         environment:\n      PASSWORD: {password}\n"
    ) } })
}

/// What stands in the log and in the vault.
async fn stored(platform: &Platform) -> Result<(i64, i64), Failure> {
    let admin = platform.log.admin().await?;
    let counts = sqlx::query_as(
        "select (select count(*) from es.event where category in ('name', 'application', 'placement', 'secret')), \
         (select count(*) from vault.version)",
    );
    Ok(counts.fetch_one(&admin).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_stores_nothing_and_says_what_a_deploy_does() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    platform.cluster("main").await?;
    platform.join("main", "n1").await?;
    let before = stored(&platform).await?;
    let planned = platform
        .post("/v1/clusters/main/plan", shop("nginx:1", PLANTED, 2), 200)
        .await?;
    assert_eq!(stored(&platform).await?, before, "a plan stores nothing");
    assert_eq!(planned["plan"]["counts"]["create"], 2);
    assert_eq!(text(&planned, "/plan/containers/0/to"), "n1");
    assert_eq!(planned["plan"]["pulls"], json!({ "nginx:1": ["n1"] }));
    assert!(!planned.to_string().contains(PLANTED));

    platform
        .post("/v1/clusters/main/applications", shop("nginx:1", PLANTED, 2), 202)
        .await?;
    eventually("both are placed", || async {
        let containers = platform.get("/v1/containers?application=shop").await.ok()?;
        (containers["items"].as_array()?.len() == 2).then_some(())
    })
    .await?;
    let before = stored(&platform).await?;
    let same = platform
        .post("/v1/clusters/main/plan", shop("nginx:1", PLANTED, 2), 200)
        .await?;
    assert_eq!(same["plan"]["changed"], false, "{same}");
    let other = platform
        .post("/v1/clusters/main/plan", shop("nginx:2", "another", 2), 200)
        .await?;
    let keys = other["plan"]["model"]["keys"].as_array().unwrap();
    let paths: Vec<&str> = keys.iter().filter_map(|key| key["path"].as_str()).collect();
    assert_eq!(paths, ["services.web.environment.PASSWORD", "services.web.image"]);
    assert_eq!(other["plan"]["counts"]["replace"], 2);
    let scaled = platform
        .post(
            "/v1/applications/shop/plan",
            json!({ "scale": { "web": 1 } }),
            200,
        )
        .await?;
    assert_eq!(scaled["plan"]["counts"]["remove"], 1);
    let refused = platform
        .post(
            "/v1/applications/shop/plan",
            json!({ "scale": { "nothing": 1 } }),
            404,
        )
        .await?;
    assert_eq!(text(&refused, "/code"), "application.unknown_service");
    assert_eq!(stored(&platform).await?, before, "a plan stores nothing");
    Ok(())
}
