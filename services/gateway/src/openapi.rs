//! The OpenAPI document and the page that shows it, from this process alone.

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::Config;

/// Where the page is.
const DOCS: &str = "/docs/";
/// Where the document is.
const DOCUMENT: &str = "/openapi.json";
/// What the page may load: nothing from elsewhere.
const CONTENT_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Berth",
        description = "Servers with a Docker Engine become clusters, Compose files become running applications.\n\n\
            Every write answers with a `position`; a read that sends it as `Min-Position` shows the write. \
            Every error is `application/problem+json` with a stable `code` and, where there is one, a `cure`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    security(("token" = [])),
    tags(
        (name = "clusters", description = "Groups of nodes in a region"),
        (name = "nodes", description = "Servers with a Docker Engine and the agent"),
        (name = "applications", description = "What Compose files become"),
        (name = "templates", description = "Stored Compose files with parameters, and the gallery"),
        (name = "containers", description = "Allocations as their agents see them"),
        (name = "events", description = "The log"),
        (name = "tokens", description = "Who may join and who may call"),
        (name = "registries", description = "Logins with which nodes pull images"),
        (name = "builds", description = "Images that nodes make"),
        (name = "platform", description = "Berth itself")
    )
)]
pub(crate) struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("berth-api-<id>.<secret>");
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// The whole document: routes from `utoipa`, shapes from `berth-api`, what all routes share from here.
pub(crate) fn complete(document: &utoipa::openapi::OpenApi) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(document)?;
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("schemas".into(), Value::Object(berth_api::schema::components()));
        components.insert("responses".into(), Value::Object(shared_responses()));
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, methods) in paths {
            for (method, operation) in methods.as_object_mut().into_iter().flatten() {
                if let Some(operation) = operation.as_object_mut() {
                    complete_operation(path, method, operation);
                }
            }
        }
    }
    Ok(document)
}

/// Errors that any route may answer, by status.
const ERRORS: [(u16, &str, When); 13] = [
    (400, "The request does not make sense", When::Always),
    (
        401,
        "The token is missing, wrong, expired or revoked",
        When::Token,
    ),
    (403, "The token does not open this", When::Always),
    (
        404,
        "There is no such object, or it may not be seen",
        When::Always,
    ),
    (408, "The body came too slowly", When::Write),
    (409, "The state forbids it", When::Always),
    (
        412,
        "`If-Match` names another version than the object's",
        When::Write,
    ),
    (413, "The body or the command is too large", When::Write),
    (415, "The body is not said to be JSON", When::Write),
    (
        422,
        "The content breaks a rule, or the key was used for another request",
        When::Write,
    ),
    (429, "Too many requests", When::Always),
    (
        503,
        "Not now: a service is away, or the read model is behind `Min-Position`",
        When::Always,
    ),
    (
        504,
        "The outcome is not known; `command_id` names the command",
        When::Write,
    ),
];

/// Which routes may answer an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Token,
    Write,
}

fn shared_responses() -> Map<String, Value> {
    let problem =
        json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let responses = ERRORS.iter().map(|(status, description, _)| {
        (
            format!("Problem{status}"),
            json!({ "description": description, "content": problem.clone() }),
        )
    });
    responses.collect()
}

/// A change answers with the version that the next one can be checked against.
fn name_etag(responses: &mut Map<String, Value>) {
    for response in responses.values_mut().filter_map(Value::as_object_mut) {
        let header = json!({
            "description": "Version after the change, for `If-Match`; absent if nothing was to be changed",
            "schema": { "type": "string" },
        });
        response.insert("headers".to_owned(), json!({ "ETag": header }));
    }
}

fn complete_operation(path: &str, method: &str, operation: &mut Map<String, Value>) {
    if !path.starts_with("/v1/") {
        return;
    }
    let write = method != "get";
    let open = path == "/v1/join";
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        if method == "patch" {
            name_etag(responses);
        }
        for (status, _, when) in ERRORS {
            let applies = match when {
                When::Always => true,
                When::Token => !open,
                When::Write => write,
            };
            if applies {
                let reference = format!("#/components/responses/Problem{status}");
                responses
                    .entry(status.to_string())
                    .or_insert_with(|| json!({ "$ref": reference }));
            }
        }
    }
    let headers: &[(&str, &str, Value)] = &match (write, open) {
        (true, false) => vec![
            (
                "Idempotency-Key",
                "The same key with the same request is carried out once",
                json!({ "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$" }),
            ),
            (
                "If-Match",
                "`ETag` of the object: refused with 412 if it has changed since",
                json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,19}\")$" }),
            ),
        ],
        (true, true) => vec![],
        (false, _) => vec![(
            "Min-Position",
            "The answer shows everything up to this position",
            json!({ "type": "integer", "minimum": 0 }),
        )],
    };
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        for (name, description, schema) in headers {
            parameters.push(json!({
                "name": name, "in": "header", "required": false, "description": description, "schema": schema,
            }));
        }
    }
}

/// Routes of the document and the page.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: &Value) -> axum::Router<S> {
    let text: Arc<str> = document.to_string().into();
    let config = Arc::new(
        Config::from(DOCUMENT)
            .validator_url("none")
            .persist_authorization(false)
            .display_request_duration(true)
            .try_it_out_enabled(true),
    );
    let index = config.clone();
    axum::Router::new()
        .route("/", axum::routing::get(|| async { Redirect::temporary(DOCS) }))
        .route(
            "/docs",
            axum::routing::get(|| async { Redirect::permanent(DOCS) }),
        )
        .route(DOCS, axum::routing::get(|| async move { file("", index) }))
        .route(
            "/docs/{*file}",
            axum::routing::get(|Path(path): Path<String>| async move { file(&path, config) }),
        )
        .route(
            DOCUMENT,
            axum::routing::get(
                || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) },
            ),
        )
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => {
            let media = HeaderValue::from_str(&file.content_type)
                .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
            let mut response = (StatusCode::OK, file.bytes.into_owned()).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, media);
            response.headers_mut().insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(CONTENT_POLICY),
            );
            response
        }
        Ok(None) => crate::router::no_route().into_response(),
        Err(error) => crate::problem::Fault::internal(error.to_string()).into_response(),
    }
}
