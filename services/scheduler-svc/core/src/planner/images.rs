//! Which bytes a release runs: those that its first container of an image has.
//!
//! Nobody waits for this. Containers are placed by the image's name; the first that was made says which
//! content the name had, and from then on the release means that content. A container that got another one
//! meanwhile is replaced, as for any other change.

use super::{Planner, plan::Settle, request::Request};
use crate::view::{AllocationRow, ApplicationRow};
use berth_events::{
    ReleaseMethod,
    spec::{PullPolicy, ServiceSpec},
};
use std::collections::BTreeMap;

impl<'a> Planner<'a, '_> {
    /// Digests of the application's images, with those that have just become known.
    pub(super) fn pin(&mut self, application: &'a ApplicationRow) -> BTreeMap<String, String> {
        let mut pins = application.images.clone();
        if application.removing.is_some() || application.stopped {
            return pins;
        }
        let mut news: BTreeMap<String, (&AllocationRow, String)> = BTreeMap::new();
        for (name, service) in &application.spec.services {
            let image = &service.container.image;
            if !is_pinned(service) || pins.contains_key(image) {
                continue;
            }
            let tally = self.view.index.service(application.application_id, name);
            if tally.is_none_or(|tally| tally.digests().next().is_none()) {
                continue;
            }
            let hash = application.hashes.get(name);
            let rows = self.view.allocations_of(application.application_id, name);
            let fits = |row: &&AllocationRow| row.is_kept() && Some(&row.spec_hash) == hash;
            for row in rows.filter(fits).filter(|row| says(application, service, row)) {
                let Some(digest) = row.image_digest.clone() else {
                    continue;
                };
                let known = news
                    .get(image)
                    .map(|(known, _)| (known.placed_at, known.allocation_id));
                if known.is_none_or(|known| (row.placed_at, row.allocation_id) < known) {
                    news.insert(image.clone(), (row, digest));
                }
            }
        }
        let news: BTreeMap<String, String> = news
            .into_iter()
            .map(|(image, (_, digest))| (image, digest))
            .collect();
        if !news.is_empty() {
            self.settle.push(Settle::ImagesPinned {
                application_id: application.application_id,
                release_id: application.release_id,
                version: application.version,
                images: news.clone(),
            });
        }
        pins.extend(news);
        pins
    }
}

/// Images that are loaded by hand go by their names.
fn is_pinned(service: &ServiceSpec) -> bool {
    service.container.pull_policy != PullPolicy::Never
}

/// Whether a container's image counts as the release's: one of an earlier release does not if the service asks
/// for the newest content at each.
fn says(application: &ApplicationRow, service: &ServiceSpec, row: &AllocationRow) -> bool {
    !seeks(application, service) || row.release_id == application.release_id
}

/// The service asks for the newest content, and its release is going live.
fn seeks(application: &ApplicationRow, service: &ServiceSpec) -> bool {
    service.container.pull_policy == PullPolicy::Always
        && !application.settled
        && !matches!(application.method, ReleaseMethod::BlueGreen { .. })
}

impl Request<'_> {
    /// The digest that a new container is ordered with.
    pub(super) fn digest(&self) -> Option<String> {
        self.pin.clone().filter(|_| is_pinned(self.spec))
    }

    /// The newest content is sought, and no container has said yet what it is.
    pub(super) fn is_seeking(&self) -> bool {
        self.pin.is_none() && seeks(self.application, self.spec)
    }

    /// A container runs other bytes than the release, or may.
    pub(super) fn has_other_image(&self, row: &AllocationRow) -> bool {
        match (self.digest(), &row.image_digest) {
            (Some(pinned), Some(has)) => pinned != *has,
            (Some(_) | None, _) => {
                seeks(self.application, self.spec) && row.release_id != self.application.release_id
            }
        }
    }
}
