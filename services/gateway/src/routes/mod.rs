//! The routes, one file a subject. Each handler: look or decide nothing, ask, answer.

pub(crate) mod applications;
pub(crate) mod builds;
pub(crate) mod changes;
pub(crate) mod clone;
pub(crate) mod clusters;
pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod inspect;
pub(crate) mod join;
pub(crate) mod logs;
pub(crate) mod nodes;
pub(crate) mod plans;
pub(crate) mod platform;
pub(crate) mod registries;
pub(crate) mod releases;
pub(crate) mod templates;
pub(crate) mod tokens;

use crate::{app::App, problem::Fault};
use berth_gateway_core::{Access, PageRequest};
use berth_ids::ClusterId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// In this cluster, by id or name.
    cluster: Option<String>,
    /// Items of a page, 1 to 500; absent: 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListQuery {
    fn page(&self, list: &'static str) -> Result<PageRequest, Fault> {
        Ok(PageRequest::new(list, self.cursor.as_deref(), self.limit)?)
    }
}

/// In which cluster a name is looked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
}

/// Whether something is done although it loses containers.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ForceQuery {
    /// Although containers are there.
    #[serde(default)]
    force: bool,
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
}

impl App {
    /// The id of a cluster that a query may name.
    pub(crate) fn cluster_id(&self, access: &Access, text: Option<&str>) -> Result<Option<ClusterId>, Fault> {
        text.map(|text| {
            self.view
                .read(|view| view.find_cluster(access, text).map(|row| row.id))
                .map_err(Fault::from)
        })
        .transpose()
    }
}
