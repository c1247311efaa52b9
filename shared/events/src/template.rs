//! Events of stored templates; written by scheduler-svc.

use crate::{Category, StreamName, macros::events};
use berth_ids::{Name, TemplateId, Uuid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

events! {
    /// What happened to a stored template.
    TemplateEvent in crate::Category::Template;
    Saved(TemplateSaved) = "template.saved", v 1;
    Removed(TemplateRemoved) = "template.removed", v 1;
}

/// A version of a template was stored. The text holds no secret: values come with a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateSaved {
    /// Its name, unique in the account.
    pub name: Name,
    /// 1, 2, 3 … within the name, also after it was removed.
    pub number: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The text of a Compose file.
    pub text: String,
}

/// A template was forgotten with all its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRemoved {
    /// Its name.
    pub name: Name,
}

/// The template of a name; names are compared without case.
pub fn template_id(tenant: &str, name: &Name) -> TemplateId {
    let text = format!("template/{tenant}/{}", name.as_str().to_lowercase());
    TemplateId::from(Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()))
}

/// The stream of a template.
pub fn template_stream(id: TemplateId) -> StreamName {
    StreamName::new(Category::Template, id)
}
