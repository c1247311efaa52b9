//! Commands that a service sends by itself: from a reconciler or a watch, never from a request.

use crate::{Clock, ServiceContext, telemetry};
use berth_events::{COMMAND_VERSION, Command, CommandBody};
use berth_ids::CommandId;

/// A command of this service. Its id says what it is for, so that a repeat is the same command.
pub fn own_command(
    context: &ServiceContext,
    tenant: &str,
    command_id: CommandId,
    body: CommandBody,
) -> Command {
    Command {
        version: COMMAND_VERSION,
        command_id,
        // The id is derived from the content: the same id is the same request.
        request_hash: command_id.as_uuid().simple().to_string(),
        tenant: tenant.to_owned(),
        actor: format!("service:{}", context.service),
        correlation_id: crate::new_id(),
        issued_at: Clock::now(),
        traceparent: telemetry::current_traceparent(),
        body,
    }
}
