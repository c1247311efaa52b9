//! A node with all that is on it, as the plan goes on.
//!
//! Sums come from the view, which keeps them from event to event, and move with what the plan decides. The containers
//! themselves are looked at only where a rule about neighbours or a port asks for them.

use super::{countable::Countables, request::Rule};
use crate::view::{AllocationRow, AssignedRow, Availability, NodeRow, NodeTally, SchedulerView, is_resident};
use berth_events::spec::{ContainerSpec, PortSpec};
use berth_ids::ApplicationId;
use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

/// Hard rules of services about whom they do not want beside them.
pub(super) type Avoids<'a> = HashMap<(ApplicationId, &'a str), Rc<[Rule<'a>]>>;

/// Where the containers of a node are looked up.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) view: &'a SchedulerView,
    pub(super) avoids: Avoids<'a>,
}

impl<'a> Source<'a> {
    /// A container as its neighbours see it.
    pub(super) fn resident(&self, row: &'a AllocationRow) -> Option<Resident<'a>> {
        let spec = self.view.specs.get(&row.spec_hash)?;
        let application = self.view.applications.get(&row.application_id);
        Some(Resident {
            application_id: row.application_id,
            application: application.map_or("", |application| application.name.as_str()),
            service: &row.service,
            slot: row.slot,
            container: &spec.container,
            avoids: self
                .avoids
                .get(&(row.application_id, row.service.as_str()))
                .cloned()
                .unwrap_or_default(),
        })
    }
}

/// A container on a node, as neighbours see it.
#[derive(Debug, Clone)]
pub(super) struct Resident<'a> {
    pub(super) application_id: ApplicationId,
    pub(super) application: &'a str,
    pub(super) service: &'a str,
    pub(super) slot: u32,
    pub(super) container: &'a ContainerSpec,
    /// Hard rules of its service about whom it does not want beside it.
    pub(super) avoids: Rc<[Rule<'a>]>,
}

impl Resident<'_> {
    /// Name on the engine.
    pub(super) fn name(&self) -> String {
        format!("{}_{}_{}", self.application, self.service, self.slot)
    }

    fn is(&self, application: ApplicationId, service: &str, slot: u32) -> bool {
        self.slot == slot && self.application_id == application && self.service == service
    }
}

/// A published port that a plan takes beside those of its containers.
#[derive(Debug, Clone)]
struct Extra<'a> {
    port: &'a PortSpec,
    holder: String,
}

/// A node and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    pub(super) row: &'a NodeRow,
    assigned: Option<&'a AssignedRow>,
    source: Rc<Source<'a>>,
    tally: Option<&'a NodeTally>,
    /// Reserved processor time in thousandths of a core.
    pub(super) cpu_used: u64,
    /// Reserved memory.
    pub(super) memory_used: u64,
    /// Reserved countable resources; summed when they are first asked for.
    countables: OnceCell<Countables<'a>>,
    /// How many containers run or will.
    pub(super) containers: usize,
    /// Containers that were there when the plan began and still are; looked up when they are first asked for.
    here: OnceCell<Vec<Resident<'a>>>,
    /// Containers that have come since.
    come: Vec<Resident<'a>>,
    /// By how much the count of a service differs from the tally.
    moved: Vec<(ApplicationId, &'a str, i64)>,
    extra_ports: Vec<Extra<'a>>,
}

impl<'a> Site<'a> {
    pub(super) fn new(row: &'a NodeRow, source: &Rc<Source<'a>>) -> Self {
        let tally = source.view.index.node(row.node_id);
        Self {
            row,
            assigned: source.view.assigned.get(&row.node_id),
            source: Rc::clone(source),
            tally,
            cpu_used: tally.map_or(0, NodeTally::cpu_millis),
            memory_used: tally.map_or(0, NodeTally::memory_bytes),
            containers: tally.map_or(0, NodeTally::containers),
            countables: OnceCell::new(),
            here: OnceCell::new(),
            come: Vec::new(),
            moved: Vec::new(),
            extra_ports: Vec::new(),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.row.availability, Availability::Draining { .. })
    }

    pub(super) fn cpu_free(&self) -> u64 {
        self.row.facts.cpu_millis.saturating_sub(self.cpu_used)
    }

    pub(super) fn memory_free(&self) -> u64 {
        self.row.facts.memory_bytes.saturating_sub(self.memory_used)
    }

    /// Reserved countable resources.
    pub(super) fn countables(&self) -> &Countables<'a> {
        self.countables.get_or_init(|| {
            let none = self.tally.is_none_or(NodeTally::has_no_countables);
            let mut sums = Countables::default();
            let mut add = |resident: &Resident<'a>| sums.take(self.row, resident.container);
            if none {
                self.come.iter().for_each(&mut add);
            } else {
                self.residents().for_each(&mut add);
            }
            sums
        })
    }

    fn countables_mut(&mut self) -> Option<&mut Countables<'a>> {
        self.countables();
        self.countables.get_mut()
    }

    /// Engine volumes that are to go.
    pub(super) fn drop_volumes(&self) -> Option<&'a BTreeSet<String>> {
        self.assigned.map(|assigned| &assigned.drop_volumes)
    }

    /// A container was made from the image here.
    pub(super) fn has_image(&self, image: &str) -> bool {
        self.tally.is_some_and(|tally| tally.has_image(image))
    }

    /// Lost containers are here that nobody has told to go.
    pub(super) fn has_lost(&self) -> bool {
        self.tally.is_some_and(NodeTally::has_lost)
    }

    /// The plan has not changed what is here.
    pub(super) fn is_untouched(&self) -> bool {
        self.moved.is_empty()
    }

    /// How many containers of a service are here or will be.
    pub(super) fn count(&self, application: ApplicationId, service: &str) -> u32 {
        let before = self.tally.map_or(0, |tally| tally.count(application, service));
        let moved = self
            .moved
            .iter()
            .find(|(id, name, _)| *id == application && *name == service);
        let moved = moved.map_or(0, |(.., by)| *by);
        u32::try_from(i64::from(before) + moved).unwrap_or(0)
    }

    fn move_count(&mut self, application: ApplicationId, service: &'a str, by: i64) {
        let known = self
            .moved
            .iter_mut()
            .find(|(id, name, _)| *id == application && *name == service);
        match known {
            Some((.., count)) => *count += by,
            None => self.moved.push((application, service, by)),
        }
    }

    /// Containers that run or will.
    pub(super) fn residents(&self) -> impl Iterator<Item = &Resident<'a>> {
        self.here.get_or_init(|| self.look_up()).iter().chain(&self.come)
    }

    fn look_up(&self) -> Vec<Resident<'a>> {
        let source = &self.source;
        let rows = source.view.allocations_on(self.row.node_id);
        rows.filter(|row| is_resident(row))
            .filter_map(|row| source.resident(row))
            .collect()
    }

    /// Published ports with the names of those that have them; `number` is that of the port asked for.
    pub(super) fn ports(&self, number: u16) -> Vec<(&'a PortSpec, String)> {
        let here = self.tally.is_some_and(|tally| tally.has_port(number));
        let residents: Box<dyn Iterator<Item = &Resident<'a>>> = if here {
            Box::new(self.residents())
        } else {
            Box::new(self.come.iter())
        };
        let own = residents.flat_map(|resident| {
            let ports = resident.container.ports.iter();
            let same = ports.filter(move |port| port.published == Some(number));
            same.map(|port| (port, resident.name()))
        });
        let extra = self.extra_ports.iter();
        let extra = extra.filter(|extra| extra.port.published == Some(number));
        own.chain(extra.map(|extra| (extra.port, extra.holder.clone())))
            .collect()
    }

    /// Takes a container away; [`Site::settle`] brings it back.
    pub(super) fn lift(
        &mut self,
        application: ApplicationId,
        service: &str,
        slot: u32,
    ) -> Option<Resident<'a>> {
        self.here.get_or_init(|| self.look_up());
        let here = self.here.get_mut().into_iter();
        let resident = here
            .chain(std::iter::once(&mut self.come))
            .find_map(|residents| {
                let at = residents
                    .iter()
                    .position(|resident| resident.is(application, service, slot))?;
                Some(residents.remove(at))
            })?;
        let resources = resident.container.resources;
        self.cpu_used = self.cpu_used.saturating_sub(resources.cpu_reserved_millis);
        self.memory_used = self.memory_used.saturating_sub(resources.memory_reserved_bytes);
        if let Some(countables) = self.countables.get_mut() {
            countables.give_back(self.row, resident.container);
        }
        self.containers = self.containers.saturating_sub(1);
        self.move_count(resident.application_id, resident.service, -1);
        let name = resident.name();
        self.extra_ports.retain(|extra| extra.holder != name);
        Some(resident)
    }

    /// A container comes to the node.
    pub(super) fn settle(&mut self, resident: Resident<'a>) {
        let resources = resident.container.resources;
        self.cpu_used = self.cpu_used.saturating_add(resources.cpu_reserved_millis);
        self.memory_used = self.memory_used.saturating_add(resources.memory_reserved_bytes);
        if let Some(countables) = self.countables.get_mut() {
            countables.take(self.row, resident.container);
        }
        self.come(resident);
    }

    /// Keeps what a container will need when what is leaving has left: `after` is the site as it is then.
    pub(super) fn expect(&mut self, after: &Self, resident: Resident<'a>) {
        self.cpu_used = self.cpu_used.max(after.cpu_used);
        self.memory_used = self.memory_used.max(after.memory_used);
        if let Some(countables) = self.countables_mut() {
            countables.keep(after.countables());
        }
        self.come(resident);
    }

    fn come(&mut self, resident: Resident<'a>) {
        self.containers += 1;
        self.move_count(resident.application_id, resident.service, 1);
        self.come.push(resident);
    }

    /// A container on the node gets a successor in its own place: what the new one needs beyond the old one.
    pub(super) fn widen(&mut self, old: &Resident<'a>, new: &Resident<'a>) {
        let (had, needs) = (old.container.resources, new.container.resources);
        let more = |needs: u64, had: u64| needs.saturating_sub(had);
        self.cpu_used += more(needs.cpu_reserved_millis, had.cpu_reserved_millis);
        self.memory_used += more(needs.memory_reserved_bytes, had.memory_reserved_bytes);
        let row = self.row;
        if let Some(countables) = self.countables_mut() {
            countables.widen(row, old.container, new.container);
        }
        for port in &new.container.ports {
            if port.published.is_some() && !old.container.ports.contains(port) {
                let holder = new.name();
                self.extra_ports.push(Extra { port, holder });
            }
        }
    }
}
