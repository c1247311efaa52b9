//! The view as a restart finds it.

use super::Lab;
use crate::view::SchedulerView;
use berth_eventsourcing::{RowKey, View};
use std::collections::BTreeMap;

/// All rows, and the view restored from them.
pub(crate) fn restored(lab: &Lab) -> SchedulerView {
    let mut rows: BTreeMap<RowKey, Option<String>> = BTreeMap::new();
    let mut view = SchedulerView::default();
    for recorded in lab.log.after(0) {
        for key in view.apply(recorded, &recorded.event().unwrap()) {
            rows.insert(key, None);
        }
    }
    for (key, json) in &mut rows {
        *json = view.row(key);
    }
    let mut again = SchedulerView::default();
    for (key, json) in rows {
        if let Some(json) = json {
            again.restore(key, &json).unwrap();
        }
    }
    again
}
