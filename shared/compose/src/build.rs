//! `build` of a service: what its image is made of, and what becomes of that here.

use crate::{
    cx::{Cx, Item, shorten},
    keys, labels,
    mounts::within,
    runtime,
    variables::Variables,
};
use std::collections::BTreeMap;

/// Name of the file with the steps, unless another is named.
const DOCKERFILE: &str = "Dockerfile";
/// Most names of one image.
const MAX_TAGS: usize = 20;
/// Characters of a digest behind its kind.
const DIGEST_CHARS: usize = 64;
const DIGEST_KIND: &str = "sha256:";

/// What becomes of `build`.
#[derive(Debug, Clone, Copy, Default)]
pub enum Builds<'a> {
    /// Nothing was built: a service that has it is refused.
    #[default]
    Refused,
    /// Images are built later; [`Parsed::builds`](crate::Parsed::builds) says how.
    Later,
    /// They were built: digests by service. An empty one means the image as its registry has it.
    Done(&'a BTreeMap<String, String>),
}

/// How the image of a service is built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// Name under which it is pushed.
    pub image: String,
    /// Folder of its files, below the project folder; empty: that folder.
    pub context: String,
    /// Path of the Dockerfile below the project folder.
    pub dockerfile: String,
    /// Text of the Dockerfile, in place of a file.
    pub dockerfile_inline: Option<String>,
    /// Arguments; those without a value have the one of the caller's variable of that name, if it is set.
    pub args: BTreeMap<String, Option<String>>,
    /// Stage at which it ends.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Use nothing of earlier builds.
    pub no_cache: bool,
    /// Fetch base images anew.
    pub pull: bool,
    /// Network of the steps.
    pub network: Option<String>,
    /// Further host names, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Platform of the image.
    pub platform: Option<String>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Images whose layers may be used again.
    pub cache_from: Vec<String>,
    /// Size of `/dev/shm` in the steps; 0: the engine's default.
    pub shm_bytes: u64,
}

/// The image of a service that has `build`, by its name in the file.
pub(crate) fn image(
    cx: &Cx,
    build: &Item<'_>,
    (service, named): (&str, Option<String>),
    builds: Builds<'_>,
) -> String {
    const NAME: &str = "write `image: REGISTRY/NAME:TAG` beside `build`: the image is pushed under that name, with the login of `berth registry login REGISTRY`";
    let Some(named) = named else {
        let message = "the service has `build`, and no `image` that says where the image goes";
        cx.error(build, "compose.build", message, NAME);
        return String::new();
    };
    if named.contains('@') {
        let message = format!(
            "`{}` names a digest, which is known only when the image is built",
            shorten(&named)
        );
        cx.error(build, "compose.build", message, "leave the digest out of `image`");
        return named;
    }
    let digest = match builds {
        Builds::Later => {
            let message = format!(
                "`{}` is built and pushed by `berth deploy`, on a node",
                shorten(&named)
            );
            cx.warn(
                build,
                "compose.build_later",
                message,
                "`berth build FILE` does it before",
            );
            return named;
        }
        Builds::Refused => None,
        Builds::Done(digests) => digests.get(service),
    };
    match digest.map(String::as_str) {
        Some("") => named,
        Some(digest) if is_digest(digest) => format!("{named}@{digest}"),
        Some(digest) => {
            let message = format!("`{}` is no digest of a built image", shorten(digest));
            cx.error(
                build,
                "compose.build",
                message,
                "send sha256: and 64 hexadecimal digits",
            );
            named
        }
        None => {
            let message = format!(
                "`{}` was not built: what its `build` needs is not here",
                shorten(&named)
            );
            let cure = "deploy with `berth deploy FILE`, which sends the folder to a node, or push the image yourself and remove `build`";
            cx.error(build, "compose.build", message, cure);
            named
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(DIGEST_KIND)
        .is_some_and(|hex| hex.len() == DIGEST_CHARS && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

/// How an image is built.
pub(crate) fn read(cx: &Cx, item: &Item<'_>, image: &str, variables: &Variables<'_>) -> Build {
    let mut build = Build {
        image: image.to_owned(),
        dockerfile: DOCKERFILE.to_owned(),
        ..Build::default()
    };
    // The short form is the context.
    if item.raw().is_some() {
        build.context = folder(cx, item);
        build.dockerfile = below(&build.context, DOCKERFILE);
        return build;
    }
    cx.map(item, "build: {context: .}");
    cx.check_keys(item, &keys::BUILD);
    let get = |name: &str| item.child(name).filter(|item| !item.is_null());
    let text = |name: &str| get(name).and_then(|item| cx.text(&item));
    let truth = |name: &str| get(name).and_then(|item| cx.truth(&item)).unwrap_or(false);
    let texts =
        |name: &str, example: &str| get(name).map(|item| cx.texts(&item, example)).unwrap_or_default();
    build.context = get("context").map(|item| folder(cx, &item)).unwrap_or_default();
    dockerfile(cx, item, &mut build);
    build.args = get("args")
        .map(|item| args(cx, &item, variables))
        .unwrap_or_default();
    build.target = text("target");
    build.labels = get("labels")
        .map(|item| labels::table(cx, &item))
        .unwrap_or_default();
    build.no_cache = truth("no_cache");
    build.pull = truth("pull");
    build.network = text("network");
    build.extra_hosts = get("extra_hosts")
        .map(|item| runtime::extra_hosts(cx, &item))
        .unwrap_or_default();
    build.platform = get("platforms").and_then(|item| platform(cx, &item));
    build.tags = texts("tags", "tags: [registry/name:tag]");
    build.cache_from = texts("cache_from", "cache_from: [registry/name:tag]");
    build.shm_bytes = get("shm_size").and_then(|item| cx.bytes(&item)).unwrap_or(0);
    if build.tags.len() > MAX_TAGS {
        let message = format!(
            "the image has {} further names, more than {MAX_TAGS}",
            build.tags.len()
        );
        cx.error(item, "compose.build", message, "give it fewer `tags`");
    }
    build
}

fn dockerfile(cx: &Cx, item: &Item<'_>, build: &mut Build) {
    build.dockerfile = below(&build.context, DOCKERFILE);
    let inline = item.child("dockerfile_inline").filter(|item| !item.is_null());
    let named = item.child("dockerfile").filter(|item| !item.is_null());
    if let (Some(inline), Some(_)) = (&inline, &named) {
        let message = "`dockerfile` and `dockerfile_inline` say the same thing twice";
        cx.error(inline, "compose.build", message, "keep one of the two");
    }
    build.dockerfile_inline = inline.and_then(|item| cx.text(&item));
    let Some(named) = named else { return };
    let Some(text) = cx.text(&named) else { return };
    match within(&below(&build.context, &text)).filter(|path| !path.is_empty() && !text.starts_with('/')) {
        Some(path) => build.dockerfile = path,
        None => outside(cx, &named, &text),
    }
}

/// A folder of the project.
fn folder(cx: &Cx, item: &Item<'_>) -> String {
    let Some(text) = cx.text(item) else {
        return String::new();
    };
    let remote = text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/");
    if remote || text.starts_with("service:") {
        let message = format!("`{}` is no folder", shorten(&text));
        let cure =
            "fetch it beside the Compose file, and name that folder: a node builds what is sent to it only";
        cx.error(item, "compose.build_context", message, cure);
        return String::new();
    }
    within(&text).unwrap_or_else(|| {
        outside(cx, item, &text);
        String::new()
    })
}

fn outside(cx: &Cx, item: &Item<'_>, text: &str) {
    let message = format!("`{}` is not inside the project folder", shorten(text));
    let cure = "move it beside the Compose file: only files of the project folder are sent to a node";
    cx.error(item, "compose.build_context", message, cure);
}

fn below(folder: &str, path: &str) -> String {
    match folder {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}

fn args(cx: &Cx, item: &Item<'_>, variables: &Variables<'_>) -> BTreeMap<String, Option<String>> {
    let pairs = cx.pairs(item, "args: {NAME: value}").into_iter();
    pairs
        .map(|(name, value, _)| {
            let value = value.or_else(|| variables.get(&name).map(str::to_owned));
            (name, value)
        })
        .collect()
}

/// One image is of one platform.
fn platform(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let items = if item.raw().is_some() {
        vec![item.clone()]
    } else {
        item.items()
    };
    if items.len() > 1 {
        let message = format!(
            "the image is to be of {} platforms, and a node builds for one",
            items.len()
        );
        let cure =
            "name one of them, or build the others where their processors are, and push a manifest list";
        cx.error(item, "compose.build", message, cure);
    }
    crate::words::platform(cx, items.first()?)
}
