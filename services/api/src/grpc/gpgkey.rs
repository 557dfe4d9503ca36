//! Signing keys: they come with the trust work.

use proto::argocd::gpgkey as wire;
use proto::argocd::gpgkey::gpg_key_service_server::GpgKeyService;
use proto::v1alpha1;

use crate::grpc::not_served;

/// The service.
pub(crate) struct GpgKeys;

#[tonic::async_trait]
impl GpgKeyService for GpgKeys {
    not_served! {
        "GPGKeyService";
        list(wire::GnuPgPublicKeyQuery) -> v1alpha1::GnuPgPublicKeyList,
        get(wire::GnuPgPublicKeyQuery) -> v1alpha1::GnuPgPublicKey,
        create(wire::GnuPgPublicKeyCreateRequest) -> wire::GnuPgPublicKeyCreateResponse,
        delete(wire::GnuPgPublicKeyQuery) -> wire::GnuPgPublicKeyResponse,
    }
}
