//! How a service of an application does: slots counted, and one word for it.

use crate::{AllocationRow, ApiView, ApplicationRow, Lifecycle};
use berth_api::{ApplicationStatus, ContainerCounts, ContainerHealth, ContainerState};
use berth_events::spec::{RestartCondition, ServiceMode, ServiceSpec};
use std::collections::BTreeMap;

/// Slots of a service, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) wanted: u32,
    pub(crate) running: u32,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
    pub(crate) completed: u32,
    /// Their last container ended and they have no other.
    pub(crate) broken: u32,
    /// Their container is on its way.
    pub(crate) starting: u32,
}

impl Tally {
    /// Containers that do their work: those that run, or whose check passed if there is one.
    fn well(&self, has_check: bool) -> u32 {
        if has_check { self.healthy } else { self.running }
    }
}

fn has_check(application: &ApplicationRow, service: &str) -> bool {
    let spec = application.spec.services.get(service);
    spec.is_some_and(|spec| spec.container.has_check())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// It ended well and stays so.
fn completed(row: &AllocationRow) -> bool {
    row.state.ended()
        && row.failure.is_none()
        && row.exit_code == Some(0)
        && row.restart.condition != RestartCondition::Any
}

impl ApiView {
    /// The newest allocation of each slot of a service.
    pub(crate) fn newest<'v>(
        &'v self,
        application: &ApplicationRow,
        service: &str,
    ) -> BTreeMap<u32, &'v AllocationRow> {
        let mut newest: BTreeMap<u32, &AllocationRow> = BTreeMap::new();
        for row in self
            .allocations_of(application.id)
            .filter(|row| row.service == service)
        {
            let known = newest.entry(row.slot).or_insert(row);
            if (known.placed_position, known.id) < (row.placed_position, row.id) {
                *known = row;
            }
        }
        newest
    }

    /// Counts the slots of a service.
    pub(crate) fn tally(&self, application: &ApplicationRow, name: &str, spec: &ServiceSpec) -> Tally {
        let mut tally = Tally::default();
        let newest = self.newest(application, name);
        for row in newest
            .values()
            .filter(|row| row.stop_reason.is_none() || row.state.ended())
        {
            match self.shown_state(row) {
                ContainerState::Running => {
                    tally.running += 1;
                    tally.healthy += u32::from(row.health == ContainerHealth::Healthy);
                    tally.unhealthy += u32::from(row.health == ContainerHealth::Unhealthy);
                }
                ContainerState::Restarting => tally.broken += 1,
                ContainerState::Placed | ContainerState::Pulling | ContainerState::Created => {
                    tally.starting += 1;
                }
                _ if completed(row) => tally.completed += 1,
                _ => tally.broken += u32::from(row.stop_reason.is_none()),
            }
        }
        let blocked = application
            .blocks
            .get(name)
            .map_or(0, |block| count(block.slots.len()));
        tally.wanted = match spec.mode {
            ServiceMode::Replicated { replicas } => replicas,
            ServiceMode::Global => {
                let placed = newest
                    .values()
                    .filter(|row| !row.state.ended() && row.stop_reason.is_none());
                count(placed.count()) + blocked + tally.completed
            }
        };
        tally
    }

    /// A container from before the last restart that was asked for is still there.
    fn is_restarting(&self, application: &ApplicationRow, name: &str) -> bool {
        application.restarts.get(name).is_some_and(|asked| {
            let newest = self.newest(application, name);
            newest
                .values()
                .any(|row| !row.state.ended() && row.placed_position < *asked)
        })
    }

    /// One word for a service.
    pub(crate) fn service_status(
        &self,
        application: &ApplicationRow,
        name: &str,
        tally: &Tally,
    ) -> ApplicationStatus {
        match application.lifecycle {
            Lifecycle::Removing => return ApplicationStatus::Removing,
            Lifecycle::Stopped => return ApplicationStatus::Stopped,
            Lifecycle::Live => {}
        }
        if application.blocks.contains_key(name) {
            ApplicationStatus::Pending
        } else if self.is_restarting(application, name) {
            ApplicationStatus::Restarting
        } else if tally.unhealthy > 0 || tally.broken > 0 {
            ApplicationStatus::Degraded
        } else if tally.well(has_check(application, name)) + tally.completed < tally.wanted {
            ApplicationStatus::Deploying
        } else {
            ApplicationStatus::Running
        }
    }

    /// One word for an application.
    pub fn application_status(&self, row: &ApplicationRow) -> ApplicationStatus {
        let of_services = row
            .spec
            .services
            .iter()
            .map(|(name, spec)| self.service_status(row, name, &self.tally(row, name, spec)));
        let worst = of_services.max_by_key(|status| match status {
            ApplicationStatus::Running => 0,
            ApplicationStatus::AwaitingConfirmation => 1,
            ApplicationStatus::Paused => 2,
            ApplicationStatus::Restarting => 3,
            ApplicationStatus::Deploying => 4,
            ApplicationStatus::Degraded => 5,
            ApplicationStatus::Pending => 6,
            ApplicationStatus::Stopped => 7,
            ApplicationStatus::Removing => 8,
        });
        let release = row.releases.last();
        let unsettled = release.filter(|release| release.settled.is_none());
        match (worst, unsettled) {
            (Some(ApplicationStatus::Stopped), _) => ApplicationStatus::Stopped,
            (Some(ApplicationStatus::Removing), _) => ApplicationStatus::Removing,
            (_, Some(release)) if release.paused => ApplicationStatus::Paused,
            (Some(ApplicationStatus::Running), Some(release)) if release.is_unconfirmed() => {
                ApplicationStatus::AwaitingConfirmation
            }
            (Some(ApplicationStatus::Running), Some(_)) | (None, _) => ApplicationStatus::Deploying,
            (Some(status), _) => status,
        }
    }
}

impl ApiView {
    /// Counts containers that have not ended.
    pub(crate) fn counts<'r>(&self, rows: impl Iterator<Item = &'r AllocationRow>) -> ContainerCounts {
        let mut counts = ContainerCounts::default();
        for row in rows.filter(|row| !row.state.ended()) {
            counts.total += 1;
            if self.shown_state(row) == ContainerState::Running {
                counts.running += 1;
                counts.healthy += u32::from(row.health == ContainerHealth::Healthy);
            }
        }
        counts
    }
}

/// Processor time and memory that containers have reserved.
pub(crate) fn reserved<'r>(rows: impl Iterator<Item = &'r AllocationRow>) -> (u64, u64) {
    rows.filter(|row| !row.state.ended())
        .fold((0, 0), |(cpu, memory), row| {
            (
                u64::saturating_add(cpu, row.cpu_millis),
                u64::saturating_add(memory, row.memory_bytes),
            )
        })
}
