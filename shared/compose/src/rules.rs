//! Rules of placement: `KEY==PATTERN`, `KEY!=PATTERN`, `KEY==~PATTERN` (soft), from `environment:`
//! entries of the classic kind, from Swarm's labels and from `deploy.placement`.

use crate::cx::{Cx, Item, shorten};
use berth_events::spec::{
    Affinity, Constraint, DomainSpread, Operator, PlacementSpec, ReschedulePolicy, ZoneSpread,
};

/// Prefixes of `environment:` entries that are rules and not variables.
const PREFIXES: [&str; 5] = [
    "constraint",
    "affinity",
    "reschedule",
    "availability",
    "whitelist",
];
/// What `node.…` may name in a constraint, besides `node.labels.…`.
const NODE_KEYS: [&str; 4] = [
    "node.id",
    "node.hostname",
    "node.platform.os",
    "node.platform.arch",
];

/// Most domains that a rule may ask for.
const MAX_DOMAINS: u32 = 100;
/// Most labels beside the zone over whose values a service may be promised to be spread.
const MAX_DOMAIN_LABELS: usize = 2;

/// What the rules of a service say.
#[derive(Default)]
pub(crate) struct Rules {
    pub placement: PlacementSpec,
    pub reschedule: Option<ReschedulePolicy>,
}

impl Rules {
    /// Takes an `environment:` entry (`NAME=value` as one text) if it is a rule.
    pub(crate) fn take(&mut self, cx: &Cx, item: &Item<'_>, entry: &str) -> bool {
        let Some((prefix, rule)) = entry
            .split_once(':')
            .filter(|(prefix, _)| PREFIXES.contains(prefix))
        else {
            return false;
        };
        match prefix {
            "constraint" => self.constraint(cx, item, rule),
            "affinity" => self.affinity(cx, item, rule),
            "reschedule" => self.reschedule(cx, item, rule),
            "availability" => self.availability(cx, item, rule),
            _ => cx.warn(
                item,
                "compose.unsupported_rule",
                format!("the rule `{}` has no effect in this release", shorten(entry)),
                "use constraint:node!=NAME",
            ),
        }
        true
    }

    pub(crate) fn constraint(&mut self, cx: &Cx, item: &Item<'_>, rule: &str) {
        let Some(parts) = parse(cx, item, rule) else {
            return;
        };
        let key = if parts.key == "node" {
            "node.hostname".to_owned()
        } else {
            parts.key
        };
        if key == "node.role" {
            cx.warn(
                item,
                "compose.unsupported_rule",
                "`node.role` has no effect: every node runs containers, none is a manager",
                "label the nodes you mean and write node.labels.NAME==VALUE",
            );
            return;
        }
        let known = NODE_KEYS.contains(&key.as_str()) || key.starts_with("node.labels.");
        if key.starts_with("node.") && !known {
            let mut cure = format!("use node.labels.NAME, or one of {}", NODE_KEYS.join(", "));
            if let Some(near) = cx.nearest(&key, NODE_KEYS.into_iter()) {
                cure = format!("did you mean `{near}`? {cure}");
            }
            cx.error(
                item,
                "compose.rule",
                format!("a node has no `{}`", shorten(&key)),
                cure,
            );
            return;
        }
        self.placement.constraints.push(Constraint {
            key,
            operator: parts.operator,
            pattern: parts.pattern,
            soft: parts.soft,
        });
    }

    pub(crate) fn affinity(&mut self, cx: &Cx, item: &Item<'_>, rule: &str) {
        let Some(parts) = parse(cx, item, rule) else {
            return;
        };
        self.placement.affinities.push(Affinity {
            subject: parts.key,
            operator: parts.operator,
            pattern: parts.pattern,
            soft: parts.soft,
        });
    }

    /// `az==3` (a promise) or `az==~3` (as many as there are); the same for any label of nodes.
    fn availability(&mut self, cx: &Cx, item: &Item<'_>, rule: &str) {
        const CURE: &str = "write availability:az==3, or availability:az==~3 for as many zones as there are; \
                            in place of `az` any label of nodes, such as `rack`";
        let fault = |message: String| cx.error(item, "compose.rule", message, CURE);
        let Some(parts) = parse(cx, item, rule) else {
            return;
        };
        if parts.operator != Operator::Equal {
            return fault(format!(
                "`availability:{}` is no number of domains",
                shorten(rule)
            ));
        }
        let number = parts.pattern.parse::<u32>().ok();
        let Some(domains) = number.filter(|number| (1..=MAX_DOMAINS).contains(number)) else {
            return fault(format!(
                "`{}` is no number of {} from 1 to {MAX_DOMAINS}",
                shorten(&parts.pattern),
                domains_of(&parts.key)
            ));
        };
        self.promise(
            DomainSpread {
                label: parts.key,
                domains,
                soft: parts.soft,
            },
            fault,
        );
    }

    fn promise(&mut self, wanted: DomainSpread, fault: impl Fn(String)) {
        if is_zone(&wanted.label) {
            let wanted = ZoneSpread {
                zones: wanted.domains,
                soft: wanted.soft,
            };
            match self.placement.zones {
                Some(earlier) if earlier != wanted => {
                    fault("two rules say different things about zones".to_owned());
                }
                _ => self.placement.zones = Some(wanted),
            }
            return;
        }
        let domains = &mut self.placement.domains;
        match domains.iter().find(|earlier| earlier.label == wanted.label) {
            Some(earlier) if *earlier != wanted => fault(format!(
                "two rules say different things about `{}`",
                shorten(&wanted.label)
            )),
            Some(_) => {}
            None if domains.len() >= MAX_DOMAIN_LABELS => fault(format!(
                "a service may be spread over zones and {MAX_DOMAIN_LABELS} more labels, not more"
            )),
            None => domains.push(wanted),
        }
    }

    pub(crate) fn reschedule(&mut self, cx: &Cx, item: &Item<'_>, policy: &str) {
        match policy.trim_start_matches('=').trim() {
            "on-node-failure" => self.set_reschedule(cx, item, ReschedulePolicy::OnNodeFailure),
            "off" => self.set_reschedule(cx, item, ReschedulePolicy::Off),
            other => cx.error(
                item,
                "compose.rule",
                format!("`reschedule:{}` is not known", shorten(other)),
                "write reschedule:on-node-failure or reschedule:off",
            ),
        }
    }

    pub(crate) fn set_reschedule(&mut self, cx: &Cx, item: &Item<'_>, policy: ReschedulePolicy) {
        match self.reschedule {
            Some(earlier) if earlier != policy => cx.error(
                item,
                "compose.conflict",
                "two rules say different things about the loss of a node",
                "keep one of reschedule:on-node-failure (or x-berth-abandon-volume) and reschedule:off",
            ),
            _ => self.reschedule = Some(policy),
        }
    }

    /// Swarm's own labels hold rules as JSON lists. True if the label was one of them.
    pub(crate) fn take_label(&mut self, cx: &Cx, item: &Item<'_>, name: &str, value: &str) -> bool {
        let Some(kind) = name.strip_prefix("com.docker.swarm.") else {
            return false;
        };
        if !matches!(
            kind,
            "constraints" | "affinities" | "reschedule-policies" | "whitelists"
        ) {
            return false;
        }
        let Ok(rules) = serde_json::from_str::<Vec<String>>(value) else {
            let message = format!("`{name}` is no JSON list of texts");
            cx.error(item, "compose.rule", message, r#"write '["rule", "rule"]'"#);
            return true;
        };
        for rule in rules {
            match kind {
                "constraints" => self.constraint(cx, item, &rule),
                "affinities" => self.affinity(cx, item, &rule),
                "reschedule-policies" => self.reschedule(cx, item, &rule),
                _ => {
                    self.take(cx, item, &format!("whitelist:{rule}"));
                }
            }
        }
        true
    }
}

/// `az` is the word of the classic rule.
fn is_zone(key: &str) -> bool {
    matches!(key, "az" | "zone" | "node.zone")
}

fn domains_of(key: &str) -> String {
    if is_zone(key) {
        "zones".to_owned()
    } else {
        format!("values of `{}`", shorten(key))
    }
}

struct Parts {
    key: String,
    operator: Operator,
    pattern: String,
    soft: bool,
}

fn parse(cx: &Cx, item: &Item<'_>, rule: &str) -> Option<Parts> {
    const CURE: &str = "write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference";
    let fault = |message: String| {
        cx.error(item, "compose.rule", message, CURE);
        None
    };
    let equal = rule.find("==").map(|at| (at, Operator::Equal));
    let not_equal = rule.find("!=").map(|at| (at, Operator::NotEqual));
    let Some((at, operator)) = equal.into_iter().chain(not_equal).min_by_key(|(at, _)| *at) else {
        return fault(format!(
            "One of operator ==, != is expected in `{}`",
            shorten(rule)
        ));
    };
    let key = rule[..at].trim();
    let good_start = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !good_start
        || !key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    {
        return fault(format!("`{}` is no key of a rule", shorten(key)));
    }
    let value = rule[at + 2..].trim();
    let soft = value.starts_with('~');
    let value = value.trim_start_matches('~').trim();
    if value.is_empty() {
        return fault(format!("`{}` has no value", shorten(rule)));
    }
    let pattern = as_pattern(value);
    if let Some(expression) = inner(&pattern)
        && let Err(error) = regex::Regex::new(expression)
    {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ");
        return fault(format!("`{}` is no regular expression: {reason}", shorten(value)));
    }
    Some(Parts {
        key: key.to_owned(),
        operator,
        pattern,
        soft,
    })
}

fn inner(pattern: &str) -> Option<&str> {
    pattern
        .strip_prefix('/')?
        .strip_suffix('/')
        .filter(|text| !text.is_empty())
}

/// `(a|b*)` is a glob with alternatives in the classic rules; it becomes a regular expression.
fn as_pattern(value: &str) -> String {
    if inner(value).is_none() && value.contains('(') && value.contains(')') {
        format!("/^{}$/", value.replace('*', ".*"))
    } else {
        value.to_owned()
    }
}
