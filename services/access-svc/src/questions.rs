//! Questions: who speaks, which values a container needs, which values a person may see.

use crate::{
    secrets::{Fault, record},
    vault::{Store, Values, Vault, VaultError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use berth_access_core::{AccessView, SecretRow, StoreSecret, constant_time_eq, registry_in};
use berth_bus::QuestionSink;
use berth_events::{
    Authenticate, LOGIN_USERNAME, ListLogins, MatchedSecret, Principal, PutSecret, Rejection, RejectionKind,
    RevealSecrets, SealedSecrets, SecretRequest, StoredLogin, StoredSecret, spec::SecretRef,
};
use berth_ids::{ClusterId, NodeId, SecretId};
use berth_service_kit::{Clock, ServiceContext, ViewHandle, derived_id};
use nkeys::XKey;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The most values asked for at once.
const MAX_WANTED: usize = 1_000;

/// Code of the rule that a destroyed secret takes no version.
const DESTROYED: &str = "access.secret_destroyed";

/// What answers are made from.
pub(crate) struct Desk {
    context: ServiceContext,
    view: ViewHandle<AccessView>,
    vault: Vault,
    /// Seals answers; made at each start, told with each answer.
    sealing: XKey,
}

/// Answers until shutdown.
pub(crate) async fn answer(context: ServiceContext, desk: Arc<Desk>) {
    let sink = |question: &str| QuestionSink {
        service: context.service.to_owned(),
        question: question.to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let (authenticate, secret, put, matched, reveal, logins) = (
        desk.clone(),
        desk.clone(),
        desk.clone(),
        desk.clone(),
        desk.clone(),
        desk,
    );
    let bus = &context.bus;
    tokio::join!(
        bus.answer(sink("authenticate"), move |_key, asked: Authenticate| {
            let desk = authenticate.clone();
            async move { desk.authenticate(&asked).await }
        }),
        bus.answer(sink("secret"), move |node, asked: SecretRequest| {
            let desk = secret.clone();
            async move { desk.secret(&node, &asked).await }
        }),
        bus.answer(sink("put_secret"), move |cluster, asked: PutSecret| {
            let desk = put.clone();
            async move { desk.put_secret(&cluster, &asked).await }
        }),
        bus.answer(sink("match_secret"), move |cluster, asked: PutSecret| {
            let desk = matched.clone();
            async move { desk.match_secret(&cluster, &asked).await }
        }),
        bus.answer(sink("reveal"), move |cluster, asked: RevealSecrets| {
            let desk = reveal.clone();
            async move { desk.reveal(&cluster, &asked).await }
        }),
        bus.answer(sink("registries"), move |cluster, _: ListLogins| {
            let desk = logins.clone();
            async move { desk.logins(&cluster).await }
        }),
    );
}

impl Desk {
    pub(crate) fn new(context: ServiceContext, view: ViewHandle<AccessView>, vault: Vault) -> Self {
        Self {
            context,
            view,
            vault,
            sealing: XKey::new(),
        }
    }

    async fn authenticate(&self, asked: &Authenticate) -> Result<Principal, Rejection> {
        let look = || {
            self.view
                .read(|view| view.authenticate(&asked.hash, Clock::now()))
        };
        self.twice(look).await
    }

    async fn secret(&self, node: &str, asked: &SecretRequest) -> Result<SealedSecrets, Rejection> {
        let node: NodeId = node.parse().map_err(|_| invalid("the subject names no node"))?;
        check_count(&asked.wanted)?;
        let look = || {
            self.view.read(|view| {
                let user = view.credential(node).filter(|row| row.revoked_at.is_none());
                let user = user.ok_or_else(|| refused("the node has no bus user"))?;
                check_right(view, node, asked)?;
                Ok((user.sealing_key.clone(), user.cluster_id))
            })
        };
        let (key, cluster) = self.twice(look).await?;
        let mut values = self.values(&asked.wanted).await?;
        if let Some(registry) = &asked.registry {
            values.extend(self.login(cluster, registry).await?);
        }
        let plain = Zeroizing::new(serde_json::to_vec(&values).unwrap_or_default());
        let sealed = XKey::from_public_key(&key)
            .and_then(|recipient| self.sealing.seal(&plain, &recipient))
            .map_err(|error| unavailable(&format!("could not seal for the node: {error}")))?;
        Ok(SealedSecrets {
            sender_key: self.sealing.public_key(),
            sealed: STANDARD.encode(sealed),
        })
    }

    /// The stored login of a registry, the newest that is committed; nothing if there is none.
    async fn login(&self, cluster: ClusterId, registry: &str) -> Result<Values, Rejection> {
        self.catch_up().await?;
        let stored = self.view.read(|view| {
            let row = view.login(cluster, registry);
            row.map(|row| (row.secret_id, row.version))
        });
        match stored {
            None => Ok(Values::new()),
            Some((secret, version)) => {
                let values = self.vault.get(secret, version).await;
                values.map_err(|error| of_vault(&error))
            }
        }
    }

    async fn logins(&self, cluster: &str) -> Result<Vec<StoredLogin>, Rejection> {
        let cluster: ClusterId = cluster
            .parse()
            .map_err(|_| invalid("the subject names no cluster"))?;
        self.catch_up().await?;
        let rows: Vec<SecretRow> = self.view.read(|view| view.logins(cluster).cloned().collect());
        let mut logins = Vec::new();
        for row in rows {
            let values = self.vault.get(row.secret_id, row.version).await;
            let mut values = values.map_err(|error| of_vault(&error))?;
            logins.push(StoredLogin {
                secret_id: row.secret_id,
                registry: registry_in(&row.scope).unwrap_or_default().to_owned(),
                username: values.remove(LOGIN_USERNAME).unwrap_or_default(),
                stored_at: row.stored_at,
                stored_by: row.stored_by,
            });
        }
        logins.sort_by(|one, other| one.registry.cmp(&other.registry));
        Ok(logins)
    }

    async fn put_secret(&self, cluster: &str, asked: &PutSecret) -> Result<StoredSecret, Rejection> {
        if cluster != asked.cluster_id.to_string() {
            return Err(invalid("the subject names another cluster than the question"));
        }
        // One secret a scope: scopes are made of names, which are compared without case.
        let scope = asked.scope.to_lowercase();
        match self.store(asked, &scope).await {
            // The view did not know yet that the last one was destroyed.
            Err(rejection) if rejection.code == DESTROYED => {
                self.catch_up().await?;
                self.store(asked, &scope).await
            }
            answer => answer,
        }
    }

    /// What storing would answer, and which values are the same as before; nothing is stored.
    async fn match_secret(&self, cluster: &str, asked: &PutSecret) -> Result<MatchedSecret, Rejection> {
        if cluster != asked.cluster_id.to_string() {
            return Err(invalid("the subject names another cluster than the question"));
        }
        self.catch_up().await?;
        let secret_id = self.secret_of(asked.cluster_id, &asked.scope.to_lowercase());
        let newest = self.vault.newest(secret_id).await;
        let (version, known) = newest.map_err(|error| of_vault(&error))?.unwrap_or_default();
        let is_same = |(name, value): &(&String, &String)| {
            let before = known.get(*name);
            before.is_some_and(|before| constant_time_eq(before.as_bytes(), value.as_bytes()))
        };
        let same = asked.values.iter().filter(is_same).map(|(name, _)| name.clone());
        let same: BTreeSet<String> = same.collect();
        let all = same.len() == asked.values.len() && known.len() == asked.values.len();
        Ok(MatchedSecret {
            stored: StoredSecret {
                secret_id,
                version: if all { version } else { version + 1 },
            },
            same,
        })
    }

    /// The secret of a scope. A destroyed one stays so; its scope gets a new one.
    fn secret_of(&self, cluster: ClusterId, scope: &str) -> SecretId {
        let destroyed = self.view.read(|view| view.destroyed_before(cluster, scope));
        let name = match destroyed {
            0 => format!("secret/{scope}"),
            lives => format!("secret/{scope}#{lives}"),
        };
        derived_id(cluster.as_uuid(), &name)
    }

    async fn store(&self, asked: &PutSecret, scope: &str) -> Result<StoredSecret, Rejection> {
        let secret_id = self.secret_of(asked.cluster_id, scope);
        let store = Store {
            secret: secret_id,
            cluster: asked.cluster_id,
            tenant: &asked.tenant,
            scope,
            values: &asked.values,
            actor: &asked.actor,
        };
        let version = self.vault.put(&store).await.map_err(|error| of_vault(&error))?;
        let wanted = StoreSecret {
            secret_id,
            cluster_id: asked.cluster_id,
            scope: scope.to_owned(),
            version,
            keys: asked.values.keys().cloned().collect(),
        };
        // Also for a version that was there: a crash between vault and log is healed here.
        match record(&self.context, &asked.tenant, &asked.actor, &wanted).await {
            Ok(()) => Ok(StoredSecret { secret_id, version }),
            Err(Fault::Refused(rejection)) => {
                if rejection.code == DESTROYED {
                    let gone = self.vault.destroy(secret_id).await;
                    gone.map_err(|error| of_vault(&error))?;
                }
                Err(rejection)
            }
            Err(Fault::Away(reason)) => Err(unavailable(&reason)),
        }
    }

    async fn reveal(&self, cluster: &str, asked: &RevealSecrets) -> Result<Values, Rejection> {
        let cluster: ClusterId = cluster
            .parse()
            .map_err(|_| invalid("the subject names no cluster"))?;
        check_count(&asked.wanted)?;
        let look = || {
            self.view.read(|view| {
                asked
                    .wanted
                    .iter()
                    .try_for_each(|want| view.may_see(&asked.actor, want.secret_id, cluster, Clock::now()))
            })
        };
        let allowed = self.twice(look).await;
        let secrets: BTreeSet<String> = asked.wanted.iter().map(name_of).collect();
        tracing::info!(
            target: "audit",
            actor = asked.actor,
            cluster.id = %cluster,
            allowed = allowed.is_ok(),
            "`{}` asked to see {secrets:?}",
            asked.actor
        );
        allowed?;
        self.values(&asked.wanted).await
    }

    /// What the view refuses is looked at again once it has everything that is committed.
    async fn twice<T>(&self, look: impl Fn() -> Result<T, Rejection>) -> Result<T, Rejection> {
        if let Ok(found) = look() {
            return Ok(found);
        }
        self.catch_up().await?;
        look()
    }

    /// Waits until the view has everything that is committed.
    async fn catch_up(&self) -> Result<(), Rejection> {
        let head = self.context.log().head().await;
        let head = head.map_err(|error| unavailable(&error.to_string()))?;
        if self.view.position() < head {
            let caught_up = self.view.at_least(head).await;
            caught_up.map_err(|error| unavailable(&error.to_string()))?;
        }
        Ok(())
    }

    async fn values(&self, wanted: &BTreeSet<SecretRef>) -> Result<Values, Rejection> {
        let mut versions: BTreeMap<(SecretId, u64), Values> = BTreeMap::new();
        let mut found = Values::new();
        for want in wanted {
            let of = (want.secret_id, want.version);
            let values = match versions.entry(of) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(fresh) => {
                    let loaded = self.vault.get(of.0, of.1).await;
                    fresh.insert(loaded.map_err(|error| of_vault(&error))?)
                }
            };
            let value = values.get(&want.key);
            let value = value.ok_or_else(|| {
                let message = format!("secret {} has no such value", name_of(want));
                rejection(RejectionKind::NotFound, "access.value_unknown", &message)
            })?;
            found.insert(name_of(want), value.clone());
        }
        Ok(found)
    }
}

/// A container gets what its allocation names, the making of an image the logins of its registries.
fn check_right(view: &AccessView, node: NodeId, asked: &SecretRequest) -> Result<(), Rejection> {
    match (&asked.build_id, &asked.registry) {
        (Some(build), Some(registry)) if asked.wanted.is_empty() => {
            view.may_log_in_to_build(node, *build, registry, Clock::now())
        }
        (Some(_), _) => Err(invalid("the making of an image needs logins only")),
        (None, registry) => {
            view.may_have(node, asked.allocation_id, &asked.wanted)?;
            let registry = registry.as_deref();
            registry.map_or(Ok(()), |registry| {
                view.may_log_in(node, asked.allocation_id, registry)
            })
        }
    }
}

/// How answers name a value: `<secret>@<version>/<key>`.
fn name_of(reference: &SecretRef) -> String {
    format!("{}@{}/{}", reference.secret_id, reference.version, reference.key)
}

fn check_count(wanted: &BTreeSet<SecretRef>) -> Result<(), Rejection> {
    if wanted.len() <= MAX_WANTED {
        return Ok(());
    }
    Err(invalid(&format!(
        "at most {MAX_WANTED} values can be asked for at once"
    )))
}

fn of_vault(error: &VaultError) -> Rejection {
    match error {
        VaultError::Absent { .. } => rejection(
            RejectionKind::NotFound,
            "access.secret_unknown",
            &error.to_string(),
        ),
        VaultError::TooLarge(_) => invalid(&error.to_string()),
        VaultError::Closed { .. } | VaultError::MasterKey(_) | VaultError::File(_) => {
            tracing::error!(%error, "the vault does not open");
            unavailable(&error.to_string())
        }
        VaultError::Database(source) => {
            tracing::warn!(error = %source, "the vault's database is troubled");
            unavailable(&error.to_string())
        }
    }
}

fn invalid(message: &str) -> Rejection {
    rejection(RejectionKind::Invalid, "access.question_invalid", message)
}

fn refused(message: &str) -> Rejection {
    rejection(RejectionKind::Forbidden, "access.secret_not_assigned", message)
}

fn unavailable(message: &str) -> Rejection {
    rejection(RejectionKind::Unavailable, "access.unavailable", message)
}

fn rejection(kind: RejectionKind, code: &str, message: &str) -> Rejection {
    Rejection {
        kind,
        code: code.to_owned(),
        message: message.to_owned(),
        cure: None,
    }
}
