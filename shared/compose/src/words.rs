//! Single texts that follow a form: host names, paths, signals, platforms.

use crate::cx::{Cx, Item, shorten};
use berth_events::spec::PullPolicy;

const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const MAX_SIGNAL: u32 = 64;

/// Letters, digits, `-`, `_` and dots, as host names have them.
pub(crate) fn is_host_name(name: &str) -> bool {
    const LONGEST: usize = 253;
    const LONGEST_LABEL: usize = 63;
    name.len() <= LONGEST
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= LONGEST_LABEL
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        })
}

pub(crate) fn hostname(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    if is_host_name(&text) {
        return Some(text);
    }
    let message = format!("`{}` is no host name", shorten(&text));
    cx.error(
        item,
        "compose.hostname",
        message,
        "use letters, digits, `-` and dots, up to 63 characters between dots",
    );
    None
}

pub(crate) fn stop_signal(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = bare
        .parse::<u32>()
        .is_ok_and(|number| (1..=MAX_SIGNAL).contains(&number));
    let realtime = bare.starts_with("RTMIN") || bare.starts_with("RTMAX");
    if number {
        return Some(bare.to_owned());
    }
    if realtime || SIGNALS.contains(&bare) {
        return Some(format!("SIG{bare}"));
    }
    let near = cx.nearest(bare, SIGNALS.into_iter());
    let cure = near.map_or_else(
        || "write a name such as SIGTERM or SIGINT, or a number".to_owned(),
        |near| format!("did you mean `SIG{near}`?"),
    );
    cx.error(
        item,
        "compose.stop_signal",
        format!("there is no signal `{}`", shorten(&text)),
        cure,
    );
    None
}

/// A path inside the container.
pub(crate) fn absolute(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    if text.starts_with('/') {
        return Some(text);
    }
    let message = format!("`{}`: `{}` is no absolute path", item.key, shorten(&text));
    cx.error(
        item,
        "compose.path",
        message,
        format!("write /{}", shorten(text.trim_start_matches("./"))),
    );
    None
}

pub(crate) fn platform(cx: &Cx, item: &Item<'_>) -> Option<String> {
    const OLDEST: usize = 2;
    const LONGEST: usize = 3;
    let text = cx.text(item)?;
    let parts: Vec<&str> = text.split('/').collect();
    let good = (OLDEST..=LONGEST).contains(&parts.len())
        && parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        });
    if good {
        return Some(text);
    }
    let message = format!("`{}` is no platform", shorten(&text));
    cx.error(
        item,
        "compose.platform",
        message,
        "write OS/ARCHITECTURE, such as linux/amd64 or linux/arm64/v8",
    );
    None
}

pub(crate) fn pull_policy(cx: &Cx, item: &Item<'_>) -> PullPolicy {
    let Some(text) = cx.text(item) else {
        return PullPolicy::default();
    };
    match text.as_str() {
        "always" => PullPolicy::Always,
        "never" => PullPolicy::Never,
        "missing" | "if_not_present" => PullPolicy::Missing,
        "daily" => PullPolicy::Every { seconds: DAY_SECONDS },
        "weekly" => PullPolicy::Every {
            seconds: 7 * DAY_SECONDS,
        },
        "build" | "refresh" => {
            pull_without_effect(cx, item, &text);
            PullPolicy::Missing
        }
        other => match other.strip_prefix("every_").and_then(period_seconds) {
            Some(seconds) => PullPolicy::Every { seconds },
            None => {
                let message = format!("`pull_policy`: `{}` is not known", shorten(other));
                cx.error(
                    item,
                    "compose.unknown_value",
                    message,
                    "write always, missing, never, daily, weekly or every_12h",
                );
                PullPolicy::default()
            }
        },
    }
}

const DAY_SECONDS: u64 = 86_400;

/// Seconds of `1w2d3h4m5s`, as Compose writes how often an image is pulled.
fn period_seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b'w' => 7 * DAY_SECONDS,
            b'd' => DAY_SECONDS,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    (total > 0).then_some(total)
}

fn pull_without_effect(cx: &Cx, item: &Item<'_>, text: &str) {
    let message = format!(
        "`pull_policy: {}` has no effect; the image is pulled if it is missing",
        shorten(text)
    );
    cx.warn(
        item,
        "compose.unsupported_value",
        message,
        "write always, missing, never, daily, weekly or every_12h",
    );
}
