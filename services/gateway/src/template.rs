//! From a template and values to the file that they make.

use crate::{app::App, deploy::diagnostic, gallery::Exhibit, problem::Fault};
use axum::http::StatusCode;
use berth_api::{ComposeSource, Deploy, Diagnostic, Severity, StoredTemplate, TemplateSource};
use berth_compose::{ValueFault, Values};
use berth_events::spec::Parameter;
use berth_gateway_core::Access;
use berth_ids::{ClusterId, Name};
use rand::{RngExt, distr::Alphanumeric};
use std::collections::{BTreeMap, BTreeSet};

/// The longest value of a parameter, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// A template with the version of its stream; none: it comes with Berth.
pub(crate) type FoundTemplate = (StoredTemplate, Option<u64>);

impl App {
    /// A stored template, or one of the gallery; a stored one hides the other.
    pub(crate) fn template(
        &self,
        access: &Access,
        name: &str,
        number: Option<u32>,
    ) -> Result<FoundTemplate, Fault> {
        let stored = self.view.read(|view| {
            let row = view.find_template(access, name)?;
            let shown = row.numbered(number).map(|version| row.answer(version));
            Ok::<_, berth_gateway_core::FindError>((shown, row.version))
        });
        let (mut found, version) = match (stored, Exhibit::named(name)) {
            (Ok((Some(found), version)), _) => (found, Some(version)),
            (Err(_), Some(exhibit)) if number.is_none_or(|number| number == 1) => (exhibit.answer(), None),
            (Ok((None, _)), _) | (Err(_), Some(_)) => {
                let number = number.unwrap_or_default();
                let detail = format!("template `{name}` has no version {number}, or it is too long ago");
                return Err(
                    Fault::new(StatusCode::NOT_FOUND, "template.version_not_found", detail)
                        .cure("`berth template show` lists its versions"),
                );
            }
            (Err(error), None) => {
                return Err(Fault::from(error).cure("`berth template ls` lists them"));
            }
        };
        found.parameters = parameters(&found.name, &found.text)?;
        Ok((found, version))
    }

    /// Puts the file that a template and its values make into a deploy. The answer names variables whose
    /// values the running release keeps.
    pub(crate) fn fill_in(
        &self,
        access: &Access,
        cluster: Option<ClusterId>,
        deploy: &mut Deploy,
    ) -> Result<BTreeSet<String>, Fault> {
        let Some(source) = deploy.template.take() else {
            return Ok(BTreeSet::new());
        };
        if deploy.compose.is_some() || deploy.image.is_some() {
            deploy.template = Some(source);
            return Ok(BTreeSet::new());
        }
        let (template, _) = self.template(access, &source.name, source.number)?;
        let values = fitted(&template, &source)?;
        if deploy.name.is_none() {
            deploy.name =
                Some(Name::parse(&template.name).map_err(|error| Fault::internal(error.to_string()))?);
        }
        let name = deploy.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let runs = self
            .view
            .read(|view| view.find_application(access, &name, cluster).is_ok());
        let (environment, keep) = complete(values, runs);
        deploy.compose = Some(ComposeSource {
            file_name: format!("template {}@{}", template.name, template.number),
            text: template.text,
            environment,
            profiles: source.profiles,
            ..ComposeSource::default()
        });
        Ok(keep)
    }
}

/// The parameters of a text, or its faults.
pub(crate) fn parameters(name: &str, text: &str) -> Result<Vec<Parameter>, Fault> {
    berth_compose::parameters(name, text).map_err(|faults| {
        let first = faults
            .first()
            .map(|fault| fault.message.clone())
            .unwrap_or_default();
        Fault::invalid("template.invalid", first)
            .cure("correct the places that `errors` names")
            .errors(faults.iter().map(diagnostic).collect())
    })
}

fn fitted(template: &StoredTemplate, source: &TemplateSource) -> Result<Values, Fault> {
    if let Some((name, _)) = source
        .values
        .iter()
        .find(|(_, value)| value.len() > MAX_VALUE_BYTES)
    {
        let detail = format!("the value of `{name}` has more than {MAX_VALUE_BYTES} bytes");
        return Err(Fault::invalid("template.value_size", detail).cure("put it into a file of a volume"));
    }
    berth_compose::fit(&template.parameters, &source.values).map_err(|faults| {
        let detail = match faults.as_slice() {
            [one] => one.message.clone(),
            several => format!(
                "{} values do not fit, the first: {}",
                several.len(),
                several[0].message
            ),
        };
        Fault::invalid("template.values", detail)
            .cure(format!(
                "`berth template show {}` explains its parameters",
                template.name
            ))
            .errors(faults.into_iter().map(place).collect())
    })
}

fn place(fault: ValueFault) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "template.value".into(),
        message: fault.message,
        cure: fault.cure,
        path: format!("values.{}", fault.name),
        ..Diagnostic::default()
    }
}

/// Makes values up for a new application; one that runs keeps those that it has.
fn complete(values: Values, runs: bool) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut environment = values.given;
    if runs {
        return (environment, values.generate.into_keys().collect());
    }
    for (name, length) in values.generate {
        let random = rand::rng().sample_iter(Alphanumeric).take(length as usize);
        environment.insert(name, random.map(char::from).collect());
    }
    (environment, BTreeSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deploy, gallery::GALLERY};

    #[tokio::test]
    async fn every_template_of_the_gallery_can_be_deployed_without_a_value() {
        for exhibit in GALLERY {
            let mut template = exhibit.answer();
            template.parameters = parameters(exhibit.name, exhibit.text).unwrap();
            let undeclared = template
                .parameters
                .iter()
                .filter(|p| p.description.is_empty())
                .count();
            assert_eq!(
                undeclared, 0,
                "{}: every parameter says what it is for",
                exhibit.name
            );
            let (environment, keep) = complete(fitted(&template, &TemplateSource::default()).unwrap(), false);
            assert!(keep.is_empty());
            let deploy = Deploy {
                name: Some(Name::parse(exhibit.name).unwrap()),
                compose: Some(ComposeSource {
                    file_name: exhibit.name.into(),
                    text: exhibit.text.into(),
                    environment,
                    ..ComposeSource::default()
                }),
                ..Deploy::default()
            };
            let reading = deploy::read(deploy, &keep, deploy::Purpose::Live).await.unwrap();
            let warnings: Vec<_> = reading
                .warnings()
                .into_iter()
                .map(|warning| warning.message)
                .collect();
            // An affinity keeps them together.
            let known = |text: &String| text.ends_with("when they run on the same node");
            assert!(warnings.iter().all(known), "{}: {warnings:?}", exhibit.name);
        }
    }

    #[test]
    fn names_of_the_gallery_are_sorted_and_found() {
        assert!(GALLERY.is_sorted_by_key(|exhibit| exhibit.name));
        assert!(Exhibit::named("WordPress").is_some());
        assert!(Exhibit::named("nothing").is_none());
    }

    #[test]
    fn made_up_values_are_kept_by_what_runs() {
        let values = || Values {
            given: BTreeMap::new(),
            generate: [("PASSWORD".to_owned(), 24)].into(),
        };
        let (new, keep) = complete(values(), false);
        assert!(new["PASSWORD"].len() == 24 && keep.is_empty());
        let (other, _) = complete(values(), false);
        assert_ne!(new, other);
        let (running, keep) = complete(values(), true);
        assert!(running.is_empty() && keep.contains("PASSWORD"));
    }
}
