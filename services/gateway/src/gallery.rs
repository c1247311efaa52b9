//! Templates that come with Berth.

use berth_api::{StoredTemplate, TemplateItem, TemplateOrigin};

/// A template of the gallery.
pub(crate) struct Exhibit {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) text: &'static str,
}

/// All of them, by name.
pub(crate) const GALLERY: &[Exhibit] = &[
    Exhibit {
        name: "postgres",
        description: "PostgreSQL with a volume and a generated password",
        text: include_str!("../gallery/postgres.yml"),
    },
    Exhibit {
        name: "redis",
        description: "Redis with a volume and a generated password",
        text: include_str!("../gallery/redis.yml"),
    },
    Exhibit {
        name: "static-site",
        description: "One HTML page on a small web server",
        text: include_str!("../gallery/static-site.yml"),
    },
    Exhibit {
        name: "wordpress",
        description: "WordPress with MariaDB, volumes and generated passwords",
        text: include_str!("../gallery/wordpress.yml"),
    },
    Exhibit {
        name: "worker-queue",
        description: "Workers that take jobs from a queue in Redis",
        text: include_str!("../gallery/worker-queue.yml"),
    },
];

impl Exhibit {
    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        GALLERY
            .iter()
            .find(|exhibit| exhibit.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn item(&self) -> TemplateItem {
        TemplateItem {
            name: self.name.to_owned(),
            origin: TemplateOrigin::Gallery,
            number: 1,
            description: self.description.to_owned(),
            saved_at: None,
        }
    }

    pub(crate) fn answer(&self) -> StoredTemplate {
        StoredTemplate {
            name: self.name.to_owned(),
            origin: TemplateOrigin::Gallery,
            number: 1,
            description: self.description.to_owned(),
            text: self.text.to_owned(),
            parameters: Vec::new(),
            versions: Vec::new(),
        }
    }
}
