//! Logins of registries. Their passwords go to the vault before anything else, and are never answered.

use crate::{
    app::{App, Shared},
    auth::{Deploying, Reading},
    extract::{NoBody, Read, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{extract::State, http::StatusCode};
use berth_api::{Registries, Registry, RegistryLogin, Written};
use berth_events::{
    AccessCommand, CommandBody, LOGIN_PASSWORD, LOGIN_SCOPE, LOGIN_USERNAME, ListLogins, PutSecret,
    StoredLogin, StoredSecret, spec::registry_of,
};
use berth_ids::ClusterId;
use std::collections::BTreeMap;

/// The longest name of a registry, in bytes.
const MAX_REGISTRY_BYTES: usize = 110;
/// The longest user name, in bytes.
const MAX_USERNAME_BYTES: usize = 256;
/// The longest password or access token, in bytes.
const MAX_PASSWORD_BYTES: usize = 16 * 1024;

/// Stores the login of a registry for a cluster. Its nodes pull images of the registry with it from then on.
#[utoipa::path(put, path = "/v1/clusters/{cluster}/registries/{registry}", tag = "registries",
    request_body = RegistryLogin,
    params(("cluster" = String, Path, description = "Id or name"),
        ("registry" = String, Path, description = "As names of images begin: `ghcr.io`, `host:5000`, `docker.io`")),
    responses((status = 200, description = "Stored", body = Written)))]
pub(crate) async fn put_registry(
    State(app): State<Shared>,
    Segment((cluster, registry)): Segment<(String, String)>,
    Write { order, body, .. }: Write<Deploying, RegistryLogin>,
) -> Result<At<Written>, Fault> {
    let cluster_id = app.view.read(|view| {
        let found = view.find_cluster(&order.access, &cluster);
        found.map(|row| row.id)
    })?;
    let registry = checked(&registry, &body)?;
    let secret = PutSecret {
        cluster_id,
        tenant: order.principal.tenant.clone(),
        scope: format!("{LOGIN_SCOPE}{registry}"),
        values: BTreeMap::from([
            (LOGIN_USERNAME.to_owned(), body.username),
            (LOGIN_PASSWORD.to_owned(), body.password),
        ]),
        actor: order.principal.actor.clone(),
    };
    let bus = &app.context.bus;
    let stored: StoredSecret = bus
        .ask("access", "put_secret", &cluster_id.to_string(), &secret)
        .await?;
    tracing::info!(target: "audit", actor = order.principal.actor, cluster.id = %cluster_id,
        "stored a login of registry `{registry}`");
    let position = app.context.log().head().await?;
    let written = Written {
        position,
        command_id: order.command_id,
        id: stored.secret_id.to_string(),
        name: Some(registry),
    };
    Ok(At::shown(position, written))
}

/// Lists the registries of which a cluster has a login.
#[utoipa::path(get, path = "/v1/clusters/{cluster}/registries", tag = "registries",
    params(("cluster" = String, Path, description = "Id or name")),
    responses((status = 200, description = "All of them", body = Registries)))]
pub(crate) async fn list_registries(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(cluster): Segment,
) -> Result<At<Registries>, Fault> {
    let cluster_id = app.view.read(|view| {
        let found = view.find_cluster(&caller.access, &cluster);
        found.map(|row| row.id)
    })?;
    let position = app.view.position();
    let stored = app.logins(cluster_id).await?;
    let items = stored.into_iter().map(|login| Registry {
        registry: login.registry,
        username: login.username,
        stored_at: login.stored_at,
        stored_by: login.stored_by,
    });
    let items = items.collect();
    Ok(At::shown(position, Registries { items }))
}

/// Destroys the stored login of a registry. Images that nodes have stay there.
#[utoipa::path(delete, path = "/v1/clusters/{cluster}/registries/{registry}", tag = "registries",
    params(("cluster" = String, Path, description = "Id or name"),
        ("registry" = String, Path, description = "As it was stored")),
    responses((status = 200, description = "Destroyed", body = Written)))]
pub(crate) async fn delete_registry(
    State(app): State<Shared>,
    Segment((cluster, registry)): Segment<(String, String)>,
    Write { order, .. }: Write<Deploying, NoBody>,
) -> Result<At<Written>, Fault> {
    let cluster_id = app.view.read(|view| {
        let found = view.find_cluster(&order.access, &cluster);
        found.map(|row| row.id)
    })?;
    let stored = app.logins(cluster_id).await?;
    let name = canonical(&registry);
    let login = stored.into_iter().find(|login| login.registry == name);
    let login = login.ok_or_else(|| {
        Fault::new(
            StatusCode::NOT_FOUND,
            "registry.unknown",
            format!("no login of the registry `{name}` is stored"),
        )
        .cure("see `berth registry ls`")
    })?;
    let command = AccessCommand::ForgetLogin {
        cluster_id,
        secret_id: login.secret_id,
    };
    let accepted = app
        .submit(&order, Some(cluster_id), CommandBody::Access(command))
        .await?;
    let written = accepted.written(login.secret_id, Some(login.registry));
    Ok(At::shown(accepted.position, written))
}

/// As scopes have it.
fn canonical(registry: &str) -> String {
    registry_of(&format!("{}/x", registry.to_lowercase())).to_owned()
}

/// The registry's name, if it and the login can be what they should be.
fn checked(registry: &str, login: &RegistryLogin) -> Result<String, Fault> {
    let name = canonical(registry);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_docker_hub = ["docker.io", "index.docker.io"].contains(&registry.to_lowercase().as_str());
    let is_host = name == registry.to_lowercase() || is_docker_hub;
    if !is_host || name.len() > MAX_REGISTRY_BYTES || !name.chars().all(plain) {
        let detail = format!("`{registry}` is no registry");
        return Err(Fault::invalid("registry.name", detail).cure(
            "give it as names of images begin, without a scheme: `ghcr.io`, `host:5000`, `docker.io`",
        ));
    }
    for (what, text, most) in [
        ("username", &login.username, MAX_USERNAME_BYTES),
        ("password", &login.password, MAX_PASSWORD_BYTES),
    ] {
        if text.is_empty() || text.len() > most {
            let detail = format!("`{what}` has {} bytes; it can have 1 to {most}", text.len());
            return Err(Fault::invalid("registry.login", detail));
        }
    }
    Ok(name)
}

impl App {
    async fn logins(&self, cluster: ClusterId) -> Result<Vec<StoredLogin>, Fault> {
        let bus = &self.context.bus;
        let key = cluster.to_string();
        Ok(bus.ask("access", "registries", &key, &ListLogins {}).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(registry: &str) -> Result<String, String> {
        let login = RegistryLogin {
            username: "ada".into(),
            password: "p".into(),
        };
        checked(registry, &login).map_err(|fault| fault.code().to_owned())
    }

    #[test]
    fn a_registry_is_named_as_images_begin() {
        assert_eq!(name("GHCR.io"), Ok("ghcr.io".into()));
        assert_eq!(name("10.0.0.1:5000"), Ok("10.0.0.1:5000".into()));
        assert_eq!(name("index.docker.io"), Ok("docker.io".into()));
        for wrong in ["https://ghcr.io", "ghcr", "ghcr.io/shop", "", "a b.c"] {
            assert_eq!(name(wrong), Err("registry.name".into()), "{wrong}");
        }
    }

    #[test]
    fn an_empty_password_is_refused() {
        let login = RegistryLogin {
            username: "ada".into(),
            password: String::new(),
        };
        assert_eq!(checked("ghcr.io", &login).unwrap_err().code(), "registry.login");
    }
}
