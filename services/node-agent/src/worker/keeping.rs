//! What the worker knows, on disk and in its status.

use super::Worker;

impl Worker {
    /// What is reported must be on disk first: a number is never used twice.
    pub(super) async fn save(&mut self) {
        let revision = self.node.revision();
        if self.saved == Some(revision) {
            return;
        }
        let assignment_revision = self.node.assignment_revision();
        let (assignment, journal) = self.node.store();
        let assignment = assignment.filter(|_| self.saved_assignment != assignment_revision);
        let state = self.state.clone();
        let written = tokio::task::spawn_blocking(move || {
            if let Some(assignment) = assignment {
                state.keep_assignment(&assignment)?;
            }
            state.keep_journal(&journal)
        });
        match written.await {
            Ok(Ok(())) => (self.saved, self.saved_assignment) = (Some(revision), assignment_revision),
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not keep the journal"
                );
            }
            Err(error) => tracing::error!(%error, "could not keep the journal"),
        }
    }

    /// Tells everyone the status, as far as the disk has it.
    pub(super) fn tell(&mut self) {
        let saved = self.saved == Some(self.node.revision());
        let (generation, engine_up) = (self.node.assignment().generation(), self.engine_up);
        let known = self.node.assignment().is_known();
        let (journal, last) = (self.node.journal().id(), self.node.journal().last_number());
        self.status.send_if_modified(|status| {
            let mut next = *status;
            (next.generation, next.known, next.engine_up) = (generation, known, engine_up);
            if saved {
                (next.journal, next.last_number) = (journal, last);
            }
            std::mem::replace(status, next) != next
        });
    }
}
