//! Signing keys that a tenant trusts. They are kept and listed whether or not anything verifies signatures, as Argo CD's
//! server does: its ARGOCD_GPG_ENABLED is the repo-server's.

use std::sync::Arc;

use domain::message;
use domain::openpgp::{self, PublicKey};
use proto::argocd::gpgkey as wire;
use proto::argocd::gpgkey::gpg_key_service_server::GpgKeyService;
use proto::k8s::meta::v1::ListMeta;
use proto::v1alpha1;
use tonic::{Code, Request, Response, Status};

use crate::failure;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// The most keys of a tenant.
const MAX_KEYS: usize = 1_000;
/// Nobody has said how far a key is trusted.
const TRUST: &str = "unknown";

/// The service.
pub(crate) struct GpgKeys {
    shared: Arc<Shared>,
}

impl GpgKeys {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    async fn all(&self, actor: &Actor) -> Result<Vec<PublicKey>, Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        let stored = scope.trust().signing_keys().await;
        let stored = stored.map_err(failure::store)?;
        let keys = stored.values().map(|armored| {
            openpgp::public_keys(armored).map_err(|error| {
                tracing::error!(%error, "a stored key cannot be read");
                failure::internal()
            })
        });
        let keys: Vec<Vec<PublicKey>> = keys.collect::<Result<_, _>>()?;
        Ok(keys.into_iter().flatten().collect())
    }
}

fn to_wire(key: PublicKey) -> v1alpha1::GnuPgPublicKey {
    v1alpha1::GnuPgPublicKey {
        key_id: Some(key.id),
        fingerprint: Some(key.fingerprint),
        owner: Some(key.owner),
        trust: Some(TRUST.to_owned()),
        sub_type: Some(key.sub_type),
        key_data: Some(key.armored.trim_end().to_owned()),
    }
}

#[tonic::async_trait]
impl GpgKeyService for GpgKeys {
    async fn list(
        &self,
        request: Request<wire::GnuPgPublicKeyQuery>,
    ) -> Result<Response<v1alpha1::GnuPgPublicKeyList>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::GpgKeys, Action::Get, "")?;
        let keys = self.all(&actor).await?.into_iter().map(|key| {
            let mut key = to_wire(key);
            key.key_data = None;
            key
        });
        Ok(Response::new(v1alpha1::GnuPgPublicKeyList {
            metadata: Some(ListMeta::default()),
            items: keys.collect(),
        }))
    }

    async fn get(
        &self,
        request: Request<wire::GnuPgPublicKeyQuery>,
    ) -> Result<Response<v1alpha1::GnuPgPublicKey>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::GpgKeys, Action::Get, "")?;
        let wanted = request.into_inner().key_id;
        let id = openpgp::key_id(&wanted)
            .ok_or_else(|| Status::unknown("KeyID is malformed or empty"))?;
        let found = self.all(&actor).await?.into_iter();
        let mut found = found.filter(|key| key.id.eq_ignore_ascii_case(id));
        let key = found
            .next()
            .ok_or_else(|| Status::unknown(format!("no such key: {id}")))?;
        Ok(Response::new(to_wire(key)))
    }

    async fn create(
        &self,
        request: Request<wire::GnuPgPublicKeyCreateRequest>,
    ) -> Result<Response<wire::GnuPgPublicKeyCreateResponse>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::GpgKeys, Action::Create, "")?;
        let sent = request.into_inner().publickey.unwrap_or_default();
        if sent.key_data().trim().is_empty() {
            return Err(Status::unknown("submitted key data is empty"));
        }
        let keys = openpgp::public_keys(sent.key_data()).map_err(|error| {
            let message = message::credentials::GPG_MALFORMED.with("why", error);
            failure::say(Code::InvalidArgument, &message)
        })?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let skipped = match scope.trust().add_signing_keys(&keys, MAX_KEYS).await {
            Ok(skipped) => skipped,
            Err(error) if error.code() == store::Code::Invalid => {
                let message = message::credentials::TOO_MANY.with("what", "GPG keys");
                return Err(failure::say(
                    Code::ResourceExhausted,
                    &message.with("limit", MAX_KEYS),
                ));
            }
            Err(error) => return Err(failure::store(error)),
        };
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "trusted signing keys");
        let created = keys.into_iter().filter(|key| !skipped.contains(&key.id));
        Ok(Response::new(wire::GnuPgPublicKeyCreateResponse {
            created: Some(v1alpha1::GnuPgPublicKeyList {
                metadata: Some(ListMeta::default()),
                items: created.map(to_wire).collect(),
            }),
            skipped,
        }))
    }

    async fn delete(
        &self,
        request: Request<wire::GnuPgPublicKeyQuery>,
    ) -> Result<Response<wire::GnuPgPublicKeyResponse>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::GpgKeys, Action::Delete, "")?;
        let id = request.into_inner().key_id;
        let scope = self.shared.store.tenant(actor.tenant.id);
        match scope.trust().delete_signing_key(&id).await {
            Ok(()) => {
                tracing::info!(tenant = %actor.tenant.name, account = actor.account, key = id, "no longer trusts a signing key");
                Ok(Response::new(wire::GnuPgPublicKeyResponse {}))
            }
            Err(error) if error.code() == store::Code::NotFound => {
                Err(Status::unknown(format!("no such key configured: {id}")))
            }
            Err(error) => Err(failure::store(error)),
        }
    }
}
