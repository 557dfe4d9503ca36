//! Clusters. Towards clients they carry nothing that opens one; from clients, that goes straight into [`Secret`].

use domain::cluster::{Cluster, Login};
use domain::secret::Secret;

use super::text;
use super::time;
use crate::v1alpha1;

/// A cluster as a client sees it, without its state.
#[must_use]
pub fn to_wire(cluster: &Cluster) -> v1alpha1::Cluster {
    let Cluster {
        server,
        name,
        project,
        labels,
        annotations,
        namespaces,
        cluster_resources,
        shard,
        shown,
        refresh_requested,
    } = cluster;
    v1alpha1::Cluster {
        server: text(server),
        name: text(name),
        project: text(project),
        labels: labels.clone(),
        annotations: annotations.clone(),
        namespaces: namespaces.clone(),
        cluster_resources: Some(*cluster_resources),
        shard: *shard,
        refresh_requested_at: refresh_requested.map(time::to_wire),
        config: Some(v1alpha1::ClusterConfig {
            disable_compression: Some(shown.disable_compression),
            proxy_url: text(&shown.proxy_url),
            tls_client_config: Some(v1alpha1::TlsClientConfig {
                insecure: Some(shown.insecure),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A cluster that a client describes, at the address in the form in which it is kept, without what opens it.
#[must_use]
pub fn from_wire(cluster: &v1alpha1::Cluster, server: String, login: &Login) -> Cluster {
    Cluster {
        name: match cluster.name() {
            "" => server.clone(),
            name => name.to_owned(),
        },
        project: cluster.project().to_owned(),
        labels: cluster.labels.clone(),
        annotations: cluster.annotations.clone(),
        // The command says "all" by one that has no name.
        namespaces: match cluster.namespaces.iter().all(String::is_empty) {
            true => Vec::new(),
            false => cluster.namespaces.clone(),
        },
        cluster_resources: cluster.cluster_resources(),
        shard: cluster.shard,
        shown: login.shown(),
        refresh_requested: None,
        server,
    }
}

/// What opens the cluster that a client describes.
#[must_use]
pub fn login_from_wire(config: Option<&v1alpha1::ClusterConfig>) -> Login {
    let Some(config) = config else {
        return Login::default();
    };
    let tls = config.tls_client_config.clone().unwrap_or_default();
    let pem = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Login {
        username: config.username().to_owned(),
        password: secret(config.password().as_bytes()),
        bearer_token: secret(config.bearer_token().as_bytes()),
        insecure: tls.insecure(),
        server_name: tls.server_name().to_owned(),
        ca: pem(tls.ca_data()),
        cert: pem(tls.cert_data()),
        key: secret(tls.key_data()),
        disable_compression: config.disable_compression(),
        proxy_url: secret(config.proxy_url().as_bytes()),
    }
}

fn secret(value: &[u8]) -> Option<Secret> {
    (!value.is_empty()).then(|| Secret::new(value))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_opens_a_cluster_goes_in_and_never_comes_out() {
        let sent = v1alpha1::Cluster {
            config: Some(v1alpha1::ClusterConfig {
                username: Some("hunter1".into()),
                password: Some("hunter2".into()),
                bearer_token: Some("hunter3".into()),
                proxy_url: Some("http://u:hunter4@proxy".into()),
                tls_client_config: Some(v1alpha1::TlsClientConfig {
                    key_data: Some(b"hunter5".to_vec()),
                    cert_data: Some(b"hunter6".to_vec()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let login = login_from_wire(sent.config.as_ref());
        assert_eq!(login.secrets().count(), 4);
        let everywhere = v1alpha1::Cluster {
            namespaces: vec![String::new()],
            ..Default::default()
        };
        let all = from_wire(&everywhere, "https://k8s".into(), &login);
        assert!(all.namespaces.is_empty(), "`--namespace *` is every one");
        let cluster = from_wire(&sent, "https://k8s".into(), &login);
        let shown = to_wire(&cluster);
        assert_eq!(
            shown.name(),
            "https://k8s",
            "a cluster without a name has its address's"
        );
        assert!(!String::from_utf8_lossy(&shown.encode_to_vec()).contains("hunter"));
    }
}
