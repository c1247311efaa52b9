//! TLS, documents, and the page that shows them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_api_tests::{Platform, expect, text};
use berth_testlog::Failure;
use reqwest::{Certificate, Client, Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn https_is_trusted_through_our_authority_only() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let url = format!("https://{}/health", platform.https);
    let ours = Client::builder()
        .tls_certs_only([Certificate::from_pem(platform.ca_pem.as_bytes())?])
        .build()?;
    let response = ours.get(&url).send().await?;
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, reqwest::Version::HTTP_2)
    );
    assert!(
        Client::new().get(&url).send().await.is_err(),
        "a foreign authority was trusted"
    );

    let mut plain = tokio::net::TcpStream::connect(platform.https).await?;
    plain
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await?;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("this port speaks HTTPS"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_need_nothing_from_outside() -> Result<(), Failure> {
    let platform = Platform::start().await?;
    let document = expect(platform.open(Method::GET, "/openapi.json"), StatusCode::OK).await?;
    assert!(text(&document, "/openapi").starts_with("3.1"));
    let root = platform.open(Method::GET, "/").send().await?;
    assert_eq!(
        (root.status(), root.headers()["location"].to_str()?),
        (StatusCode::TEMPORARY_REDIRECT, "/docs/")
    );
    let page = platform.open(Method::GET, "/docs/").send().await?;
    assert!(
        page.headers()["content-security-policy"]
            .to_str()?
            .contains("default-src 'self'")
    );
    let page = page.text().await?;
    let mut files = 0;
    for part in page
        .split(['"', '\''])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"))
    {
        assert!(!part.contains("//"), "`{part}` is elsewhere");
        let file = platform
            .open(Method::GET, &format!("/docs/{}", part.trim_start_matches("./")))
            .send()
            .await?;
        assert_eq!(file.status(), StatusCode::OK, "{part}");
        files += 1;
    }
    assert!(files >= 3, "{page}");
    let start = platform
        .open(Method::GET, "/docs/swagger-initializer.js")
        .send()
        .await?
        .text()
        .await?;
    assert!(
        start.contains("/openapi.json") && start.contains("\"validatorUrl\": \"none\""),
        "{start}"
    );
    Ok(())
}
