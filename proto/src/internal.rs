//! Who may call what between the services: one row per RPC of `naru.internal.v1`.

/// The front door's name in its certificate.
pub const API: &str = "api";
/// The controller's.
pub const CONTROLLER: &str = "controller";

/// Every internal RPC, and the components that may call it; nobody else is answered.
pub const CALLERS: &[(&str, &[&str])] = &[
    ("/naru.internal.v1.Controller/ResourceTree", &[API]),
    ("/naru.internal.v1.Controller/WatchResourceTree", &[API]),
    ("/naru.internal.v1.Controller/ManagedResources", &[API]),
    ("/naru.internal.v1.Controller/ServerSideDiff", &[API]),
    ("/naru.internal.v1.Controller/Plan", &[API]),
    ("/naru.internal.v1.Controller/GetResource", &[API]),
    ("/naru.internal.v1.Controller/PatchResource", &[API]),
    ("/naru.internal.v1.Controller/DeleteResource", &[API]),
    ("/naru.internal.v1.Controller/ResourceActions", &[API]),
    ("/naru.internal.v1.Controller/RunAction", &[API]),
    ("/naru.internal.v1.Controller/ResourceEvents", &[API]),
    ("/naru.internal.v1.Controller/PodLogs", &[API]),
    ("/naru.internal.v1.Controller/Exec", &[API]),
    ("/naru.internal.v1.Controller/ClusterInfo", &[API]),
    ("/naru.internal.v1.Controller/AddedCluster", &[API]),
    ("/naru.internal.v1.Controller/TryCluster", &[API]),
    ("/naru.internal.v1.Controller/RotateCluster", &[API]),
    ("/naru.internal.v1.Controller/RemoveNamespaces", &[API]),
    ("/naru.internal.v1.RepoServer/ListRefs", &[API, CONTROLLER]),
    ("/naru.internal.v1.RepoServer/Resolve", &[API, CONTROLLER]),
    ("/naru.internal.v1.RepoServer/Render", &[API, CONTROLLER]),
    ("/naru.internal.v1.RepoServer/RenderLocal", &[API]),
    ("/naru.internal.v1.RepoServer/PathIds", &[CONTROLLER]),
    ("/naru.internal.v1.RepoServer/Discover", &[API]),
    ("/naru.internal.v1.RepoServer/RevisionMetadata", &[API]),
    ("/naru.internal.v1.RepoServer/TestAccess", &[API]),
    ("/naru.internal.v1.RepoServer/ForgetTenant", &[API]),
    ("/naru.internal.v1.RepoServer/Signature", &[API, CONTROLLER]),
    (
        "/naru.internal.v1.RepoServer/ListVersions",
        &[API, CONTROLLER],
    ),
    ("/naru.internal.v1.RepoServer/ListCharts", &[API]),
    ("/naru.internal.v1.RepoServer/AppDetails", &[API]),
    ("/naru.internal.v1.RepoServer/Digests", &[CONTROLLER]),
    ("/naru.internal.v1.RepoServer/ArtifactNotes", &[API]),
    ("/naru.internal.v1.RepoServer/ChartDetails", &[API]),
];

/// The components that may call the RPC of a path; none for a path that is no RPC.
#[must_use]
pub fn callers(path: &str) -> &'static [&'static str] {
    CALLERS
        .iter()
        .find(|(rpc, _)| *rpc == path)
        .map_or(&[], |(_, callers)| callers)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_internal_rpc_says_who_may_call_it() {
        let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let mut rpcs = Vec::new();
        for file in set
            .file
            .iter()
            .filter(|file| file.package() == "naru.internal.v1")
        {
            for service in &file.service {
                let name = format!("/{}.{}", file.package(), service.name());
                rpcs.extend(
                    service
                        .method
                        .iter()
                        .map(|method| format!("{name}/{}", method.name())),
                );
            }
        }
        rpcs.sort();
        let mut listed: Vec<&str> = CALLERS.iter().map(|(rpc, _)| *rpc).collect();
        listed.sort_unstable();
        assert_eq!(rpcs, listed);
        assert!(CALLERS.iter().all(|(_, callers)| !callers.is_empty()));
        assert_eq!(
            callers("/naru.internal.v1.RepoServer/Render/x"),
            [] as [&str; 0]
        );
    }
}
