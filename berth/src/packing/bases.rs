//! Which images a Dockerfile builds on.

use berth_events::spec::registry_of;
use std::collections::{BTreeMap, BTreeSet};

/// Registries of the images that a Dockerfile names in `FROM` and `COPY --from`. Names that only the builder can
/// work out are left out; what it builds on then comes without a login.
pub fn registries(dockerfile: &str, args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let mut found = BTreeSet::new();
    for line in dockerfile.replace("\\\n", " ").lines() {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let image = match instruction.as_str() {
            "ARG" => {
                for word in words {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let value = args
                        .get(name)
                        .cloned()
                        .unwrap_or_else(|| default.trim_matches('"').to_owned());
                    known.insert(name.to_owned(), value);
                }
                continue;
            }
            "FROM" => {
                let words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
                if let [_, r#as, stage, ..] = words.as_slice()
                    && r#as.eq_ignore_ascii_case("as")
                {
                    stages.insert(stage.to_lowercase());
                }
                words.first().copied().unwrap_or_default()
            }
            "COPY" => words
                .find_map(|word| word.strip_prefix("--from="))
                .unwrap_or_default(),
            _ => continue,
        };
        let image = filled(image, &known);
        let own = stages.contains(&image.to_lowercase()) || image.chars().all(|c| c.is_ascii_digit());
        if !own && image != "scratch" && !image.contains('$') {
            found.insert(registry_of(&image).to_owned());
        }
    }
    found
}

/// Puts the values of arguments in the place of their names.
fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = text.to_owned();
    // The longest first: `$TAG` is the beginning of `$TAG_2`.
    let mut names: Vec<_> = known.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in names {
        out = out
            .replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_all_stages_are_found() {
        let text = "ARG BASE=r.example:5000/base\nFROM --platform=linux/amd64 golang:1 AS build\n\
                    RUN make\nFROM ${BASE}:2\nCOPY --from=build /a /a\nCOPY --from=ghcr.io/x/y /b /b\n\
                    COPY --from=0 /c /c\nFROM scratch\n";
        let found = registries(text, &BTreeMap::new());
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["docker.io", "ghcr.io", "r.example:5000"]
        );
        let args = [("BASE".to_owned(), "other.example/base".to_owned())].into();
        assert!(registries(text, &args).contains("other.example"));
    }

    #[test]
    fn what_only_the_builder_knows_is_left_out() {
        assert!(registries("FROM $UNKNOWN\n", &BTreeMap::new()).is_empty());
    }
}
