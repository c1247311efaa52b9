//! How long secrets live: as long as the application whose scope they have.

use crate::{
    AccessView,
    rows::{ApplicationRow, Ownerless, SecretRow},
    view::{APPLICATION, SECRET},
};
use berth_events::{ApplicationCreated, ApplicationEvent, Recorded};
use berth_eventsourcing::RowKey;
use berth_ids::{ApplicationId, ClusterId, SecretId, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// How long a secret waits for the application for which it was stored: a deploy that was refused leaves one.
pub const UNCLAIMED_SECRET_LIFE: Duration = Duration::from_secs(600);

/// The scope of an application's service begins with its name.
fn owner_of(scope: &str) -> &str {
    scope
        .split_once('/')
        .map_or(scope, |(application, _)| application)
}

impl AccessView {
    /// Secrets to be destroyed, with their tenants: their application was removed some time ago, or none ever
    /// came, and no assignment names them.
    pub fn to_be_destroyed(&self, now: Timestamp, grace: Duration) -> Vec<(SecretId, String)> {
        let named: BTreeSet<SecretId> = self
            .allocations
            .values()
            .flat_map(|row| row.secrets.iter().map(|(secret, _)| *secret))
            .collect();
        let due = |row: &&SecretRow| {
            let over = row.ownerless.is_some_and(|ownerless| {
                let life = if ownerless.removed {
                    grace
                } else {
                    UNCLAIMED_SECRET_LIFE
                };
                now.since(ownerless.since) >= life
            });
            over && !row.destroyed && !named.contains(&row.secret_id)
        };
        self.secrets
            .values()
            .filter(due)
            .map(|row| (row.secret_id, row.tenant.clone()))
            .collect()
    }

    /// Secrets of which nothing may be left in the vault.
    pub fn destroyed_secrets(&self) -> BTreeSet<SecretId> {
        let destroyed = self.secrets.values().filter(|row| row.destroyed);
        destroyed.map(|row| row.secret_id).collect()
    }

    /// How many secrets of a scope were destroyed: the next has another id.
    pub fn destroyed_before(&self, cluster: ClusterId, scope: &str) -> usize {
        self.secrets
            .values()
            .filter(|row| row.destroyed && row.cluster_id == cluster && row.scope == scope)
            .count()
    }

    pub(crate) fn has_owner(&self, cluster: ClusterId, scope: &str) -> bool {
        self.applications
            .values()
            .any(|row| row.cluster_id == cluster && row.name == owner_of(scope))
    }

    pub(crate) fn on_application(&mut self, recorded: &Recorded, event: &ApplicationEvent) -> Vec<RowKey> {
        match event {
            ApplicationEvent::Created(created) => self.on_created(created),
            ApplicationEvent::Removed(_) => self.on_removed(recorded),
            ApplicationEvent::ReleaseStarted(_)
            | ApplicationEvent::ReleaseSettled(_)
            | ApplicationEvent::ImagesPinned(_)
            | ApplicationEvent::ReleasePaused(_)
            | ApplicationEvent::ReleaseResumed(_)
            | ApplicationEvent::WeightsChanged(_)
            | ApplicationEvent::Scaled(_)
            | ApplicationEvent::Stopped(_)
            | ApplicationEvent::Started(_)
            | ApplicationEvent::RestartRequested(_)
            | ApplicationEvent::VolumeAbandoned(_)
            | ApplicationEvent::RemoveRequested(_) => vec![],
        }
    }

    fn on_created(&mut self, created: &ApplicationCreated) -> Vec<RowKey> {
        let row = ApplicationRow {
            application_id: created.application_id,
            cluster_id: created.cluster_id,
            name: created.name.as_str().to_lowercase(),
        };
        let mut keys = self.owned(&row, None);
        keys.push(RowKey::new(APPLICATION, row.application_id));
        self.applications.insert(row.application_id, row);
        keys
    }

    fn on_removed(&mut self, recorded: &Recorded) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse::<ApplicationId>() else {
            return vec![];
        };
        let Some(row) = self.applications.remove(&id) else {
            return vec![];
        };
        let ownerless = Ownerless {
            since: recorded.recorded_at,
            removed: true,
        };
        let mut keys = self.owned(&row, Some(ownerless));
        keys.push(RowKey::new(APPLICATION, id));
        keys
    }

    /// Says of all secrets of an application whether they have it.
    fn owned(&mut self, application: &ApplicationRow, ownerless: Option<Ownerless>) -> Vec<RowKey> {
        let mut keys = Vec::new();
        for row in self.secrets.values_mut() {
            if row.cluster_id == application.cluster_id && owner_of(&row.scope) == application.name {
                row.ownerless = ownerless;
                keys.push(RowKey::new(SECRET, row.secret_id));
            }
        }
        keys
    }
}
