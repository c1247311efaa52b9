//! What `secrets` and `configs` hold: moved into the vault, each under a scope of its own, so that a changed
//! one replaces the containers that have it and no others.

use super::{PARALLEL_SECRETS, Reading};
use crate::{app::App, extract::Order, problem::Fault};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_compose::{BASE64, Content};
use berth_events::{
    PutSecret, StoredSecret,
    spec::{ApplicationSpec, EnvironmentValue, FileSpec, SecretRef},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;

/// The longest text, as JSON, that is stored as it is; one of many control characters is shorter in base64.
const MAX_TEXT_JSON_BYTES: usize = 250 * 1024;

/// A content as the vault gets it: the name of the value, and the value.
struct Value {
    name: String,
    text: String,
}

fn value(key: &str, content: &Content) -> Result<Option<Value>, Fault> {
    let plain = |text: &str| Value {
        name: key.to_owned(),
        text: text.to_owned(),
    };
    let encoded = |text: String| Value {
        name: format!("{key}{BASE64}"),
        text,
    };
    match content {
        Content::Kept => Ok(None),
        Content::Text(text) => {
            let json = serde_json::to_string(text).map_or(usize::MAX, |json| json.len());
            Ok(Some(if json > MAX_TEXT_JSON_BYTES {
                encoded(STANDARD.encode(text))
            } else {
                plain(text)
            }))
        }
        Content::Base64(text) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(match String::from_utf8(bytes) {
                Ok(text) => plain(&text),
                Err(_) => encoded(text.clone()),
            })),
            Err(_) => Err(
                Fault::invalid("compose.binaries", format!("the content of `{key}` is no base64"))
                    .cure("send the file's bytes in base64, with padding"),
            ),
        },
    }
}

/// Files whose content is not in the vault yet.
fn unstored(spec: &mut ApplicationSpec) -> impl Iterator<Item = (&String, &mut FileSpec, String)> {
    let files = spec.services.iter_mut().flat_map(|(service, spec)| {
        let files = spec.container.files.iter_mut();
        files.map(move |file| (service, file))
    });
    files.filter_map(|(service, file)| match &file.content {
        EnvironmentValue::Secret(reference) if reference.version == 0 => {
            let key = reference.key.clone();
            Some((service, file, key))
        }
        EnvironmentValue::Secret(_) | EnvironmentValue::Plain(_) => None,
    })
}

impl Reading {
    /// Some file's content is that of the release that runs.
    pub(super) fn keeps_contents(&self) -> bool {
        let mut contents = self.parsed.contents.values();
        contents.any(|content| *content == Content::Kept)
    }

    /// Refers to what the running release has, where the file leaves a content to the vault.
    pub(super) fn keep_contents(
        &self,
        spec: &mut ApplicationSpec,
        running: Option<&ApplicationSpec>,
        name: &str,
    ) -> Result<(), Fault> {
        for (service, file, key) in unstored(spec) {
            if self.parsed.contents.get(&key) != Some(&Content::Kept) {
                continue;
            }
            let files = running
                .and_then(|running| running.services.get(service))
                .map(|service| &service.container.files);
            let known = files.and_then(|files| files.iter().find(|known| known.target == file.target));
            let Some(known) = known else {
                let detail = format!(
                    "`{key}` of service `{service}` has no content, and no release of `{name}` that runs keeps one at `{}`",
                    file.target
                );
                return Err(Fault::invalid("compose.not_kept", detail)
                    .cure("name a `file:` that is there, or set the variable of its `environment:`"));
            };
            file.content = known.content.clone();
        }
        Ok(())
    }
}

impl App {
    /// Puts what the files of containers hold into the vault, and refers to it.
    pub(super) async fn store_contents(
        &self,
        order: &Order,
        reading: &Reading,
        secret: &PutSecret,
        spec: &mut ApplicationSpec,
    ) -> Result<(), Fault> {
        let mut put = Vec::new();
        for (key, content) in &reading.parsed.contents {
            if let Some(value) = value(key, content)? {
                let question = PutSecret {
                    scope: format!("{}/{key}", secret.scope),
                    values: BTreeMap::from([(value.name.clone(), value.text)]),
                    ..secret.clone()
                };
                put.push((key.clone(), value.name, question));
            }
        }
        if put.is_empty() {
            return Ok(());
        }
        tracing::debug!(actor = %order.principal.actor, contents = put.len(), "storing contents of files");
        let stored: BTreeMap<String, SecretRef> = stream::iter(put)
            .map(|(key, name, question)| async move {
                let cluster = question.cluster_id.to_string();
                let bus = &self.context.bus;
                let stored: StoredSecret = bus.ask("access", "put_secret", &cluster, &question).await?;
                let reference = SecretRef {
                    secret_id: stored.secret_id,
                    version: stored.version,
                    key: name,
                };
                Ok::<_, Fault>((key, reference))
            })
            .buffer_unordered(PARALLEL_SECRETS)
            .try_collect()
            .await?;
        for (_, file, key) in unstored(spec) {
            if let Some(reference) = stored.get(&key) {
                file.content = EnvironmentValue::Secret(reference.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy;
    use berth_api::{ComposeSource, Deploy};
    use std::collections::BTreeSet;

    const FILE: &str = "name: shop\nservices:\n  web: {image: nginx, secrets: [pw], configs: [site]}\n\
                        secrets: {pw: {environment: PW, x-berth-kept: true}}\nconfigs: {site: {file: site.bin}}\n";

    async fn read(variable: Option<&str>, binary: &str) -> Reading {
        let compose = ComposeSource {
            file_name: "shop.yml".into(),
            text: FILE.into(),
            environment: variable
                .map(|value| ("PW".into(), value.into()))
                .into_iter()
                .collect(),
            binaries: BTreeMap::from([("site.bin".into(), binary.into())]),
            ..ComposeSource::default()
        };
        let deploy = Deploy {
            compose: Some(compose),
            ..Deploy::default()
        };
        deploy::read(deploy, &BTreeSet::new(), deploy::Purpose::Live)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn no_content_is_in_the_command() {
        let reading = read(Some("planted"), "/wA=").await;
        let text = serde_json::to_string(&reading.parsed.spec).unwrap();
        assert!(!text.contains("planted") && !text.contains("/wA="), "{text}");
        assert!(!reading.keeps_contents());
        let names: Vec<_> = reading
            .parsed
            .contents
            .iter()
            .map(|(key, content)| value(key, content).unwrap().unwrap().name)
            .collect();
        assert_eq!(names, ["configs/site;base64", "secrets/pw"]);
    }

    #[tokio::test]
    async fn bytes_must_be_base64_and_text_is_stored_as_text() {
        let reading = read(Some("x"), "not base64!").await;
        let fault = value("configs/site", &reading.parsed.contents["configs/site"]).err();
        assert_eq!(fault.unwrap().code(), "compose.binaries");
        let reading = read(Some("x"), "aGk=").await;
        let stored = value("configs/site", &reading.parsed.contents["configs/site"]);
        let stored = stored.unwrap().unwrap();
        assert_eq!(
            (stored.name.as_str(), stored.text.as_str()),
            ("configs/site", "hi")
        );
        let control = Content::Text("\u{1}".repeat(150 * 1024));
        assert!(
            value("secrets/pw", &control)
                .unwrap()
                .unwrap()
                .name
                .ends_with(BASE64)
        );
    }

    #[tokio::test]
    async fn a_kept_content_is_that_of_the_running_release() {
        let reading = read(None, "/wA=").await;
        assert!(reading.keeps_contents());
        let mut spec = reading.parsed.spec.clone();
        let fault = reading.keep_contents(&mut spec, None, "shop").unwrap_err();
        assert_eq!(fault.code(), "compose.not_kept");
        let mut running = spec.clone();
        let kept = EnvironmentValue::Secret(SecretRef {
            secret_id: berth_ids::SecretId::from_u128(7),
            version: 2,
            key: "secrets/pw".into(),
        });
        running.services.get_mut("web").unwrap().container.files[0].content = kept.clone();
        reading.keep_contents(&mut spec, Some(&running), "shop").unwrap();
        assert_eq!(spec.services["web"].container.files[0].content, kept);
    }
}
