//! Values that a file leaves to the vault: `berth app template APP | berth deploy -` keeps them.

use crate::problem::Fault;
use berth_api::ComposeSource;
use berth_compose::{Content, KEPT};
use berth_events::spec::{ApplicationSpec, EnvironmentValue};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The most variables that one file may leave to the vault.
const MAX_KEPT: usize = 1_000;

/// What stands in a file for values that the vault has, by stand-in: the variable.
#[derive(Debug, Default)]
pub(crate) struct Kept(BTreeMap<String, String>);

impl Kept {
    /// Gives every variable that is asked for as `${NAME:?kept in the vault}`, or that is named, and that has
    /// no value, a stand-in that nobody can guess.
    pub(crate) fn stand_in(compose: &mut ComposeSource, keep: &BTreeSet<String>) -> Self {
        let mut asked = asked_for(&compose.text);
        asked.extend(keep.iter().cloned());
        if asked.is_empty() {
            return Self::default();
        }
        let outer = |name: &str| compose.environment.get(name).cloned();
        let dotenv = compose.dotenv.as_deref().unwrap_or_default();
        // A `.env` with faults is refused with its places when the file is read.
        let given = berth_compose::dotenv::read(dotenv, &outer).map(|read| read.values);
        let given = given.unwrap_or_default();
        // An empty value is none: `:?` refuses it.
        let known = |name: &String| {
            let value = compose.environment.get(name).or_else(|| given.get(name));
            value.is_some_and(|value| !value.is_empty())
        };
        asked.retain(|name| !known(name));
        let mut kept = BTreeMap::new();
        for name in asked.into_iter().take(MAX_KEPT) {
            let stand_in = format!("berth-kept-{}", Uuid::new_v4().simple());
            compose.environment.insert(name.clone(), stand_in.clone());
            kept.insert(stand_in, name);
        }
        Self(kept)
    }

    /// The file leaves nothing to the vault.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value is a stand-in.
    pub(crate) fn is(&self, value: &str) -> bool {
        self.0.contains_key(value)
    }

    /// Puts the running release's references in the place of the stand-ins.
    pub(crate) fn fill<'c>(
        &self,
        spec: &mut ApplicationSpec,
        contents: impl Iterator<Item = &'c Content>,
        running: Option<&ApplicationSpec>,
        name: &str,
    ) -> Result<(), Fault> {
        for (service, wanted) in &mut spec.services {
            let before = running.and_then(|spec| spec.services.get(service));
            for (key, value) in &mut wanted.container.environment {
                let variable = match value {
                    EnvironmentValue::Plain(text) => self.0.get(text),
                    EnvironmentValue::Secret(_) => None,
                };
                let Some(variable) = variable else { continue };
                match before.and_then(|service| service.container.environment.get(key)) {
                    Some(kept @ EnvironmentValue::Secret(_)) => *value = kept.clone(),
                    Some(EnvironmentValue::Plain(_)) | None => {
                        return Err(not_kept(name, service, key, variable));
                    }
                }
            }
        }
        // A plan has no other secrets, so this is its whole text.
        let mut text = serde_json::to_string(spec).map_err(|error| Fault::internal(error.to_string()))?;
        for content in contents {
            if let Content::Text(content) = content {
                text.push_str(content);
            }
        }
        match self
            .0
            .iter()
            .find(|(stand_in, _)| text.contains(stand_in.as_str()))
        {
            Some((_, variable)) => Err(elsewhere(variable)),
            None => Ok(()),
        }
    }
}

/// Variables that a text asks for as a printed template does.
fn asked_for(text: &str) -> BTreeSet<String> {
    let end = format!(":?{KEPT}}}");
    let mut pieces: Vec<&str> = text.split(end.as_str()).collect();
    pieces.pop();
    let names = pieces
        .into_iter()
        .filter_map(|piece| piece.rsplit_once("${").map(|(_, name)| name));
    let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    names.filter(plain).map(str::to_owned).collect()
}

fn not_kept(name: &str, service: &str, key: &str, variable: &str) -> Fault {
    let detail = format!(
        "`{key}` of service `{service}` has no value, and no release of `{name}` that runs keeps one"
    );
    Fault::invalid("compose.not_kept", detail).cure(format!("give it: `-e {variable}=VALUE`, or in `.env`"))
}

fn elsewhere(variable: &str) -> Fault {
    let detail =
        format!("`${{{variable}:?{KEPT}}}` is part of another value, but only a whole variable is kept");
    Fault::invalid("compose.kept_part", detail).cure(format!("give it: `-e {variable}=VALUE`, or in `.env`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy;
    use berth_api::Deploy;
    use berth_events::spec::SecretRef;

    const TEMPLATE: &str = "name: shop\nservices:\n  web:\n    image: nginx\n    environment:\n      \
                            PASSWORD: \"${PASSWORD:?kept in the vault}\"\n";

    fn source(text: &str) -> ComposeSource {
        ComposeSource {
            file_name: "shop.yml".into(),
            text: text.into(),
            ..ComposeSource::default()
        }
    }

    async fn filled(text: &str, running: Option<&ApplicationSpec>) -> Result<ApplicationSpec, Fault> {
        let deploy = Deploy {
            compose: Some(source(text)),
            ..Deploy::default()
        };
        let reading = deploy::read(deploy, &BTreeSet::new(), deploy::Purpose::Live).await?;
        let mut spec = reading.parsed.spec.clone();
        let contents = reading.parsed.contents.values();
        reading.kept.fill(&mut spec, contents, running, "shop")?;
        Ok(spec)
    }

    async fn running() -> ApplicationSpec {
        let mut spec = deploy::read(
            Deploy {
                compose: Some(source(
                    "name: shop\nservices:\n  web:\n    image: nginx\n    environment: {PASSWORD: planted}\n",
                )),
                ..Deploy::default()
            },
            &BTreeSet::new(),
            deploy::Purpose::Live,
        )
        .await
        .unwrap()
        .parsed
        .spec;
        let reference = SecretRef {
            secret_id: berth_ids::SecretId::from_u128(7),
            version: 2,
            key: "PASSWORD".into(),
        };
        spec.services
            .get_mut("web")
            .unwrap()
            .container
            .environment
            .insert("PASSWORD".into(), EnvironmentValue::Secret(reference));
        spec
    }

    #[tokio::test]
    async fn a_template_keeps_what_the_vault_has() {
        let running = running().await;
        let text = berth_compose::render(Some("shop"), &running, &|_, _, _| None);
        assert_eq!(filled(&text, Some(&running)).await.unwrap(), running);
    }

    #[tokio::test]
    async fn nothing_to_keep_is_an_error_with_its_variable() {
        let fault = filled(TEMPLATE, None).await.unwrap_err();
        assert_eq!(fault.code(), "compose.not_kept");
        let other = TEMPLATE.replace("  web:", "  api:");
        let fault = filled(&other, Some(&running().await)).await.unwrap_err();
        assert_eq!(fault.code(), "compose.not_kept");
    }

    #[tokio::test]
    async fn a_kept_value_is_no_part_of_another() {
        let text = TEMPLATE.replace("image: nginx", "image: \"nginx:${PASSWORD:?kept in the vault}\"");
        let fault = filled(&text, Some(&running().await)).await.unwrap_err();
        assert_eq!(fault.code(), "compose.kept_part");
    }

    #[test]
    fn values_that_are_given_win_and_other_questions_stay() {
        let mut given = source(TEMPLATE);
        given.environment.insert("PASSWORD".into(), "new".into());
        assert!(Kept::stand_in(&mut given, &BTreeSet::new()).is_empty());
        let mut dotenv = source(TEMPLATE);
        dotenv.dotenv = Some("PASSWORD=new\n".into());
        assert!(Kept::stand_in(&mut dotenv, &BTreeSet::new()).is_empty());
        let mut other = source("services: {web: {image: \"${TAG:?which one}\"}}");
        assert!(Kept::stand_in(&mut other, &BTreeSet::new()).is_empty());
    }
}
