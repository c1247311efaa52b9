//! The table of all labels.

/// What becomes of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The same as a key of Compose: it stands where the key does.
    Key,
    /// Read, shown with the service, not set on containers, so that a change of it re-creates none.
    Service,
    /// Read and shown likewise; the part of the platform that acts on it is not there yet.
    Stored,
    /// Set on containers as it is, for those who look for it there.
    Container,
}

/// One label, or all that begin with it if it ends with `.` or `_`.
pub(super) struct Known {
    pub name: &'static str,
    pub effect: Effect,
    /// What to do meanwhile, of a stored one.
    pub cure: &'static str,
}

impl Known {
    pub(super) fn names(&self, suffix: &str) -> bool {
        if self.name.ends_with(['.', '_']) {
            suffix.len() > self.name.len() && suffix.starts_with(self.name)
        } else {
            suffix == self.name
        }
    }
}

const fn known(name: &'static str, effect: Effect) -> Known {
    Known {
        name,
        effect,
        cure: "",
    }
}

const fn stored(name: &'static str, cure: &'static str) -> Known {
    Known {
        name,
        effect: Effect::Stored,
        cure,
    }
}

const ROUTE: &str = "publish the port with `ports` meanwhile";
const BALANCER: &str = "publish the port and enter the nodes at the balancer yourself";
const SCALING: &str = "use `berth scale` meanwhile";
const LOGS: &str = "`berth logs` shows what the containers write";
const MONITORING: &str = "`berth top` shows use of processor and memory";
const BATCH: &str = "write restart: \"no\" to let the containers run to their end once";

pub(super) const KNOWN: [Known; 43] = [
    known("scale", Effect::Key),
    known("global", Effect::Key),
    known("depends", Effect::Key),
    known("gpu", Effect::Key),
    known("priority", Effect::Service),
    known("rolling_updates", Effect::Key),
    known("rolling_updates.parallelism", Effect::Key),
    known("latest_image", Effect::Service),
    known("probe.url", Effect::Service),
    known("probe.cmd", Effect::Service),
    known("probe.timeout_seconds", Effect::Service),
    known("probe.initial_delay_seconds", Effect::Service),
    known("replace_unhealthy", Effect::Container),
    stored("routing.port_", ROUTE),
    stored("routing.session_sticky", ROUTE),
    stored("routing.weight", ROUTE),
    stored("routing.ssl_cert", ROUTE),
    stored("routing.extra_setting", ROUTE),
    stored("routing.timeout_setting", ROUTE),
    stored("routing.worker", ROUTE),
    known("lb.port_", Effect::Container),
    stored("vip.port_", BALANCER),
    stored("auto_scaling.", SCALING),
    stored("logs", LOGS),
    stored("log_store_", LOGS),
    stored("log_ttl_", LOGS),
    stored("log.timestamp", LOGS),
    stored("log_project", LOGS),
    stored("monitoring.script", MONITORING),
    stored("monitoring.http", MONITORING),
    stored("monitoring.conf", MONITORING),
    stored("monitoring.reload", MONITORING),
    stored("monitoring.tags", MONITORING),
    stored("monitoring.format", MONITORING),
    stored("monitoring.interval", MONITORING),
    stored("monitoring.addon.", MONITORING),
    stored("project_type", BATCH),
    stored("schedule", BATCH),
    stored("retry_count", BATCH),
    stored("remove_containers", BATCH),
    known("addon", Effect::Container),
    known("custom_addon", Effect::Container),
    known("proxy.", Effect::Container),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/labels.md");

    #[test]
    fn every_label_is_documented() {
        let headings: Vec<&str> = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .flat_map(|line| line.split(", "))
            .collect();
        for known in &KNOWN {
            let whole = known.name.trim_end_matches(['_', '.']);
            let word = whole.rsplit('.').next().unwrap_or(whole);
            let named = |heading: &&str| heading.starts_with(whole) || *heading == word;
            assert!(headings.iter().any(named), "{}", known.name);
        }
    }

    #[test]
    fn every_example_is_read() {
        let blocks = PAGE.split("```yaml\n").skip(1);
        let examples: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() > 20, "{}", examples.len());
        for example in examples {
            let text = if example.contains("services:") {
                example.to_owned()
            } else {
                let lines: String = example.lines().map(|line| format!("    {line}\n")).collect();
                let named = "\n  db: {image: db}\n  cache: {image: cache}\n";
                format!("services:\n  web:\n    image: nginx\n{lines}{named}")
            };
            let input = crate::Input {
                file_name: "labels.md",
                text: &text,
                project_name: None,
                environment: &Default::default(),
                dotenv: None,
                files: &Default::default(),
                binaries: &Default::default(),
                overrides: &[],
                profiles: &[],
                project_directory: None,
                builds: crate::Builds::Refused,
            };
            let read = crate::parse(&input);
            assert!(read.is_ok(), "{text}\n{:?}", read.err());
        }
    }
}
