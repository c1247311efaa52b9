//! Events of the past, read from Postgres page by page.

use crate::{app::App, problem::Fault};
use berth_events::Recorded;
use berth_gateway_core::{Access, EventFilter};
use berth_ids::Timestamp;
use berth_service_kit::LogError;

/// Events looked at for one answer; a filter that matches less often gets a shorter page and a cursor.
const MAX_SCANNED: u64 = 20_000;
/// Events of one step backwards.
const STEP: u64 = 1_000;

/// Events that match, and how far was looked.
pub(crate) struct Found {
    pub(crate) events: Vec<Recorded>,
    /// Position up to which was looked.
    pub(crate) reached: u64,
    /// More may follow.
    pub(crate) more: bool,
}

/// Events after a position that a caller may see and a filter takes, oldest first.
pub(crate) async fn after(
    app: &App,
    access: &Access,
    filter: &EventFilter,
    position: u64,
    limit: usize,
) -> Result<Found, Fault> {
    let (mut events, mut reached) = (Vec::new(), position);
    loop {
        let page = app.context.log().after(reached).await?;
        let Some(last) = page.last().map(|last| last.position) else {
            return Ok(Found {
                events,
                reached,
                more: false,
            });
        };
        // What an event is about is known only from what came before it.
        app.view.at_least(last).await?;
        for recorded in page {
            reached = recorded.position;
            if wanted(app, access, filter, &recorded) {
                events.push(recorded);
                if events.len() == limit {
                    return Ok(Found {
                        events,
                        reached,
                        more: true,
                    });
                }
            }
        }
        if reached.saturating_sub(position) >= MAX_SCANNED {
            return Ok(Found {
                events,
                reached,
                more: true,
            });
        }
    }
}

/// The last events that a caller may see and a filter takes, oldest first.
pub(crate) async fn last(
    app: &App,
    access: &Access,
    filter: &EventFilter,
    count: usize,
) -> Result<Vec<Recorded>, Fault> {
    let head = app.view.position();
    let floor = head.saturating_sub(MAX_SCANNED);
    let (mut found, mut upper) = (Vec::new(), head);
    while upper > floor && found.len() < count {
        let lower = upper.saturating_sub(STEP).max(floor);
        let mut page = app.context.log().after(lower).await?;
        page.retain(|recorded| recorded.position <= upper && wanted(app, access, filter, recorded));
        found.extend(page.into_iter().rev());
        upper = lower;
    }
    found.truncate(count);
    found.reverse();
    Ok(found)
}

/// Whether a caller may see an event and a filter takes it.
pub(crate) fn wanted(app: &App, access: &Access, filter: &EventFilter, recorded: &Recorded) -> bool {
    app.view
        .read(|view| view.sees_event(access, recorded) && filter.takes(view, recorded))
}

/// The position of the last event before a moment: found by halving, as time never runs back in the log.
pub(crate) async fn before(app: &App, moment: Timestamp) -> Result<u64, Fault> {
    let (mut low, mut high) = (0, app.context.log().head().await?);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if recorded_at(app, middle).await? < moment {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

async fn recorded_at(app: &App, position: u64) -> Result<Timestamp, Fault> {
    let row: (chrono::DateTime<chrono::Utc>,) =
        sqlx::query_as("select recorded_at from es.recorded where position = $1")
            .bind(position.cast_signed())
            .fetch_one(&app.context.db)
            .await
            .map_err(LogError::from)?;
    Ok(Timestamp::from(row.0))
}
