//! Which node makes which image now, and for which registries it may log in meanwhile.

use crate::{AccessView, refusal::forbidden, rows::BuildRow, view::BUILD};
use berth_events::{BuildEvent, MAX_BUILD_MS, Recorded, Rejection};
use berth_eventsourcing::RowKey;
use berth_ids::{BuildId, NodeId, Timestamp};
use std::time::Duration;

impl AccessView {
    pub(crate) fn on_build(&mut self, recorded: &Recorded, event: &BuildEvent) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse::<BuildId>() else {
            return vec![];
        };
        match event {
            BuildEvent::Requested(requested) => {
                let row = BuildRow {
                    node_id: requested.node_id,
                    registries: requested.registries.clone(),
                    requested_at: recorded.recorded_at,
                };
                self.builds.insert(id, row);
            }
            BuildEvent::Succeeded(_) | BuildEvent::Failed(_) => {
                self.builds.remove(&id);
            }
        }
        vec![RowKey::new(BUILD, id)]
    }

    /// Whether the node makes an image now for which it may use the login of this registry.
    ///
    /// # Errors
    /// [`Rejection`] if it does not.
    pub fn may_log_in_to_build(
        &self,
        node: NodeId,
        build: BuildId,
        registry: &str,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let row = self.builds.get(&build);
        let longest = Duration::from_millis(MAX_BUILD_MS);
        let fits = row.is_some_and(|row| {
            row.node_id == node && row.registries.contains(registry) && now.since(row.requested_at) <= longest
        });
        if fits {
            return Ok(());
        }
        Err(forbidden(
            "access.login_not_assigned",
            &format!("the node makes no image that needs `{registry}`"),
            "ask for the image anew",
        ))
    }
}
