//! Objects by what callers call them: id, name, or the beginning of an id.

use crate::{Access, AllocationRow, ApiView, ApplicationRow, ClusterRow, NodeRow, TokenRow};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, TokenId};

/// The shortest beginning of an id that names a container.
const MIN_PREFIX_CHARS: usize = 4;
/// Candidates that an answer names.
const MAX_CANDIDATES: usize = 5;

/// Why no object was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// There is none, or the caller may not see it.
    #[error("there is no {kind} `{text}`")]
    Missing {
        /// Kind of object.
        kind: &'static str,
        /// As the caller called it.
        text: String,
    },
    /// There are several.
    #[error("`{text}` names several {kind}s: {}", candidates.join(", "))]
    Ambiguous {
        /// Kind of object.
        kind: &'static str,
        /// As the caller called it.
        text: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
}

/// Any object.
#[derive(Debug, Clone, Copy)]
pub enum Found<'v> {
    /// A cluster.
    Cluster(&'v ClusterRow),
    /// A node.
    Node(&'v NodeRow),
    /// An application.
    Application(&'v ApplicationRow),
    /// A container.
    Container(&'v AllocationRow),
    /// A token.
    Token(&'v TokenRow),
}

fn same_name(name: &str, text: &str) -> bool {
    name.to_lowercase() == text.to_lowercase()
}

fn one<T>(
    kind: &'static str,
    text: &str,
    found: Vec<T>,
    describe: impl Fn(&T) -> String,
) -> Result<T, FindError> {
    let text = text.to_owned();
    if found.len() > 1 {
        let candidates = found.iter().take(MAX_CANDIDATES).map(describe).collect();
        return Err(FindError::Ambiguous {
            kind,
            text,
            candidates,
        });
    }
    found.into_iter().next().ok_or(FindError::Missing { kind, text })
}

impl ApiView {
    /// A cluster by id or name.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_cluster(&self, access: &Access, text: &str) -> Result<&ClusterRow, FindError> {
        let by_id = text
            .parse::<ClusterId>()
            .ok()
            .and_then(|id| self.cluster_row(access, id));
        if let Some(row) = by_id {
            return Ok(row);
        }
        let named = self
            .clusters
            .values()
            .filter(|row| access.cluster(row) && same_name(row.name.as_str(), text));
        one("cluster", text, named.collect(), |row| row.id.to_string())
    }

    /// A node by id or name, in one cluster or any.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_node(
        &self,
        access: &Access,
        text: &str,
        cluster: Option<ClusterId>,
    ) -> Result<&NodeRow, FindError> {
        let seen = |row: &&NodeRow| self.sees_node(access, row);
        let by_id = text.parse::<NodeId>().ok().and_then(|id| self.nodes.get(&id));
        if let Some(row) = by_id.filter(seen) {
            return Ok(row);
        }
        let named = self.nodes.values().filter(seen).filter(|row| {
            same_name(row.name.as_str(), text) && cluster.is_none_or(|cluster| cluster == row.cluster_id)
        });
        one("node", text, named.collect(), |row| {
            format!("{} ({})", row.id, self.cluster_name(row.cluster_id))
        })
    }

    /// An application by id or name, in one cluster or any.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_application(
        &self,
        access: &Access,
        text: &str,
        cluster: Option<ClusterId>,
    ) -> Result<&ApplicationRow, FindError> {
        let seen = |row: &&ApplicationRow| self.sees_application(access, row);
        let by_id = text
            .parse::<ApplicationId>()
            .ok()
            .and_then(|id| self.applications.get(&id));
        if let Some(row) = by_id.filter(seen) {
            return Ok(row);
        }
        let named = self.applications.values().filter(seen).filter(|row| {
            same_name(row.name.as_str(), text) && cluster.is_none_or(|cluster| cluster == row.cluster_id)
        });
        one("application", text, named.collect(), |row| {
            format!("{} ({})", row.id, self.cluster_name(row.cluster_id))
        })
    }

    /// A container by id, name in the engine, or the beginning of its id or of its id in the engine.
    /// Of several with one name the one that has not ended, or else the newest, is meant.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_container(&self, access: &Access, text: &str) -> Result<&AllocationRow, FindError> {
        let seen = |row: &&AllocationRow| self.sees_cluster(access, row.cluster_id);
        let by_id = text
            .parse::<AllocationId>()
            .ok()
            .and_then(|id| self.allocations.get(&id));
        if let Some(row) = by_id.filter(seen) {
            return Ok(row);
        }
        let named = self
            .allocations
            .values()
            .filter(|row| self.container_name(row) == text)
            .filter(seen)
            .max_by_key(|row| (!row.state.ended(), row.placed_position, row.id));
        if let Some(row) = named {
            return Ok(row);
        }
        let prefix = text.to_lowercase();
        let bare = prefix.replace('-', "");
        let hexadecimal = bare.len() >= MIN_PREFIX_CHARS && bare.chars().all(|c| c.is_ascii_hexdigit());
        let begun = self.allocations.values().filter(seen).filter(|row| {
            hexadecimal
                && (row.id.as_uuid().simple().to_string().starts_with(&bare)
                    || row
                        .container_id
                        .as_ref()
                        .is_some_and(|id| id.starts_with(&prefix)))
        });
        one("container", text, begun.collect(), |row| {
            format!("{} ({})", row.id, self.container_name(row))
        })
    }

    /// A token by id.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_token(&self, access: &Access, text: &str) -> Result<&TokenRow, FindError> {
        let by_id = text.parse::<TokenId>().ok().and_then(|id| self.tokens.get(&id));
        by_id
            .filter(|row| self.sees_token(access, row))
            .ok_or_else(|| FindError::Missing {
                kind: "token",
                text: text.to_owned(),
            })
    }

    /// Any object: by id, else by name in the order application, node, cluster, container.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find_any<'v>(&'v self, access: &Access, text: &str) -> Result<Found<'v>, FindError> {
        if let Ok(row) = self.find_token(access, text) {
            return Ok(Found::Token(row));
        }
        let finders: [&dyn Fn() -> Result<Found<'v>, FindError>; 4] = [
            &|| self.find_application(access, text, None).map(Found::Application),
            &|| self.find_node(access, text, None).map(Found::Node),
            &|| self.find_cluster(access, text).map(Found::Cluster),
            &|| self.find_container(access, text).map(Found::Container),
        ];
        for find in finders {
            match find() {
                Err(FindError::Missing { .. }) => {}
                found => return found,
            }
        }
        Err(FindError::Missing {
            kind: "object",
            text: text.to_owned(),
        })
    }

    /// Name of a cluster; its id if it is gone.
    pub fn cluster_name(&self, id: ClusterId) -> String {
        self.clusters
            .get(&id)
            .map_or_else(|| id.to_string(), |row| row.name.to_string())
    }

    /// Name of an application; its id if it is gone.
    pub fn application_name(&self, id: ApplicationId) -> String {
        self.applications
            .get(&id)
            .map_or_else(|| id.to_string(), |row| row.name.to_string())
    }

    /// Name of a container in the engine, or the one that it will have.
    pub fn container_name(&self, row: &AllocationRow) -> String {
        row.container_name.clone().unwrap_or_else(|| {
            let application = self.application_name(row.application_id);
            format!("{application}_{}_{}", row.service, row.slot)
        })
    }
}
