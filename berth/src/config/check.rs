//! Whether settings make sense, each alone and together.

use super::{Config, Fault, Gathered, SERVICES};
use crate::cli::duration;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

/// The longest time that services are given to end.
const MAX_STOP: Duration = Duration::from_secs(600);

struct Check<'a> {
    gathered: &'a Gathered,
    faults: Vec<Fault>,
}

pub(super) fn check(gathered: &Gathered) -> Result<Config, Vec<Fault>> {
    let mut check = Check {
        gathered,
        faults: gathered.faults(),
    };
    let services = check.services();
    let embedded_only = check.flag("embedded_only");
    let some = !gathered.text("only").is_empty();
    // Whoever does not write the log never begins a folder: the order of starts does not matter.
    let attach = check.flag("attach") || (some && !embedded_only && !services.contains("ledger"));
    let data = PathBuf::from(gathered.text("data"));
    let creds = match gathered.text("creds_dir") {
        "" => data.join("creds"),
        text => PathBuf::from(text),
    };
    let config = Config {
        listen: check.address("listen"),
        http: check.loopback("http"),
        nats: check.address("nats"),
        advertise: check.advertise(),
        metrics: check.optional_address("metrics"),
        services: if embedded_only { BTreeSet::new() } else { services },
        embedded_only,
        attach,
        may_attach: some && !embedded_only,
        postgres_url: check.url("postgres_url", &["postgres", "postgresql"]),
        nats_url: check.url("nats_url", &["nats", "tls"]),
        creds_dir: creds,
        otlp: check.url("otlp", &["http", "https"]),
        json_logs: check.one_of("log_format", ["text", "json"]) == Some("json"),
        stop_timeout: check.stop_timeout(),
        durable: check.one_of("durability", ["full", "process_only"]) != Some("process_only"),
        data,
    };
    check.together(&config);
    if check.faults.is_empty() {
        Ok(config)
    } else {
        Err(check.faults)
    }
}

impl Check<'_> {
    fn fault(&mut self, key: &'static str, message: impl Into<String>) {
        let place = self.gathered.place(key);
        self.faults.push(Fault {
            place,
            message: message.into(),
        });
    }

    fn address(&mut self, key: &'static str) -> SocketAddr {
        let text = self.gathered.text(key);
        text.parse().unwrap_or_else(|_| {
            self.fault(
                key,
                format!("`{text}` is no address; write it like 0.0.0.0:7443 or [::]:7443"),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    fn optional_address(&mut self, key: &'static str) -> Option<SocketAddr> {
        match self.gathered.text(key) {
            "off" => None,
            _ => Some(self.address(key)),
        }
    }

    fn loopback(&mut self, key: &'static str) -> Option<SocketAddr> {
        let address = self.optional_address(key)?;
        if !address.ip().is_loopback() {
            let message =
                format!("{address} is not loopback, and there is no TLS on it; use `listen` for others");
            self.fault(key, message);
        }
        Some(address)
    }

    fn advertise(&mut self) -> Vec<String> {
        let hosts = list(self.gathered.text("advertise"));
        for host in &hosts {
            let bad = host.contains("://") || host.contains(['/', ' ', '@']);
            let port = host.parse::<std::net::IpAddr>().is_err() && host.contains(':');
            if bad || port {
                self.fault(
                    "advertise",
                    format!("`{host}` is no host; write names or addresses without scheme and port"),
                );
            }
        }
        hosts
    }

    fn services(&mut self) -> BTreeSet<&'static str> {
        let names = list(self.gathered.text("only"));
        if names.is_empty() {
            return SERVICES.into_iter().collect();
        }
        let mut services = BTreeSet::new();
        for name in names {
            let short = name.trim_end_matches("-svc");
            match SERVICES.into_iter().find(|service| *service == short) {
                Some(service) => {
                    services.insert(service);
                }
                None => self.fault(
                    "only",
                    format!("there is no service `{name}`; there are {}", SERVICES.join(", ")),
                ),
            }
        }
        services
    }

    fn flag(&mut self, key: &'static str) -> bool {
        match self.gathered.text(key) {
            "true" | "1" | "yes" => true,
            "" | "false" | "0" | "no" => false,
            other => {
                self.fault(key, format!("`{other}` is neither true nor false"));
                false
            }
        }
    }

    fn url(&mut self, key: &'static str, schemes: &[&str]) -> Option<String> {
        let text = self.gathered.text(key);
        if text.is_empty() {
            return None;
        }
        for url in text.split(',') {
            let good = url
                .split_once("://")
                .is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty());
            if !good {
                let shown = super::gather::without_password(url);
                self.fault(
                    key,
                    format!("`{shown}` must begin with {}://", schemes.join(":// or ")),
                );
            }
        }
        Some(text.to_owned())
    }

    fn one_of<const N: usize>(
        &mut self,
        key: &'static str,
        choices: [&'static str; N],
    ) -> Option<&'static str> {
        let text = self.gathered.text(key);
        let found = choices.into_iter().find(|choice| *choice == text);
        if found.is_none() {
            self.fault(key, format!("`{text}` is not one of {}", choices.join(", ")));
        }
        found
    }

    fn stop_timeout(&mut self) -> Duration {
        match duration(self.gathered.text("stop_timeout")) {
            Ok(time) if time <= MAX_STOP => time,
            Ok(_) => {
                self.fault("stop_timeout", format!("at most {}s", MAX_STOP.as_secs()));
                MAX_STOP
            }
            Err(message) => {
                self.fault("stop_timeout", message);
                MAX_STOP
            }
        }
    }

    fn together(&mut self, config: &Config) {
        if config.data.as_os_str().is_empty() {
            self.fault("data", "name a folder");
        }
        let mut taken: Vec<(&'static str, SocketAddr)> = Vec::new();
        let addresses = [
            ("listen", Some(config.listen)),
            ("http", config.http),
            ("nats", Some(config.nats)),
            ("metrics", config.metrics),
        ];
        for (key, address) in addresses {
            let Some(address) = address.filter(|address| address.port() != 0) else {
                continue;
            };
            if let Some((other, _)) = taken
                .iter()
                .find(|(_, seen)| seen.port() == address.port() && overlap(*seen, address))
            {
                self.fault(key, format!("{address} is already taken by `{other}`"));
            }
            taken.push((key, address));
        }
        if config.embedded_only && config.attach {
            self.fault(
                "attach",
                "waits for another process that runs NATS and Postgres, so `embedded_only` makes no sense",
            );
        }
        if config.embedded_only && (config.postgres_url.is_some() || config.nats_url.is_some()) {
            self.fault(
                "embedded_only",
                "runs own NATS and Postgres; leave postgres_url and nats_url away",
            );
        }
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified()
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Source, gather};
    use std::collections::BTreeMap;

    fn source<'a>(
        file: &str,
        environment: &'a dyn Fn(&str) -> Option<String>,
        options: &[(&'static str, &str)],
    ) -> Source<'a> {
        Source {
            file: Some(("berth.toml".into(), file.to_owned())),
            environment,
            options: options
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn options_win_over_environment_and_environment_over_file() {
        let file = "listen = \"1.1.1.1:1\"\nhttp = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\nadvertise = [\"a\", \"b\"]";
        let environment = |name: &str| match name {
            "BERTH_LISTEN" => Some("2.2.2.2:1".to_owned()),
            "BERTH_HTTP" => Some("127.0.0.1:4".to_owned()),
            _ => None,
        };
        let gathered = gather(&source(file, &environment, &[("listen", "3.3.3.3:1")]));
        let config = gathered.check().unwrap();
        assert_eq!(config.listen.to_string(), "3.3.3.3:1");
        assert_eq!(config.http.unwrap().to_string(), "127.0.0.1:4");
        assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:3");
        assert_eq!(config.advertise, ["a", "b"]);
        assert_eq!(config.services.len(), 8);
        let origins: Vec<_> = gathered
            .shown()
            .into_iter()
            .map(|(_, _, origin)| origin)
            .take(4)
            .collect();
        assert_eq!(
            origins,
            [
                Origin::Default,
                Origin::Option,
                Origin::Environment,
                Origin::Default
            ]
        );
    }

    #[test]
    fn all_faults_are_named_at_once_with_their_place() {
        let file = "listne = 1\nmetrics = 1.5\nhttp = \"0.0.0.0:80\"";
        let environment = |name: &str| (name == "BERTH_ONLY").then(|| "ledger,web".to_owned());
        let options = [
            ("listen", "here"),
            ("nats_url", "http://x"),
            ("log_format", "xml"),
            ("stop_timeout", "1y"),
        ];
        let faults = gather(&source(file, &environment, &options)).check().unwrap_err();
        let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn only_the_ledger_begins_a_folder() {
        let config = |only: &str| gather(&source("", &|_| None, &[("only", only)])).check().unwrap();
        let of = |only: &str| (config(only).attach, config(only).may_attach);
        assert_eq!(
            [of(""), of("scheduler,log"), of("ledger,log")],
            [(false, false), (true, true), (false, true)]
        );
    }

    #[test]
    fn ports_are_used_once() {
        let faults = gather(&source(
            "",
            &|_| None,
            &[("http", "127.0.0.1:7443"), ("nats", "10.0.0.1:7443")],
        ))
        .check()
        .unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = "postgres://admin:s3cret@db:5432/berth?x=1";
        let gathered = gather(&source("", &|_| None, &[("postgres_url", url)]));
        let shown = format!("{:?}", gathered.shown());
        assert!(
            shown.contains("admin:***@db:5432/berth") && !shown.contains("s3cret"),
            "{shown}"
        );
        assert_eq!(gathered.check().unwrap().postgres_url.as_deref(), Some(url));
    }
}
