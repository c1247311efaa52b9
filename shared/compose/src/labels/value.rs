//! Values of labels: texts, truth values and numbers, each with or without quotes.

use crate::cx::{Cx, Item, shorten};

/// A fault of a label's value.
pub(super) fn fault(cx: &Cx, item: &Item<'_>, message: String, cure: &str) {
    cx.error(item, "compose.label", message, cure);
}

/// `true` or `false`.
pub(super) fn truth(cx: &Cx, item: &Item<'_>, text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" | "" => Some(false),
        other => {
            let message = format!("the label says `{}`, neither true nor false", shorten(other));
            fault(cx, item, message, "write 'true' or 'false'");
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn number(cx: &Cx, item: &Item<'_>, text: &str, least: u64, most: u64) -> Option<u64> {
    let number = text.trim().parse::<u64>().ok();
    let number = number.filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let message = format!("the label says `{}`", shorten(text));
        fault(
            cx,
            item,
            message,
            &format!("write a whole number from {least} to {most}"),
        );
    }
    number
}

/// A port, from the name of a label or from its value.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|port| *port > 0)
}
