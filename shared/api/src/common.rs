//! What every part of the API shares: pages, answers to writes, errors.

use berth_ids::CommandId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items of a list that one page holds unless `limit` says otherwise.
pub const DEFAULT_PAGE_ITEMS: u32 = 100;
/// The most items that one page holds.
pub const MAX_PAGE_ITEMS: u32 = 500;
/// The largest body of a request, in bytes.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Request header: the read must show everything up to this position.
pub const MIN_POSITION_HEADER: &str = "min-position";
/// Answer header: position that a read must reach to show the write; of a read, what it shows.
pub const POSITION_HEADER: &str = "berth-position";
/// Request header: the same key with the same content is carried out once.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Media type of every error.
pub const PROBLEM_TYPE: &str = "application/problem+json";
/// First words of an API token: `berth-api-<token id>.<secret>`.
pub const API_TOKEN_PREFIX: &str = "berth-api-";
/// First words of a join token: `berth-join-<token id>.<secret>.<SHA-256 of the CA>`.
pub const JOIN_TOKEN_PREFIX: &str = "berth-join-";

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Position of the log that the page shows.
    pub position: u64,
}

/// Answer to a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Position that a read must reach to show it (`Min-Position`).
    pub position: u64,
    /// The command that did it.
    pub command_id: CommandId,
    /// Id of the object that was made or changed.
    pub id: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Names the kind of error: `urn:berth:problem:<code>`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The kind of error in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code for programs, such as `cluster.name_taken`.
    pub code: String,
    /// What is the matter in this case.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// The trace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The command whose outcome is not known; `GET /v1/commands/{id}` tells later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Faults with their places, if there are several or they have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Diagnostic>,
}

/// One fault with its place in what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable name of the rule, such as `compose.port_range`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    #[serde(default)]
    pub cure: String,
    /// Where in the structure: `services.web.ports[0]`. Empty: all of it.
    #[serde(default)]
    pub path: String,
    /// In which file. Empty: the request itself.
    #[serde(default)]
    pub file: String,
    /// Line, from 1. 0: the whole file.
    #[serde(default)]
    pub line: u32,
    /// Column, from 1. 0: the whole line.
    #[serde(default)]
    pub column: u32,
    /// That line of the file.
    #[serde(default)]
    pub snippet: String,
}

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot be used.
    #[default]
    Error,
    /// It is used, but something in it has no effect.
    Warning,
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ContainerCounts {
    /// That have not ended.
    pub total: u32,
    /// That run.
    pub running: u32,
    /// That run and whose check passed.
    pub healthy: u32,
}
