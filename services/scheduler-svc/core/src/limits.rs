//! Every limit and waiting time of this crate, named once.

use std::time::Duration;

/// The most containers of one service.
pub const MAX_REPLICAS: u32 = 10_000;
/// The most services of one application.
pub const MAX_SERVICES: usize = 500;
/// The longest name of a service, in characters.
pub const MAX_SERVICE_NAME_CHARS: usize = 63;
/// The largest application, encoded, in bytes: it must fit into an event with room for the rest.
pub const MAX_SPEC_BYTES: usize = 192 * 1024;

/// The longest text of a template, in bytes; leaves room below the log's limit for an event.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// The longest description of a template, in characters.
pub const MAX_TEMPLATE_DESCRIPTION_CHARS: usize = 1024;

/// The most containers placed or stopped in one change of a node; the rest follows in the next.
pub const MAX_ORDERS_PER_CHANGE: usize = 200;
/// The largest change of one node, encoded, in bytes; leaves room below the log's limit for an event.
pub const MAX_CHANGE_BYTES: usize = 240 * 1024;
/// The most events of one append of a plan; leaves room below the log's limit.
pub const MAX_PART_EVENTS: usize = 500;
/// The largest append of a plan, encoded, in bytes; leaves room below the log's limit.
pub const MAX_PART_BYTES: usize = 700 * 1024;
/// The most events of one plan: it is made while nothing else happens to the view, and held in memory.
pub const MAX_PLAN_EVENTS: usize = 10_000;
/// The largest plan, encoded, in bytes.
pub const MAX_PLAN_BYTES: usize = 16 * 1024 * 1024;

/// A container without a check that a release has started counts for the end of the release when it has run this
/// long. Swarm watches 5 s after each replacement and Nomad 10 s, both by default; what is broken from the start
/// mostly ends within one, and whoever waits for a deploy waits for this. Longer watches are `monitor`'s.
pub const SETTLE_AFTER: Duration = Duration::from_secs(2);
/// Wait before the first new attempt after a container failed for good on its node.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const BACKOFF_LIMIT: Duration = Duration::from_secs(60);
/// A container that ran this long has not failed in a row with the one before.
pub const STABLE_AFTER: Duration = Duration::from_secs(300);
/// For how long a failure on a node makes the node a bad choice for the slot.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(600);
/// The most failures remembered of one slot.
pub const MAX_FAILURES: usize = 16;
/// The most containers pushed out for one.
pub const MAX_PUSHED_OUT: usize = 32;

/// The most nodes named in one refusal.
pub const MAX_EXAMPLES: usize = 20;
/// Digests that must find the same hole before it is taken for one that nobody can fill. More than one: a
/// digest may come twice while the missing items are still on their way.
pub const MAX_HOLE_DIGESTS: u32 = 5;
/// The most journals remembered of one node, so that a late report of an old one is known.
pub const MAX_PAST_JOURNALS: usize = 16;
/// The longest message kept from an engine, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// The most memory of a compiled pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// The most steps of a rehearsal: each waits for the containers of the one before.
pub const MAX_REHEARSAL_STEPS: usize = 200;
/// The fewest, however large the cluster is.
pub const MIN_REHEARSAL_STEPS: usize = 3;
/// The most nodes and containers looked at in a rehearsal, over all its steps: the one who asks waits for it.
pub const MAX_REHEARSAL_WORK: usize = 600_000;
/// The most plans in a row in one step of a rehearsal.
pub const MAX_REHEARSAL_PLANS: usize = 100;
/// The most containers named in the answer of a rehearsal, of the application and of others.
pub const MAX_REHEARSED_CONTAINERS: usize = 2_000;
/// The most keys that a rehearsal names as different.
pub const MAX_KEY_CHANGES: usize = 500;
/// The longest value shown of a key that differs, in characters.
pub const MAX_SHOWN_VALUE_CHARS: usize = 120;
/// The longest name of an image that is built.
pub const MAX_IMAGE_NAME_BYTES: usize = 255;
/// Most further names of an image that is built.
pub const MAX_BUILD_TAGS: usize = 20;
/// Most registries whose logins one build may use.
pub const MAX_BUILD_REGISTRIES: usize = 16;
/// The longest reason why there is no image.
pub const MAX_BUILD_MESSAGE_CHARS: usize = 4_000;
