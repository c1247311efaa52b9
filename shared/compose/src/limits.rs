//! The limits that keep a hostile or broken file from costing more than a moment.

/// Largest Compose file, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Largest `.env` or `env_file`, in bytes.
pub const MAX_ENV_FILE_BYTES: usize = 1024 * 1024;
/// Most values of the file, each use of an alias counted with all that it repeats.
pub const MAX_NODES: usize = 100_000;
/// Most text of the file, each use of an alias counted with all that it repeats, and after interpolation.
pub const MAX_EXPANDED_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 64;
/// Deepest nesting of `${A:-${B:-…}}`.
pub const MAX_INTERPOLATION_DEPTH: usize = 16;
/// Longest value that interpolation may make out of one text, in bytes.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;
/// Most services of one application.
pub const MAX_SERVICES: usize = 500;
/// Most containers of one service.
pub const MAX_REPLICAS: u64 = 10_000;
/// Most published or exposed ports of one service, ranges counted port by port.
pub const MAX_PORTS: usize = 1_000;
/// Most faults that one answer names; the rest is counted.
pub const MAX_DIAGNOSTICS: usize = 200;
/// Most pairs of words that are compared to find the one that was meant.
pub const MAX_COMPARISONS: usize = 20_000;
/// Most parameters of one template.
pub const MAX_PARAMETERS: usize = 200;
/// Most mounts of one service.
pub const MAX_MOUNTS: usize = 1_000;
/// Most text of all env files, each counted in each service that names it.
pub const MAX_ENV_FILES_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of one secret or config, which the vault takes as one value.
pub const MAX_CONTENT_BYTES: usize = 180 * 1024;
/// Most bytes of one config that the release itself holds (`x-berth-public`).
pub const MAX_PUBLIC_CONTENT_BYTES: usize = 32 * 1024;
/// Most bytes of all secrets and configs of a file.
pub const MAX_CONTENTS_BYTES: usize = 2 * 1024 * 1024;
/// Most secrets and configs of one service.
pub const MAX_FILES_OF_SERVICE: usize = 100;
/// Longest line of a snippet, in characters.
pub const MAX_SNIPPET_CHARS: usize = 160;
/// Least memory limit that Docker Engine accepts.
pub const MIN_MEMORY_BYTES: u64 = 6 * 1024 * 1024;
/// Most files that one application is read from, each counted whenever it is used.
pub const MAX_MODEL_FILES: usize = 200;
/// Most text of these files, each counted whenever it is used.
pub const MAX_MODEL_BYTES: usize = 4 * 1024 * 1024;
