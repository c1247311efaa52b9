//! Applications as texts: stored templates, printed ones, clones.

use berth_events::spec::Parameter;
use berth_ids::{ApplicationId, Name, ReleaseId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Body of `PUT /v1/templates/{template}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveTemplate {
    /// The text of a Compose file, at most 64 KiB. `x-parameters` in it declares its parameters.
    pub text: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// Where a template comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateOrigin {
    /// Somebody stored it.
    Stored,
    /// It comes with Berth.
    Gallery,
}

/// A template in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateItem {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: TemplateOrigin,
    /// Number of its newest version.
    pub number: u32,
    /// What it is for.
    pub description: String,
    /// When that version was stored; absent: it comes with Berth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<Timestamp>,
}

/// A template: `GET /v1/templates/{template}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredTemplate {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: TemplateOrigin,
    /// Number of the version shown.
    pub number: u32,
    /// What it is for.
    pub description: String,
    /// The text.
    pub text: String,
    /// What it asks of whoever deploys it: those that it declares, then every further `${NAME}`.
    pub parameters: Vec<Parameter>,
    /// The versions that are kept, newest first; none of the gallery.
    pub versions: Vec<TemplateVersionItem>,
}

/// A version of a template in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateVersionItem {
    /// 1, 2, 3 … within the name.
    pub number: u32,
    /// When it was stored.
    pub saved_at: Timestamp,
    /// Who stored it.
    pub saved_by: String,
}

/// A stored template to deploy.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSource {
    /// Its name.
    pub name: String,
    /// Which version; absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Values of its parameters.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Chosen profiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

/// An application as a Compose file: `GET /v1/applications/{app}/template`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Template {
    /// The application.
    pub application_id: ApplicationId,
    /// Its name.
    pub name: String,
    /// Its release.
    pub release_id: ReleaseId,
    /// The text.
    pub text: String,
    /// The text holds secret values.
    pub revealed: bool,
}

/// Brings the same application live once more: `POST /v1/applications/{app}/clone`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneApplication {
    /// Cluster to which it goes, by id or name; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Name of the clone; absent: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}
