//! An image with options, said as a Compose file.

use berth_api::{ComposeSource, ImageSource};
use serde_json::{Map, Value, json};

/// Name of the file that an image becomes, for messages.
const IMAGE_FILE: &str = "berth-run.json";

/// The file that says the same as an image with options. JSON is YAML; `$` is told from a variable.
pub(crate) fn image_file(image: ImageSource) -> ComposeSource {
    let plain = |text: &str| text.replace('$', "$$");
    let service_name = image.name.clone().unwrap_or_else(|| name_of_image(&image.image));
    let mut service = Map::new();
    service.insert("image".into(), json!(plain(&image.image)));
    if !image.ports.is_empty() {
        service.insert(
            "ports".into(),
            image.ports.iter().map(|port| plain(port)).collect(),
        );
    }
    if !image.environment.is_empty() {
        let values = image
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), json!(plain(value))));
        service.insert("environment".into(), Value::Object(values.collect()));
    }
    if let Some(command) = &image.command {
        service.insert("command".into(), command.iter().map(|word| plain(word)).collect());
    }
    if let Some(replicas) = image.replicas {
        service.insert("deploy".into(), json!({ "replicas": replicas }));
    }
    let file = json!({ "name": name_of_image(&image.image), "services": { service_name: service } });
    ComposeSource {
        file_name: IMAGE_FILE.to_owned(),
        text: format!("{file:#}"),
        ..ComposeSource::default()
    }
}

/// `registry:5000/team/Web_App:1.2@sha256:…` → `web_app`.
fn name_of_image(image: &str) -> String {
    let bare = image.split('@').next().unwrap_or_default();
    let last = bare.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().to_lowercase()
}
