//! Stored templates: the newest versions of each.

use crate::{Access, ApiView, FindError, MAX_TEMPLATE_VERSIONS, PageRequest};
use berth_api::{StoredTemplate, TemplateItem, TemplateOrigin, TemplateVersionItem};
use berth_events::{Recorded, TemplateSaved, template_id};
use berth_ids::{Name, Timestamp};
use serde::{Deserialize, Serialize};

/// A stored template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRow {
    /// Account that owns it.
    pub tenant: String,
    /// Its newest versions, oldest first; never empty.
    pub versions: Vec<TemplateVersion>,
    /// Version of its stream.
    pub version: u64,
}

/// A version of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateVersion {
    /// Its name then.
    pub name: Name,
    /// 1, 2, 3 … within the name.
    pub number: u32,
    /// What it is for.
    pub description: String,
    /// The text.
    pub text: String,
    /// When it was stored.
    pub saved_at: Timestamp,
    /// Who stored it.
    pub saved_by: String,
}

impl TemplateRow {
    pub(crate) fn save(&mut self, recorded: &Recorded, saved: &TemplateSaved) {
        self.tenant = recorded.tenant.to_string();
        self.version = recorded.version;
        self.versions.push(TemplateVersion {
            name: saved.name.clone(),
            number: saved.number,
            description: saved.description.clone(),
            text: saved.text.clone(),
            saved_at: recorded.recorded_at,
            saved_by: recorded.meta().actor,
        });
        let surplus = self.versions.len().saturating_sub(MAX_TEMPLATE_VERSIONS);
        self.versions.drain(..surplus);
    }

    fn newest(&self) -> Option<&TemplateVersion> {
        self.versions.last()
    }

    /// A version by its number; without one, the newest.
    pub fn numbered(&self, number: Option<u32>) -> Option<&TemplateVersion> {
        match number {
            Some(number) => self.versions.iter().find(|version| version.number == number),
            None => self.newest(),
        }
    }

    /// The template as the API shows it, at one of its versions.
    pub fn answer(&self, shown: &TemplateVersion) -> StoredTemplate {
        StoredTemplate {
            name: shown.name.to_string(),
            origin: TemplateOrigin::Stored,
            number: shown.number,
            description: shown.description.clone(),
            text: shown.text.clone(),
            parameters: Vec::new(),
            versions: self.versions.iter().rev().map(TemplateVersion::item).collect(),
        }
    }
}

impl TemplateVersion {
    fn item(&self) -> TemplateVersionItem {
        TemplateVersionItem {
            number: self.number,
            saved_at: self.saved_at,
            saved_by: self.saved_by.clone(),
        }
    }
}

impl ApiView {
    /// A stored template by name.
    ///
    /// # Errors
    /// [`FindError::Missing`].
    pub fn find_template(&self, access: &Access, name: &str) -> Result<&TemplateRow, FindError> {
        let parsed = Name::parse(name).ok();
        let row = parsed.and_then(|name| self.templates.get(&template_id(&access.tenant, &name)));
        row.filter(|row| row.tenant == access.tenant)
            .ok_or_else(|| FindError::Missing {
                kind: "template",
                text: name.to_owned(),
            })
    }

    /// Stored templates by name, `others` among them.
    pub fn list_templates(
        &self,
        access: &Access,
        others: Vec<TemplateItem>,
        page: &PageRequest,
    ) -> (Vec<TemplateItem>, Option<String>) {
        let rows = self.templates.values().filter(|row| row.tenant == access.tenant);
        let stored = rows.filter_map(TemplateRow::newest).map(|newest| TemplateItem {
            name: newest.name.to_string(),
            origin: TemplateOrigin::Stored,
            number: newest.number,
            description: newest.description.clone(),
            saved_at: Some(newest.saved_at),
        });
        let mut items: Vec<TemplateItem> = stored.collect();
        let hidden = |item: &TemplateItem| items.iter().any(|own| own.name.eq_ignore_ascii_case(&item.name));
        let others: Vec<_> = others.into_iter().filter(|item| !hidden(item)).collect();
        items.extend(others);
        page.cut(
            items
                .into_iter()
                .map(|item| (item.name.clone(), item.name.clone(), item)),
        )
    }
}
