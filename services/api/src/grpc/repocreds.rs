//! Credential templates: they come with the trust work.

use proto::argocd::repocreds as wire;
use proto::argocd::repocreds::repo_creds_service_server::RepoCredsService;
use proto::v1alpha1;

use crate::grpc::not_served;

/// The service.
pub(crate) struct RepoCreds;

#[tonic::async_trait]
impl RepoCredsService for RepoCreds {
    not_served! {
        "RepoCredsService";
        list_repository_credentials(wire::RepoCredsQuery) -> v1alpha1::RepoCredsList,
        list_write_repository_credentials(wire::RepoCredsQuery) -> v1alpha1::RepoCredsList,
        create_repository_credentials(wire::RepoCredsCreateRequest) -> v1alpha1::RepoCreds,
        create_write_repository_credentials(wire::RepoCredsCreateRequest) -> v1alpha1::RepoCreds,
        update_repository_credentials(wire::RepoCredsUpdateRequest) -> v1alpha1::RepoCreds,
        update_write_repository_credentials(wire::RepoCredsUpdateRequest) -> v1alpha1::RepoCreds,
        delete_repository_credentials(wire::RepoCredsDeleteRequest) -> wire::RepoCredsResponse,
        delete_write_repository_credentials(wire::RepoCredsDeleteRequest) -> wire::RepoCredsResponse,
    }
}
