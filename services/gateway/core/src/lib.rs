//! The read model behind the API, and every answer that is built from it: pure, without IO or clock.
//!
//! [`ApiView`] folds the whole log; what a caller may see of it is decided by [`Access`]; lists are cut
//! into pages by [`Cursor`]s that hold sort key and id, so that a page stays right while the log moves.

mod access;
mod allocation;
mod answer;
mod answer_application;
mod answer_container;
mod build;
mod concern;
mod countable;
mod cursor;
mod domains;
mod explain;
mod find;
mod list;
mod news;
mod node;
mod record;
mod release;
mod remains;
mod rows;
mod service;
mod template;
mod view;

pub use access::Access;
pub use build::{BuildEnd, BuildRow, Builder};
pub use concern::EventFilter;
pub use cursor::{Cursor, CursorError, PageRequest};
pub use find::{FindError, Found};
pub use list::ContainerFilter;
pub use news::PinnedImage;
pub use rows::{
    AllocationRow, ApplicationRow, Block, ClusterRow, DrainRow, Lifecycle, NodeRow, ReleaseRow, StepRow,
    TokenRow,
};
pub use template::{TemplateRow, TemplateVersion};
pub use view::ApiView;

/// Releases of one application that are kept.
pub const MAX_RELEASES: usize = 20;
/// Versions of one template that are kept.
pub const MAX_TEMPLATE_VERSIONS: usize = 20;
/// Makings of images of one cluster that are kept, the newest.
pub const MAX_BUILDS: usize = 200;
/// Steps of one release that are kept.
pub const MAX_STEPS: usize = 100;
/// States of one container that are kept, the newest.
pub const MAX_HISTORY: usize = 50;
/// Ended containers of one slot that are kept, the newest.
pub const MAX_ENDED_OF_SLOT: usize = 10;
