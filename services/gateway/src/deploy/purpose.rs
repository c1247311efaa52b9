//! What a deploy is read for.

use berth_api::ComposeSource;
use berth_compose::Builds;

/// What becomes of a deploy that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is brought live.
    Live,
    /// Somebody looks at it; images may be built later.
    Look,
}

impl Purpose {
    /// What becomes of `build` in a file.
    pub(super) fn builds(self, compose: &ComposeSource) -> Builds<'_> {
        match self {
            Self::Look if compose.built.is_empty() => Builds::Later,
            Self::Look | Self::Live => Builds::Done(&compose.built),
        }
    }
}
