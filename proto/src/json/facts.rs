//! What Go's struct tags say of Argo CD's and Kubernetes' types and a descriptor does not, as of Argo CD 3.2.
//!
//! A message is named by its package's short name ([`PACKAGES`]) and its own. Every message of the API servers' own
//! packages needs no entry: there every field is `omitempty`.

/// Fields of messages.
pub(super) type Fields = &'static [(&'static str, &'static [&'static str])];

/// The packages by their short names.
pub(super) const PACKAGES: &[(&str, &str)] = &[
    (
        "v1alpha1",
        "github.com.argoproj.argo_cd.v3.pkg.apis.application.v1alpha1",
    ),
    ("meta", "k8s.io.apimachinery.pkg.apis.meta.v1"),
    ("core", "k8s.io.api.core.v1"),
    ("events", "events"),
];

/// Fields without `omitempty`: written even when empty, lists and absent pointers as `null`.
pub(super) const ALWAYS: Fields = &[
    (
        "core.NodeSystemInfo",
        &[
            "machineID",
            "systemUUID",
            "bootID",
            "kernelVersion",
            "osImage",
            "containerRuntimeVersion",
            "kubeletVersion",
            "kubeProxyVersion",
            "operatingSystem",
            "architecture",
        ],
    ),
    ("core.PortStatus", &["port", "protocol"]),
    ("events.Event", &["reportingComponent", "reportingInstance"]),
    ("events.EventList", &["items"]),
    ("meta.GroupKind", &["group", "kind"]),
    ("meta.LabelSelectorRequirement", &["key", "operator"]),
    (
        "meta.OwnerReference",
        &["apiVersion", "kind", "name", "uid"],
    ),
    ("v1alpha1.AppProjectList", &["items"]),
    ("v1alpha1.ApplicationCondition", &["type", "message"]),
    (
        "v1alpha1.ApplicationDestinationServiceAccount",
        &["server", "defaultServiceAccount"],
    ),
    ("v1alpha1.ApplicationList", &["items"]),
    (
        "v1alpha1.ApplicationSetApplicationStatus",
        &[
            "application",
            "message",
            "status",
            "step",
            "targetrevisions",
        ],
    ),
    (
        "v1alpha1.ApplicationSetCondition",
        &["type", "message", "status", "reason"],
    ),
    ("v1alpha1.ApplicationSetList", &["items"]),
    ("v1alpha1.ApplicationSetSpec", &["generators"]),
    ("v1alpha1.ApplicationSetWatchEvent", &["type"]),
    ("v1alpha1.ApplicationSource", &["repoURL"]),
    ("v1alpha1.ApplicationSourcePluginParameter", &["name"]),
    ("v1alpha1.ApplicationSpec", &["project"]),
    ("v1alpha1.ApplicationWatchEvent", &["type"]),
    (
        "v1alpha1.BasicAuthBitbucketServer",
        &["username", "passwordRef"],
    ),
    ("v1alpha1.BearerTokenBitbucket", &["tokenRef"]),
    ("v1alpha1.BearerTokenBitbucketCloud", &["tokenRef"]),
    ("v1alpha1.Cluster", &["server", "name"]),
    ("v1alpha1.ClusterInfo", &["applicationsCount"]),
    ("v1alpha1.ClusterList", &["items"]),
    (
        "v1alpha1.ClusterResourceRestrictionItem",
        &["group", "kind"],
    ),
    ("v1alpha1.ComponentParameter", &["name", "value"]),
    ("v1alpha1.ConfigManagementPlugin", &["name"]),
    ("v1alpha1.ConfigMapKeyRef", &["configMapName", "key"]),
    (
        "v1alpha1.ConnectionState",
        &["status", "message", "attemptedAt"],
    ),
    ("v1alpha1.DrySource", &["repoURL", "targetRevision", "path"]),
    ("v1alpha1.DuckTypeGenerator", &["configMapRef"]),
    ("v1alpha1.EnvEntry", &["name", "value"]),
    ("v1alpha1.GitDirectoryGeneratorItem", &["path"]),
    ("v1alpha1.GitFileGeneratorItem", &["path"]),
    ("v1alpha1.GitGenerator", &["repoURL", "revision"]),
    ("v1alpha1.GnuPGPublicKey", &["keyID"]),
    ("v1alpha1.GnuPGPublicKeyList", &["items"]),
    ("v1alpha1.HelmOptions", &["valuesFileSchemes"]),
    ("v1alpha1.HydrateOperation", &["phase", "message"]),
    ("v1alpha1.HydrateTo", &["targetBranch"]),
    ("v1alpha1.Info", &["name", "value"]),
    ("v1alpha1.JWTToken", &["iat"]),
    ("v1alpha1.JsonnetVar", &["name", "value"]),
    (
        "v1alpha1.KustomizeOptions",
        &["buildOptions", "binaryPath", "versions"],
    ),
    ("v1alpha1.KustomizeReplica", &["name"]),
    (
        "v1alpha1.KustomizeVersion",
        &["name", "path", "buildOptions"],
    ),
    ("v1alpha1.ListGenerator", &["elements"]),
    ("v1alpha1.MatrixGenerator", &["generators"]),
    ("v1alpha1.MergeGenerator", &["generators", "mergeKeys"]),
    ("v1alpha1.NestedMatrixGenerator", &["generators"]),
    (
        "v1alpha1.NestedMergeGenerator",
        &["generators", "mergeKeys"],
    ),
    ("v1alpha1.OperationState", &["phase"]),
    (
        "v1alpha1.OverrideIgnoreDiff",
        &["jSONPointers", "jqPathExpressions", "managedFieldsManagers"],
    ),
    ("v1alpha1.PluginConfigMapRef", &["name"]),
    ("v1alpha1.ProjectRole", &["name"]),
    (
        "v1alpha1.PullRequestGeneratorAzureDevOps",
        &["organization", "project", "repo"],
    ),
    ("v1alpha1.PullRequestGeneratorBitbucket", &["owner", "repo"]),
    (
        "v1alpha1.PullRequestGeneratorBitbucketServer",
        &["project", "repo", "api"],
    ),
    ("v1alpha1.PullRequestGeneratorGitLab", &["project"]),
    (
        "v1alpha1.PullRequestGeneratorGitea",
        &["owner", "repo", "api"],
    ),
    ("v1alpha1.PullRequestGeneratorGithub", &["owner", "repo"]),
    ("v1alpha1.RefTarget", &["targetRevision", "chart"]),
    ("v1alpha1.RepoCreds", &["url"]),
    ("v1alpha1.RepoCredsList", &["items"]),
    ("v1alpha1.Repository", &["repo"]),
    (
        "v1alpha1.RepositoryCertificate",
        &[
            "serverName",
            "certType",
            "certSubType",
            "certData",
            "certInfo",
        ],
    ),
    ("v1alpha1.RepositoryCertificateList", &["items"]),
    ("v1alpha1.RepositoryList", &["items"]),
    ("v1alpha1.ResourceActionDefinition", &["name", "actionLua"]),
    ("v1alpha1.ResourceIgnoreDifferences", &["kind"]),
    (
        "v1alpha1.ResourceResult",
        &["group", "version", "kind", "namespace", "name"],
    ),
    ("v1alpha1.RevisionHistory", &["id"]),
    ("v1alpha1.RevisionMetadata", &["date"]),
    (
        "v1alpha1.SCMProviderGeneratorAzureDevOps",
        &["organization", "teamProject", "accessTokenRef"],
    ),
    (
        "v1alpha1.SCMProviderGeneratorBitbucket",
        &["owner", "user", "appPasswordRef"],
    ),
    (
        "v1alpha1.SCMProviderGeneratorBitbucketServer",
        &["project", "api"],
    ),
    ("v1alpha1.SCMProviderGeneratorGitea", &["owner", "api"]),
    ("v1alpha1.SCMProviderGeneratorGithub", &["organization"]),
    ("v1alpha1.SCMProviderGeneratorGitlab", &["group"]),
    ("v1alpha1.SecretRef", &["secretName", "key"]),
    ("v1alpha1.SignatureKey", &["keyID"]),
    ("v1alpha1.SourceIntegrity", &["git"]),
    ("v1alpha1.SourceIntegrityCheckResult", &["checks"]),
    (
        "v1alpha1.SourceIntegrityCheckResultItem",
        &["name", "problems"],
    ),
    ("v1alpha1.SourceIntegrityGit", &["policies"]),
    ("v1alpha1.SourceIntegrityGitPolicy", &["repos", "gpg"]),
    ("v1alpha1.SourceIntegrityGitPolicyGPG", &["mode", "keys"]),
    ("v1alpha1.SourceIntegrityGitPolicyRepo", &["url"]),
    ("v1alpha1.SyncOperationResource", &["kind", "name"]),
    ("v1alpha1.SyncOperationResult", &["revision"]),
    ("v1alpha1.SyncSource", &["targetBranch", "path"]),
    ("v1alpha1.SyncStatus", &["status"]),
    ("v1alpha1.TLSClientConfig", &["insecure"]),
    ("v1alpha1.TagFilter", &["key"]),
];

/// Fields that are written as an empty object or list, never as `null`.
pub(super) const EMPTY: Fields = &[
    ("v1alpha1.OptionalArray", &["array"]),
    ("v1alpha1.OptionalMap", &["map"]),
];

/// Scalars behind a pointer: written whenever they are there, zero or not.
pub(super) const POINTERS: Fields = &[
    ("core.LoadBalancerIngress", &["ipMode"]),
    ("core.NodeSwapStatus", &["capacity"]),
    ("core.PortStatus", &["error"]),
    ("meta.ListMeta", &["remainingItemCount"]),
    ("meta.ObjectMeta", &["deletionGracePeriodSeconds"]),
    ("meta.OwnerReference", &["controller", "blockOwnerDeletion"]),
    ("v1alpha1.ApplicationSetSpec", &["templatePatch"]),
    ("v1alpha1.ApplicationSetSyncPolicy", &["applicationsSync"]),
    ("v1alpha1.ApplicationSourcePluginParameter", &["string"]),
    ("v1alpha1.ApplicationSpec", &["revisionHistoryLimit"]),
    ("v1alpha1.Backoff", &["factor"]),
    ("v1alpha1.Cluster", &["shard"]),
    ("v1alpha1.DuckTypeGenerator", &["requeueAfterSeconds"]),
    ("v1alpha1.GitGenerator", &["requeueAfterSeconds"]),
    ("v1alpha1.OrphanedResourcesMonitorSettings", &["warn"]),
    ("v1alpha1.PluginGenerator", &["requeueAfterSeconds"]),
    ("v1alpha1.PullRequestGenerator", &["requeueAfterSeconds"]),
    (
        "v1alpha1.PullRequestGeneratorFilter",
        &["branchMatch", "targetBranchMatch", "titleMatch"],
    ),
    ("v1alpha1.SCMProviderGenerator", &["requeueAfterSeconds"]),
    (
        "v1alpha1.SCMProviderGeneratorFilter",
        &["repositoryMatch", "labelMatch", "branchMatch"],
    ),
    (
        "v1alpha1.SCMProviderGeneratorGitlab",
        &["includeSharedProjects"],
    ),
    ("v1alpha1.SyncPolicyAutomated", &["enabled"]),
];

/// Messages that are no pointer: Go writes them even when everything in them is empty.
pub(super) const STRUCTS: Fields = &[
    (
        "events.Event",
        &[
            "metadata",
            "involvedObject",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "eventTime",
        ],
    ),
    ("events.EventList", &["metadata"]),
    ("events.EventSeries", &["lastObservedTime"]),
    ("v1alpha1.AppProject", &["metadata", "spec", "status"]),
    ("v1alpha1.AppProjectList", &["metadata"]),
    ("v1alpha1.Application", &["metadata", "spec", "status"]),
    ("v1alpha1.ApplicationList", &["metadata"]),
    ("v1alpha1.ApplicationSet", &["metadata", "spec", "status"]),
    ("v1alpha1.ApplicationSetList", &["metadata"]),
    ("v1alpha1.ApplicationSetSpec", &["template"]),
    ("v1alpha1.ApplicationSetTemplate", &["metadata", "spec"]),
    ("v1alpha1.ApplicationSetWatchEvent", &["applicationSet"]),
    ("v1alpha1.ApplicationSourceDirectory", &["jsonnet"]),
    ("v1alpha1.ApplicationSpec", &["destination"]),
    (
        "v1alpha1.ApplicationStatus",
        &["sync", "health", "summary", "sourceHydrator"],
    ),
    ("v1alpha1.ApplicationWatchEvent", &["application"]),
    ("v1alpha1.Cluster", &["config", "connectionState", "info"]),
    ("v1alpha1.ClusterConfig", &["tlsClientConfig"]),
    ("v1alpha1.ClusterGenerator", &["selector", "template"]),
    ("v1alpha1.ClusterInfo", &["connectionState", "cacheInfo"]),
    ("v1alpha1.ClusterList", &["metadata"]),
    ("v1alpha1.ComparedTo", &["source", "destination"]),
    ("v1alpha1.ConfigManagementPlugin", &["generate"]),
    ("v1alpha1.DuckTypeGenerator", &["labelSelector", "template"]),
    ("v1alpha1.GitGenerator", &["template"]),
    ("v1alpha1.GnuPGPublicKeyList", &["metadata"]),
    ("v1alpha1.HostInfo", &["systemInfo"]),
    (
        "v1alpha1.HydrateOperation",
        &["startedAt", "sourceHydrator"],
    ),
    ("v1alpha1.KustomizeReplica", &["count"]),
    ("v1alpha1.ListGenerator", &["template"]),
    ("v1alpha1.MatrixGenerator", &["template"]),
    ("v1alpha1.MergeGenerator", &["template"]),
    ("v1alpha1.Operation", &["initiatedBy", "retry"]),
    ("v1alpha1.OperationState", &["operation", "startedAt"]),
    (
        "v1alpha1.PluginGenerator",
        &["configMapRef", "input", "template"],
    ),
    ("v1alpha1.PullRequestGenerator", &["template"]),
    ("v1alpha1.RefTarget", &["repo"]),
    ("v1alpha1.RepoCredsList", &["metadata"]),
    ("v1alpha1.Repository", &["connectionState"]),
    ("v1alpha1.RepositoryCertificateList", &["metadata"]),
    ("v1alpha1.RepositoryList", &["metadata"]),
    (
        "v1alpha1.RevisionHistory",
        &["deployedAt", "source", "initiatedBy"],
    ),
    ("v1alpha1.SCMProviderGenerator", &["template"]),
    ("v1alpha1.SourceHydrator", &["drySource", "syncSource"]),
    ("v1alpha1.SuccessfulHydrateOperation", &["sourceHydrator"]),
    ("v1alpha1.SyncOperationResult", &["source"]),
    ("v1alpha1.SyncStatus", &["comparedTo"]),
];

/// Messages marked `omitzero`: left out when empty, even if they are there.
pub(super) const NON_ZERO: Fields = &[("meta.ObjectMeta", &["creationTimestamp"])];

/// Messages whose fields stand in the object around them.
pub(super) const INLINE: Fields = &[
    (
        "v1alpha1.ApplicationSourcePluginParameter",
        &["map", "array"],
    ),
    ("v1alpha1.KustomizeResId", &["gvk"]),
    ("v1alpha1.KustomizeSelector", &["resId"]),
    ("v1alpha1.ResourceNode", &["resourceRef"]),
    ("v1alpha1.SyncStrategyHook", &["syncStrategyApply"]),
];

/// Fields whose JSON name is another than their proto name.
pub(super) const NAMES: &[(&str, &[(&str, &str)])] = &[
    (
        "v1alpha1.ApplicationSetApplicationStatus",
        &[("targetrevisions", "targetRevisions")],
    ),
    (
        "v1alpha1.HelmOptions",
        &[("valuesFileSchemes", "ValuesFileSchemes")],
    ),
    (
        "v1alpha1.KustomizeOptions",
        &[
            ("buildOptions", "BuildOptions"),
            ("binaryPath", "BinaryPath"),
            ("versions", "Versions"),
        ],
    ),
    (
        "v1alpha1.KustomizeVersion",
        &[
            ("name", "Name"),
            ("path", "Path"),
            ("buildOptions", "BuildOptions"),
        ],
    ),
    (
        "v1alpha1.OverrideIgnoreDiff",
        &[("jSONPointers", "jsonPointers")],
    ),
    (
        "v1alpha1.RefTarget",
        &[
            ("targetRevision", "TargetRevision"),
            ("chart", "Chart"),
            ("repo", "Repo"),
        ],
    ),
    (
        "v1alpha1.ResourceActionDefinition",
        &[("actionLua", "action.lua")],
    ),
    (
        "v1alpha1.ResourceActions",
        &[("actionDiscoveryLua", "discovery.lua")],
    ),
    (
        "v1alpha1.SourceIntegrityCheckResult",
        &[("checks", "Checks")],
    ),
    (
        "v1alpha1.SourceIntegrityCheckResultItem",
        &[("name", "Name"), ("problems", "Problems")],
    ),
];

/// Packages whose scalars are all pointers (proto2 services).
pub(super) const POINTER_PACKAGES: &[&str] = &["application", "notification"];
