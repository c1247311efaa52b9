//! What the name of an image says: its registry.

/// The registry of names that name none.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// The registry that an image comes from, as engines read its name: the part before the first `/` if it looks
/// like a host, else [`DEFAULT_REGISTRY`].
pub fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some(("index.docker.io", _)) => DEFAULT_REGISTRY,
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => host,
        Some(_) | None => DEFAULT_REGISTRY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_host_is_a_registry() {
        for (image, registry) in [
            ("busybox", "docker.io"),
            ("busybox:1.36", "docker.io"),
            ("library/busybox", "docker.io"),
            ("index.docker.io/library/busybox", "docker.io"),
            ("ghcr.io/shop/web:2", "ghcr.io"),
            ("localhost/web", "localhost"),
            ("registry:5000/web@sha256:00", "registry:5000"),
            ("10.77.1.254:5000/a/b", "10.77.1.254:5000"),
        ] {
            assert_eq!(registry_of(image), registry, "{image}");
        }
    }
}
