//! All routes, with what happens to every request.

use crate::{
    app::Shared,
    observe,
    openapi::{self, Document},
    problem::Fault,
    routes::{
        applications, builds, changes, clone, clusters, containers, events, inspect, join, logs, nodes,
        plans, platform, registries, releases, templates, tokens,
    },
};
use axum::{Router, http::StatusCode, middleware, response::IntoResponse};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of the API with their document.
fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(clusters::create_cluster, clusters::list_clusters))
        .routes(routes!(
            clusters::get_cluster,
            clusters::patch_cluster,
            clusters::delete_cluster
        ))
        .routes(routes!(tokens::mint_join_token, tokens::list_join_tokens))
        .routes(routes!(tokens::revoke_join_token))
        .routes(routes!(tokens::mint_token, tokens::list_tokens))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(registries::list_registries))
        .routes(routes!(registries::put_registry, registries::delete_registry))
        .routes(routes!(join::join))
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(nodes::get_node, nodes::patch_node, nodes::delete_node))
        .routes(routes!(nodes::patch_resources))
        .routes(routes!(nodes::cordon_node))
        .routes(routes!(nodes::uncordon_node))
        .routes(routes!(nodes::drain_node))
        .routes(routes!(applications::deploy_application))
        .routes(routes!(applications::check_application))
        .routes(routes!(plans::plan_deploy))
        .routes(routes!(plans::plan_change))
        .routes(routes!(applications::list_applications))
        .routes(routes!(
            applications::get_application,
            applications::update_application,
            changes::delete_application
        ))
        .routes(routes!(applications::get_template))
        .routes(routes!(clone::clone_application))
        .routes(routes!(applications::why_application))
        .routes(routes!(changes::scale))
        .routes(routes!(changes::stop))
        .routes(routes!(changes::start))
        .routes(routes!(changes::restart))
        .routes(routes!(changes::abandon_volume))
        .routes(routes!(releases::list_releases))
        .routes(routes!(releases::get_release))
        .routes(routes!(releases::rollback))
        .routes(routes!(releases::abort_release))
        .routes(routes!(releases::pause_release))
        .routes(routes!(releases::resume_release))
        .routes(routes!(releases::confirm_release))
        .routes(routes!(releases::set_weights))
        .routes(routes!(templates::list_templates))
        .routes(routes!(
            templates::get_stored_template,
            templates::save_template,
            templates::delete_template
        ))
        .routes(routes!(builds::build_image, builds::list_builds))
        .routes(routes!(builds::get_build))
        .routes(routes!(containers::list_containers))
        .routes(routes!(containers::get_container))
        .routes(routes!(containers::why_container))
        .routes(routes!(logs::container_logs))
        .routes(routes!(events::list_events))
        .routes(routes!(inspect::inspect))
        .routes(routes!(platform::status))
        .routes(routes!(platform::top))
        .routes(routes!(platform::command))
        .routes(routes!(platform::health))
}

/// Everything that is served.
///
/// # Errors
/// The document has no JSON form.
pub(crate) fn router(app: Shared) -> Result<Router, serde_json::Error> {
    let (routes, document) = api().split_for_parts();
    let document = openapi::complete(&document)?;
    Ok(routes
        .merge(openapi::routes(&document))
        .fallback(|| async { no_route() })
        .method_not_allowed_fallback(|| async { no_method() })
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(middleware::from_fn(observe::observe))
        .with_state(app))
}

/// Nothing is at this path.
pub(crate) fn no_route() -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "request.no_route",
        "nothing is at this path",
    )
    .cure("see /docs for what is there")
}

fn no_method() -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "request.method",
        "this path does not know the method",
    )
    .cure("see /docs for the methods of this path")
}

fn panicked() -> axum::response::Response {
    tracing::error!("a handler panicked");
    Fault::internal("the request could not be answered").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn document() -> Value {
        openapi::complete(&api().split_for_parts().1).unwrap()
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.push(target.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "`{target}` leads nowhere");
        }
    }

    #[test]
    fn every_operation_says_what_it_is_and_how_it_fails() {
        let document = document();
        let mut operations = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = format!("{method} {path}");
                operations += 1;
                assert!(operation["summary"].is_string(), "{name} has no summary");
                assert!(operation["operationId"].is_string(), "{name} has no id");
                if path.starts_with("/v1/") {
                    let responses = operation["responses"].as_object().unwrap();
                    assert!(responses.contains_key("503"), "{name}");
                    assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
                    assert_eq!(responses.contains_key("504"), method != "get", "{name}");
                }
            }
        }
        assert!(operations > 35, "{operations}");
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = document();
        let mut seen = std::collections::BTreeSet::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(seen.insert(id.clone()), "`{id}` is taken twice");
            }
        }
    }
}
