//! Certificates and host keys: they come with the trust work.

use proto::argocd::certificate as wire;
use proto::argocd::certificate::certificate_service_server::CertificateService;
use proto::v1alpha1;

use crate::grpc::not_served;

/// The service.
pub(crate) struct Certificates;

#[tonic::async_trait]
impl CertificateService for Certificates {
    not_served! {
        "CertificateService";
        list_certificates(wire::RepositoryCertificateQuery) -> v1alpha1::RepositoryCertificateList,
        create_certificate(wire::RepositoryCertificateCreateRequest) -> v1alpha1::RepositoryCertificateList,
        delete_certificate(wire::RepositoryCertificateQuery) -> v1alpha1::RepositoryCertificateList,
    }
}
