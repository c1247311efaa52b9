//! The bridge from the types to the OpenAPI document.
//!
//! OpenAPI 3.1 takes JSON Schema as it is, so `schemars` describes every type, those of the log included,
//! and `utoipa` only refers to them by name.

use crate::*;
use berth_events::ServiceHealth;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, schema::Schema},
};

macro_rules! api_types {
    ($($ty:ty,)*) => {
        $(
            impl PartialSchema for $ty {
                fn schema() -> RefOr<Schema> {
                    RefOr::Ref(Ref::from_schema_name(<$ty as JsonSchema>::schema_name()))
                }
            }
            impl ToSchema for $ty {
                fn name() -> Cow<'static, str> {
                    <$ty as JsonSchema>::schema_name()
                }
            }
        )*

        /// The JSON Schemas of all types of the API, by name: `components.schemas` of the document.
        pub fn components() -> Map<String, Value> {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            });
            let mut generator = settings.into_generator();
            $( generator.subschema_for::<$ty>(); )*
            generator.take_definitions(true)
        }
    };
}

/// A page of clusters.
pub type ClusterPage = Page<Cluster>;
/// A page of nodes.
pub type NodePage = Page<Node>;
/// A page of applications.
pub type ApplicationPage = Page<Application>;
/// A page of containers.
pub type ContainerPage = Page<Container>;
/// A page of tokens.
pub type TokenPage = Page<Token>;
/// A page of templates.
pub type TemplatePage = Page<TemplateItem>;
/// A page of builds.
pub type BuildPage = Page<Build>;
/// A page of events.
pub type EventPage = Page<Event>;

api_types! {
    Problem, Diagnostic, Written,
    CreateCluster, PatchCluster, Cluster, ClusterPage,
    MintJoinToken, MintApiToken, MintedToken, Token, TokenPage,
    RegistryLogin, Registry, Registries,
    JoinRequest, JoinAnswer, Node, NodePage, PatchNode, PatchResources, CordonNode, DrainNode,
    Deploy, Deployed, Checked, Planned, PlanChange, Application, ApplicationPage, Scale, Restart, AbandonVolume,
    Template, Why, CloneApplication,
    Releases, ReleaseDetail, Rollback, ConfirmRelease, Weights,
    Container, ContainerPage, ContainerWhy, LogLine,
    Event, EventPage,
    SaveTemplate, StoredTemplate, TemplatePage,
    BuildForm, Build, BuildPage, BuildLine,
    Status, Top, CommandReport, Inspection, Health,
}

/// Health of this process, as `GET /health` answers it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Health(pub ServiceHealth);

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.push(target.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_component() {
        let components = components();
        let mut found = Vec::new();
        references(&Value::Object(components.clone()), &mut found);
        assert!(found.len() > 50, "{} references", found.len());
        for target in found {
            let name = target.strip_prefix("#/components/schemas/").unwrap();
            assert!(components.contains_key(name), "`{target}` leads nowhere");
        }
    }

    #[test]
    fn no_two_types_share_a_name() {
        // schemars numbers the second of two types with one name.
        for name in components().keys() {
            assert!(
                !name.ends_with(|c: char| c.is_ascii_digit()),
                "`{name}` is taken twice"
            );
        }
    }

    #[test]
    fn utoipa_refers_to_the_names_of_schemars() {
        let components = components();
        for name in [<ClusterPage as ToSchema>::name(), <Written as ToSchema>::name()] {
            assert!(components.contains_key(name.as_ref()), "{name}");
        }
    }
}
