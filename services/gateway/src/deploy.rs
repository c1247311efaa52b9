//! From a Compose file or an image to a command without a secret in it (invariant 10).

use crate::{app::App, extract::Order, image::image_file, kept::Kept, problem::Fault, submit::Accepted};
use axum::http::StatusCode;
use berth_api::{ComposeSource, Deploy, Diagnostic, Severity};
use berth_compose::{Input, Parsed, Policy, policy_violations};
use berth_events::{
    CommandBody, DeployMethod, MatchedSecret, PutSecret, ReleaseSource, SchedulerCommand, SecurityPolicy,
    StoredSecret, StoredWarning,
    spec::{ApplicationSpec, EnvironmentValue, SecretRef},
};
use berth_ids::{ApplicationId, ClusterId, Name};
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Secrets put into the vault at the same time.
const PARALLEL_SECRETS: usize = 8;

/// Code of the warning that services on several nodes do not reach each other.
const SPREAD_NETWORK: &str = "compose.network_across_nodes";

/// A file that was read, and where it came from.
pub(crate) struct Reading {
    pub(crate) parsed: Parsed,
    pub(crate) source: ReleaseSource,
    pub(crate) kept: Kept,
}

/// Where a deploy goes.
pub(crate) struct Destination {
    pub(crate) cluster: ClusterId,
    pub(crate) policy: SecurityPolicy,
    pub(crate) name: Name,
    pub(crate) must_exist: Option<bool>,
    pub(crate) method: DeployMethod,
}

impl Destination {
    /// Only if an application of the name is (`true`) or is not (`false`) there.
    pub(crate) fn if_exists(mut self, must_exist: Option<bool>) -> Self {
        self.must_exist = must_exist;
        self
    }
}

/// What becomes of values that the vault keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vault {
    /// They are stored.
    Store,
    /// They are only compared with what is stored.
    Compare,
}

/// A deploy as it would be sent.
pub(crate) struct Prepared {
    pub(crate) command: SchedulerCommand,
    /// Values of the newest versions that would be the same in the next; only known if they were compared.
    pub(crate) same_values: BTreeSet<SecretRef>,
}

/// Reads what a deploy brings. The variables `keep` have the values that the running release keeps.
pub(crate) async fn read(
    deploy: Deploy,
    keep: &BTreeSet<String>,
    purpose: Purpose,
) -> Result<Reading, Fault> {
    let name = deploy.name.map(|name| name.to_string());
    let (source, mut compose) = match (deploy.compose, deploy.image) {
        (Some(compose), None) => {
            let source = ReleaseSource::Compose {
                file_name: compose.file_name.clone(),
                sha256: hex::encode(Sha256::digest(compose.text.as_bytes())),
            };
            (source, compose)
        }
        (None, Some(image)) => (
            ReleaseSource::Image {
                image: image.image.clone(),
            },
            image_file(image),
        ),
        (Some(_), Some(_)) | (None, None) => {
            return Err(
                Fault::invalid("deploy.source", "a deploy has one of `compose`, `image` and `template`")
                    .cure("send the text of a Compose file in `compose.text`, an image in `image.image`, or the name of a template in `template.name`"),
            );
        }
    };
    let kept = Kept::stand_in(&mut compose, keep);
    // Reading takes time with a large file: not among the tasks that answer others.
    let parsed = tokio::task::spawn_blocking(move || parse(&compose, name.as_deref(), purpose)).await;
    let parsed = parsed.map_err(|_| Fault::internal("reading the file was broken off"))?;
    let parsed = parsed.map_err(|faults| refused(&faults))?;
    Ok(Reading { parsed, source, kept })
}

pub(crate) fn parse(
    compose: &ComposeSource,
    name: Option<&str>,
    purpose: Purpose,
) -> Result<Parsed, Vec<berth_compose::Diagnostic>> {
    berth_compose::parse(&Input {
        file_name: &compose.file_name,
        text: &compose.text,
        project_name: name,
        environment: &compose.environment,
        dotenv: compose.dotenv.as_deref(),
        files: &compose.files,
        binaries: &compose.binaries,
        overrides: &compose.overrides,
        profiles: &compose.profiles,
        project_directory: None,
        builds: purpose.builds(compose),
    })
}

pub(crate) fn refused(faults: &[berth_compose::Diagnostic]) -> Fault {
    let errors = faults
        .iter()
        .filter(|fault| fault.severity == berth_compose::Severity::Error)
        .count();
    let first = faults
        .first()
        .map(|fault| fault.message.clone())
        .unwrap_or_default();
    let detail = match errors {
        0 | 1 => first,
        _ => format!("{errors} faults in the file, the first: {first}"),
    };
    Fault::invalid("compose.invalid", detail)
        .cure("correct the places that `errors` names")
        .errors(faults.iter().map(diagnostic).collect())
}

/// A fault of a file as the API shows it.
pub(crate) fn diagnostic(fault: &berth_compose::Diagnostic) -> Diagnostic {
    Diagnostic {
        severity: match fault.severity {
            berth_compose::Severity::Error => Severity::Error,
            berth_compose::Severity::Warning => Severity::Warning,
        },
        code: fault.code.to_string(),
        message: fault.message.clone(),
        cure: fault.cure.clone(),
        path: fault.path.clone(),
        file: fault.file.clone(),
        line: fault.line,
        column: fault.column,
        snippet: fault.snippet.clone(),
    }
}

impl Reading {
    /// The name that the application gets.
    pub(crate) fn name(&self) -> Result<Name, Fault> {
        let text = self.parsed.name.as_deref().ok_or_else(|| {
            Fault::invalid("application.name_missing", "the application has no name")
                .cure("add `name:` to the file, or send `name`")
        })?;
        Name::parse(text).map_err(|error| Fault::invalid("application.name", error.to_string()))
    }

    /// Leaves out what cannot matter where only one node is: all containers are together there.
    pub(crate) fn on_one_node(mut self) -> Self {
        self.parsed
            .warnings
            .retain(|warning| warning.code != SPREAD_NETWORK || warning.path != "services");
        self
    }

    /// What has no effect, as the API shows it.
    pub(crate) fn warnings(&self) -> Vec<Diagnostic> {
        self.parsed.warnings.iter().map(diagnostic).collect()
    }

    /// What the cluster's policy refuses.
    pub(crate) fn violations(&self, policy: SecurityPolicy) -> Vec<Diagnostic> {
        let violations = policy_violations(&self.parsed.spec, policy_of(policy));
        violations
            .iter()
            .map(|violation| diagnostic(&self.parsed.explain(violation)))
            .collect()
    }

    fn stored_warnings(&self) -> Vec<StoredWarning> {
        let warnings = self.parsed.warnings.iter();
        let stored = warnings.map(|warning| StoredWarning {
            code: warning.code.to_string(),
            path: warning.path.clone(),
            message: match warning.cure.as_str() {
                "" => warning.message.clone(),
                cure => format!("{}; {cure}", warning.message),
            },
            line: warning.line,
        });
        stored.collect()
    }

    /// Values of the environment that are not public, by service.
    fn secrets(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut secrets = BTreeMap::new();
        for (name, service) in &self.parsed.spec.services {
            let public = self.parsed.public.get(name);
            let mut values = BTreeMap::new();
            for (variable, value) in &service.container.environment {
                match value {
                    EnvironmentValue::Plain(text) if self.kept.is(text) => {}
                    EnvironmentValue::Plain(text) if !public.is_some_and(|keys| keys.contains(variable)) => {
                        values.insert(variable.clone(), text.clone());
                    }
                    EnvironmentValue::Plain(_) | EnvironmentValue::Secret(_) => {}
                }
            }
            if !values.is_empty() {
                secrets.insert(name.clone(), values);
            }
        }
        secrets
    }

    /// The specification without the values that are not public, for those who only look.
    pub(crate) fn redacted(&self) -> ApplicationSpec {
        let mut spec = self.parsed.spec.clone();
        for (service, values) in self.secrets() {
            if let Some(service) = spec.services.get_mut(&service) {
                service
                    .container
                    .environment
                    .retain(|variable, _| !values.contains_key(variable));
            }
        }
        spec
    }
}

fn policy_of(policy: SecurityPolicy) -> Policy {
    match policy {
        SecurityPolicy::Restricted => Policy::Restricted,
        SecurityPolicy::Baseline => Policy::Baseline,
        SecurityPolicy::Open => Policy::Open,
    }
}

/// Puts references in the place of values that the vault has.
fn refer(spec: &mut ApplicationSpec, service: &str, stored: &StoredSecret, keys: &[String]) {
    let Some(service) = spec.services.get_mut(service) else {
        return;
    };
    for key in keys {
        let reference = SecretRef {
            secret_id: stored.secret_id,
            version: stored.version,
            key: key.clone(),
        };
        service
            .container
            .environment
            .insert(key.clone(), EnvironmentValue::Secret(reference));
    }
}

impl App {
    /// Checks the policy, puts secrets into the vault, sends the command.
    pub(crate) async fn deploy(
        &self,
        order: &Order,
        reading: &Reading,
        to: Destination,
    ) -> Result<(Accepted, ApplicationId), Fault> {
        let cluster = to.cluster;
        let application_id: ApplicationId = order.derived("application");
        let prepared = self.prepare(order, reading, to, Vault::Store).await?;
        let accepted = self
            .submit(order, Some(cluster), CommandBody::Scheduler(prepared.command))
            .await?;
        let application = accepted.field("application_id").unwrap_or(application_id);
        Ok((accepted, application))
    }

    /// The command of a deploy, with references to the vault in the place of values.
    pub(crate) async fn prepare(
        &self,
        order: &Order,
        reading: &Reading,
        to: Destination,
        vault: Vault,
    ) -> Result<Prepared, Fault> {
        let violations = reading.violations(to.policy);
        if let Some(first) = violations.first() {
            let fault = Fault::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "compose.policy",
                first.message.clone(),
            );
            return Err(fault.cure(first.cure.clone()).errors(violations));
        }
        let mut spec = reading.parsed.spec.clone();
        self.keep(order, reading, &to, &mut spec).await?;
        let of_application = PutSecret {
            cluster_id: to.cluster,
            tenant: order.principal.tenant.clone(),
            scope: to.name.to_string(),
            values: BTreeMap::new(),
            actor: order.principal.actor.clone(),
        };
        self.store_contents(order, reading, &of_application, &mut spec)
            .await?;
        let put = reading.secrets().into_iter().map(|(service, values)| {
            let keys: Vec<String> = values.keys().cloned().collect();
            let secret = PutSecret {
                scope: format!("{}/{service}", to.name),
                values,
                ..of_application.clone()
            };
            self.put_secret(service, keys, secret, vault)
        });
        let stored: Vec<_> = stream::iter(put)
            .buffer_unordered(PARALLEL_SECRETS)
            .try_collect()
            .await?;
        let mut same_values = BTreeSet::new();
        for (service, keys, matched) in stored {
            refer(&mut spec, &service, &matched.stored, &keys);
            // Some values of the version before it are the same. Where all are, it is that version.
            let before = matched.stored.version.saturating_sub(1);
            if matched.same.len() < keys.len() {
                same_values.extend(matched.same.into_iter().map(|key| SecretRef {
                    secret_id: matched.stored.secret_id,
                    version: before,
                    key,
                }));
            }
        }
        let command = SchedulerCommand::Deploy {
            cluster_id: to.cluster,
            name: to.name,
            application_id: order.derived("application"),
            release_id: order.derived("release"),
            spec: Box::new(spec),
            source: reading.source.clone(),
            warnings: reading.stored_warnings(),
            method: to.method,
            must_exist: to.must_exist,
            expected_version: order.expected_version,
        };
        Ok(Prepared { command, same_values })
    }

    /// Values that the file leaves to the vault are those of the running release.
    async fn keep(
        &self,
        order: &Order,
        reading: &Reading,
        to: &Destination,
        spec: &mut ApplicationSpec,
    ) -> Result<(), Fault> {
        if reading.kept.is_empty() && !reading.keeps_contents() {
            return Ok(());
        }
        let head = self.context.log().head().await?;
        self.view.at_least(head).await?;
        let running = self.view.read(|view| {
            let row = view.find_application(&order.access, to.name.as_str(), Some(to.cluster));
            row.ok().map(|row| row.spec.clone())
        });
        reading.keep_contents(spec, running.as_ref(), to.name.as_str())?;
        let contents = reading.parsed.contents.values();
        reading
            .kept
            .fill(spec, contents, running.as_ref(), to.name.as_str())
    }

    async fn put_secret(
        &self,
        service: String,
        keys: Vec<String>,
        secret: PutSecret,
        vault: Vault,
    ) -> Result<(String, Vec<String>, MatchedSecret), Fault> {
        let cluster = secret.cluster_id.to_string();
        let bus = &self.context.bus;
        let matched = match vault {
            Vault::Store => MatchedSecret {
                stored: bus.ask("access", "put_secret", &cluster, &secret).await?,
                same: BTreeSet::new(),
            },
            Vault::Compare => bus.ask("access", "match_secret", &cluster, &secret).await?,
        };
        Ok((service, keys, matched))
    }
}

mod contents;
mod purpose;
pub(crate) use purpose::Purpose;
#[cfg(test)]
mod tests;
