//! Makings of images: what came of each, and which node makes the next.

use crate::{
    Access, ApiView, FindError, MAX_BUILDS, NodeRow, PageRequest,
    view::{BUILD, key},
};
use berth_api::{Build, BuildState, NodeStatus};
use berth_events::{BuildEvent, MAX_BUILD_MS, Recorded};
use berth_eventsourcing::RowKey;
use berth_ids::{BuildId, ClusterId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The making of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRow {
    /// Its id.
    pub id: BuildId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// The node that makes it.
    pub node_id: NodeId,
    /// Name of that node.
    pub node: String,
    /// Name of the image.
    pub image: String,
    /// Further names.
    pub tags: Vec<String>,
    /// For this application.
    pub application: Option<String>,
    /// For this service.
    pub service: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Who asked.
    pub requested_by: String,
    /// How it ended, if it has.
    pub end: Option<BuildEnd>,
}

/// How the making of an image ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEnd {
    /// Its digest; none: it failed.
    pub digest: Option<String>,
    /// Why it failed.
    pub message: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// What a node that makes an image is chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Builder<'a> {
    /// By name or id, if somebody has chosen.
    pub node: Option<&'a str>,
    /// Name of the image: a node that has made it before has its layers.
    pub image: &'a str,
    /// Platform of the image, such as `linux/arm64`.
    pub platform: Option<&'a str>,
}

impl BuildRow {
    /// The making as the API shows it.
    pub fn answer(&self, now: Timestamp) -> Build {
        let end = self.end.as_ref();
        let lapsed = now.since(self.requested_at) > Duration::from_millis(MAX_BUILD_MS);
        let state = match end {
            Some(end) if end.digest.is_some() => BuildState::Succeeded,
            Some(_) => BuildState::Failed,
            None if lapsed => BuildState::Abandoned,
            None => BuildState::Running,
        };
        Build {
            id: self.id,
            cluster_id: self.cluster_id,
            node_id: self.node_id,
            node: self.node.clone(),
            image: self.image.clone(),
            tags: self.tags.clone(),
            application: self.application.clone(),
            service: self.service.clone(),
            state,
            digest: end.and_then(|end| end.digest.clone()),
            message: end.and_then(|end| end.message.clone()),
            requested_at: self.requested_at,
            requested_by: self.requested_by.clone(),
            duration_ms: end.map(|end| end.duration_ms),
        }
    }
}

impl ApiView {
    pub(crate) fn on_build(&mut self, recorded: &Recorded, event: &BuildEvent) -> Vec<RowKey> {
        let Some(id) = key::<BuildId>(recorded) else {
            return vec![];
        };
        let end = match event {
            BuildEvent::Requested(requested) => {
                let node = self.nodes.get(&requested.node_id);
                let row = BuildRow {
                    id,
                    cluster_id: requested.cluster_id,
                    node_id: requested.node_id,
                    node: node.map_or_else(|| requested.node_id.to_string(), |row| row.name.to_string()),
                    image: requested.image.clone(),
                    tags: requested.tags.clone(),
                    application: requested.application.clone(),
                    service: requested.service.clone(),
                    requested_at: recorded.recorded_at,
                    requested_by: recorded.meta().actor,
                    end: None,
                };
                self.builds.insert(id, row);
                let mut keys = self.forget_builds(requested.cluster_id);
                keys.push(RowKey::new(BUILD, id));
                return keys;
            }
            BuildEvent::Succeeded(succeeded) => BuildEnd {
                digest: Some(succeeded.digest.clone()),
                message: None,
                duration_ms: succeeded.duration_ms,
            },
            BuildEvent::Failed(failed) => BuildEnd {
                digest: None,
                message: Some(failed.message.clone()),
                duration_ms: failed.duration_ms,
            },
        };
        let Some(row) = self.builds.get_mut(&id) else {
            return vec![];
        };
        row.end = Some(end);
        vec![RowKey::new(BUILD, id)]
    }

    /// Keeps the newest of a cluster.
    fn forget_builds(&mut self, cluster: ClusterId) -> Vec<RowKey> {
        let of_cluster = self.builds.values().filter(|row| row.cluster_id == cluster);
        let mut all: Vec<(Timestamp, BuildId)> = of_cluster.map(|row| (row.requested_at, row.id)).collect();
        all.sort_unstable();
        let surplus = all.len().saturating_sub(MAX_BUILDS);
        all.truncate(surplus);
        for (_, id) in &all {
            self.builds.remove(id);
        }
        all.iter().map(|(_, id)| RowKey::new(BUILD, id)).collect()
    }

    /// The making of an image by id, for who need not be asked.
    pub fn build_row(&self, id: BuildId) -> Option<&BuildRow> {
        self.builds.get(&id)
    }

    /// The making of an image by id.
    ///
    /// # Errors
    /// [`FindError::Missing`].
    pub fn find_build(&self, access: &Access, text: &str) -> Result<&BuildRow, FindError> {
        let row = text.parse().ok().and_then(|id| self.builds.get(&id));
        row.filter(|row| self.sees_cluster(access, row.cluster_id))
            .ok_or_else(|| FindError::Missing {
                kind: "build",
                text: text.to_owned(),
            })
    }

    /// Makings of images of a cluster by age.
    pub fn list_builds(
        &self,
        cluster: ClusterId,
        now: Timestamp,
        page: &PageRequest,
    ) -> (Vec<Build>, Option<String>) {
        let rows = self.builds.values().filter(|row| row.cluster_id == cluster);
        let (rows, next) = page.cut(rows.map(|row| (row.requested_at.to_string(), row.id.to_string(), row)));
        (rows.into_iter().map(|row| row.answer(now)).collect(), next)
    }

    /// The node that makes an image: one that takes containers and has the processor; of these one that has made
    /// it before, then one that makes few now, then the one with the most memory.
    pub fn choose_builder(
        &self,
        cluster: ClusterId,
        wanted: Builder<'_>,
        now: Timestamp,
    ) -> Option<&NodeRow> {
        let nodes = self.nodes_of.of(&cluster).filter_map(|id| self.nodes.get(id));
        let named = |row: &&NodeRow| {
            wanted
                .node
                .is_none_or(|name| row.name.as_str().eq_ignore_ascii_case(name) || row.id.to_string() == name)
        };
        let fits = |row: &&NodeRow| row.status() == NodeStatus::Ready && has_processor(row, wanted.platform);
        nodes.filter(named).filter(fits).max_by_key(|row| {
            let here = self.builds.values().filter(|build| build.node_id == row.id);
            let (mut made, mut busy) = (false, 0_usize);
            for build in here {
                made |=
                    build.image == wanted.image && build.end.as_ref().is_some_and(|end| end.digest.is_some());
                busy += usize::from(build.answer(now).state == BuildState::Running);
            }
            (
                made,
                std::cmp::Reverse(busy),
                row.facts.memory_bytes,
                std::cmp::Reverse(row.index),
            )
        })
    }
}

/// Engines call processors as their makers do not.
fn has_processor(row: &NodeRow, platform: Option<&str>) -> bool {
    let Some(platform) = platform else { return true };
    let mut parts = platform.split('/');
    let (os, processor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let same = |name: &str| match name {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    row.facts.os.eq_ignore_ascii_case(os) && same(&row.facts.architecture) == same(processor)
}
