//! Kinds of others for which Argo CD has a script of its own: which conditions and fields of theirs mean what.
//!
//! The facts are those of the `health.lua` files under `resource_customizations` of Argo CD 3.2.11; order, words and causes
//! are ours. Of a rule's parts the first that holds counts. Three things differ on purpose: nothing is Healthy by a status of
//! a generation before the one that there is; a HelmRelease whose tests have passed too is Healthy; a SparkApplication that
//! runs is, however many executors it has.
//!
//! These have a script there that looks at more than conditions and fields, and fare by the conventions here:
//! `apps.3scale.net`, `apps.kruise.io`, `apps.openshift.io`, `cassandra.rook.io`, `controlplane.cluster.x-k8s.io`,
//! `core.spinkube.dev`, `elasticsearch.k8s.elastic.co`, `flagger.app`, `flink.apache.org`, `game.kruise.io`,
//! `gateway.solo.io`, `gloo.solo.io`, `install.istio.io`, `kubernetes-client.io`, `grafana.integreatly.org` but for
//! dashboards and folders, `k8s.keycloak.org`, `kafka.banzaicloud.io`, `metrics.keptn.sh`, `networking.gke.io`,
//! `numaplane.numaproj.io`, `openfaas.com`, `opentelemetry.io`, `operators.coreos.com`, `promoter.argoproj.io`,
//! `proclaim.dogmatiq.io`, `rollouts.kruise.io`, `route.openshift.io`, `serving.kserve.io`, `solr.apache.org`, `spot.io`,
//! `stacks.crossplane.io`, `trident.netapp.io`, `work.karmada.io`, `zookeeper.pravega.io`, and single kinds of groups
//! that are listed below.

use domain::resource::{split_api_version, text};
use domain::status::HealthCode::{
    self, Degraded, Healthy, Missing, Progressing, Suspended, Unknown,
};
use serde_json::Value;

use super::Health;

mod rule;

use When::{All, Field, Is, NoStatus, Old, Says, Spec, SpecSays};

/// Groups and their kinds; a group that begins with `*` is any that ends so, and no kinds are all of them.
type Kinds = &'static [(&'static str, &'static [&'static str])];

/// What decides, in this order.
type Rules = &'static [(When, HealthCode)];

/// How some kinds fare.
struct Known {
    kinds: Kinds,
    rules: Rules,
    /// What they are while nothing of that holds.
    otherwise: HealthCode,
}

/// What an object says. An empty name or status of a condition is any.
enum When {
    /// A condition has a status.
    Is(&'static str, &'static str),
    /// Each of these does.
    All(&'static [(&'static str, &'static str)]),
    /// One does, with one of these words as its reason or message.
    Says(&'static str, &'static str, &'static [&'static str]),
    /// A field of the status is one of these words; with none of them, it is there.
    Field(&'static [&'static str], &'static [&'static str]),
    /// A field of the spec is true.
    Spec(&'static str),
    /// A field of the spec is this word.
    SpecSays(&'static str, &'static str),
    /// The status, or a condition, is of a generation before the one that there is.
    Old,
    /// There is no status at all.
    NoStatus,
}

/// How an object of such a kind fares; `None` for all other kinds.
pub(super) fn known(object: &Value) -> Option<Health> {
    let (group, _) = split_api_version(text(object, &["apiVersion"]));
    let kind = text(object, &["kind"]);
    let known = KNOWN.iter().find(|known| known.has(group, kind))?;
    Some(known.judge(object))
}

impl Known {
    fn has(&self, group: &str, kind: &str) -> bool {
        let is_group = |name: &str| match name.strip_prefix('*') {
            Some(end) => group.ends_with(end),
            None => group == name,
        };
        let mut groups = self.kinds.iter();
        groups.any(|(name, kinds)| is_group(name) && (kinds.is_empty() || kinds.contains(&kind)))
    }
}

const fn of(kinds: Kinds, rules: Rules) -> Known {
    Known {
        kinds,
        rules,
        otherwise: Progressing,
    }
}

const ANY: When = Is("", "");
const READY: When = Is("Ready", "True");
const NOT_READY: When = Is("Ready", "False");
const STARTING: When = All(&[("Ready", "Unknown"), ("Reconciling", "True")]);

/// Those of single kinds come before those of whole groups.
const KNOWN: &[Known] = &[
    of(
        &[
            ("camel.apache.org", &["Integration"]),
            ("certmanager.k8s.io", &["Certificate", "Issuer"]),
            (
                "external-secrets.io",
                &["ClusterSecretStore", "PushSecret", "SecretStore"],
            ),
            ("karpenter.k8s.aws", &["EC2NodeClass"]),
            ("karpenter.sh", &["NodePool"]),
            ("onepassword.com", &["OnePasswordItem"]),
        ],
        &[(NOT_READY, Degraded), (READY, Healthy)],
    ),
    of(
        &[("k8s.mariadb.com", &["Database", "Grant", "User"])],
        &[(READY, Healthy), (Is("Ready", ""), Degraded)],
    ),
    of(
        &[
            ("k8s.mariadb.com", &["MariaDB"]),
            ("mariadb.mmontes.io", &["MariaDB"]),
        ],
        &[
            (Says("", "False", &["Failed"]), Degraded),
            (Is("", "False"), Progressing),
            (ANY, Healthy),
        ],
    ),
    of(
        &[("k8s.mariadb.com", &["SqlJob"])],
        &[
            (Says("", "True", &["JobComplete"]), Healthy),
            (Says("", "True", &["JobFailed"]), Degraded),
        ],
    ),
    of(
        &[("db.atlasgo.io", &["AtlasMigration", "AtlasSchema"])],
        &[
            (READY, Healthy),
            (
                Says("Ready", "", &["GettingDevDB", "Reconciling"]),
                Progressing,
            ),
            (Is("Ready", ""), Degraded),
        ],
    ),
    of(
        &[("bitnami.com", &["SealedSecret"])],
        &[
            (Is("Synced", "False"), Degraded),
            (Is("Synced", "True"), Healthy),
        ],
    ),
    of(
        &[("coralogix.com", &["Alert", "RecordingRuleGroupSet"])],
        &[
            (Is("RemoteSynced", "False"), Degraded),
            (Is("RemoteSynced", "True"), Healthy),
        ],
    ),
    of(
        &[("argoproj.io", &["EventBus"])],
        &[
            (Is("Deployed", "False"), Degraded),
            (Is("Deployed", "True"), Healthy),
        ],
    ),
    of(
        &[("addons.cluster.x-k8s.io", &["ClusterResourceSet"])],
        &[
            (Is("ResourcesApplied", "False"), Degraded),
            (Is("ResourcesApplied", "True"), Healthy),
        ],
    ),
    of(
        &[("projectcontour.io", &["ExtensionService", "HTTPProxy"])],
        &[
            (Old, Progressing),
            (Is("Valid", "False"), Degraded),
            (Is("Valid", "True"), Healthy),
        ],
    ),
    of(
        &[("policy.open-cluster-management.io", &["CertificatePolicy"])],
        &[
            (Field(&["compliant"], &["Compliant"]), Healthy),
            (Field(&["compliant"], &[]), Degraded),
        ],
    ),
    of(
        &[("policy.open-cluster-management.io", &["OperatorPolicy"])],
        &[
            (Old, Progressing),
            (Is("Compliant", "True"), Healthy),
            (Is("Compliant", ""), Degraded),
        ],
    ),
    of(
        &[("kyverno.io", &["Policy"])],
        &[(Says("Ready", "True", &["Succeeded"]), Healthy)],
    ),
    of(
        &[("kafka.strimzi.io", &["Kafka"])],
        &[
            (Says("NotReady", "True", &["Creating"]), Progressing),
            (Is("NotReady", "True"), Degraded),
            (READY, Healthy),
        ],
    ),
    of(
        &[(
            "kafka.strimzi.io",
            &[
                "KafkaBridge",
                "KafkaConnect",
                "KafkaConnector",
                "KafkaTopic",
                "KafkaUser",
            ],
        )],
        &[(Is("NotReady", "True"), Degraded), (READY, Healthy)],
    ),
    of(
        &[("helm.toolkit.fluxcd.io", &["HelmRelease"])],
        &[
            (Spec("suspend"), Suspended),
            (STARTING, Progressing),
            (All(&[("Ready", "True"), ("Released", "True")]), Healthy),
            (All(&[("Ready", "True"), ("TestSuccess", "True")]), Healthy),
            (Is("Ready", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[
            ("image.toolkit.fluxcd.io", &["ImageUpdateAutomation"]),
            ("kustomize.toolkit.fluxcd.io", &["Kustomization"]),
        ],
        &[
            (Spec("suspend"), Suspended),
            (STARTING, Progressing),
            (READY, Healthy),
            (Is("Ready", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[(
            "source.toolkit.fluxcd.io",
            &[
                "Bucket",
                "GitRepository",
                "HelmChart",
                "HelmRepository",
                "OCIRepository",
            ],
        )],
        &[
            (Spec("suspend"), Suspended),
            (SpecSays("type", "oci"), Healthy),
            (STARTING, Progressing),
            (
                All(&[("Ready", "True"), ("ArtifactInStorage", "True")]),
                Healthy,
            ),
            (Is("Ready", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[(
            "image.toolkit.fluxcd.io",
            &["ImagePolicy", "ImageRepository"],
        )],
        &[
            (Spec("suspend"), Suspended),
            (
                All(&[("Ready", "False"), ("Reconciling", "True")]),
                Progressing,
            ),
            (READY, Healthy),
            (Is("Ready", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("notification.toolkit.fluxcd.io", &["Receiver"])],
        &[
            (Spec("suspend"), Suspended),
            (READY, Healthy),
            (Is("Ready", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("serving.knative.dev", &["Service"])],
        &[
            (Is("", "False"), Degraded),
            (Is("", "Unknown"), Progressing),
            (
                All(&[
                    ("Ready", "True"),
                    ("ConfigurationsReady", "True"),
                    ("RoutesReady", "True"),
                ]),
                Healthy,
            ),
        ],
    ),
    of(
        &[("operator.knative.dev", &["KnativeEventing"])],
        &[
            (NOT_READY, Progressing),
            (Is("", "Unknown"), Progressing),
            (
                All(&[("Ready", "True"), ("InstallSucceeded", "True")]),
                Healthy,
            ),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("operator.knative.dev", &["KnativeServing"])],
        &[
            (NOT_READY, Progressing),
            (Is("DeploymentsAvailable", "False"), Progressing),
            (Is("", "Unknown"), Progressing),
            (
                All(&[
                    ("Ready", "True"),
                    ("InstallSucceeded", "True"),
                    ("DependenciesInstalled", "True"),
                    ("DeploymentsAvailable", "True"),
                ]),
                Healthy,
            ),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("keda.sh", &["ScaledObject"])],
        &[
            (NOT_READY, Degraded),
            (Is("Fallback", "True"), Degraded),
            (All(&[("Paused", "True"), ("Ready", "True")]), Suspended),
            (READY, Healthy),
        ],
    ),
    of(
        &[("monitoring.coreos.com", &["Prometheus"])],
        &[
            (Is("Available", "True"), Healthy),
            (Says("Available", "", &["SomePodsNotReady"]), Progressing),
            (Is("Available", ""), Degraded),
        ],
    ),
    of(
        &[("rabbitmq.com", &["RabbitmqCluster"])],
        &[
            (Is("ReconcileSuccess", "False"), Degraded),
            (Is("ClusterAvailable", "Unknown"), Degraded),
            (Is("AllReplicasReady", "Unknown"), Degraded),
            (Is("ClusterAvailable", "False"), Progressing),
            (Is("AllReplicasReady", "False"), Progressing),
            (
                All(&[("ClusterAvailable", "True"), ("AllReplicasReady", "True")]),
                Healthy,
            ),
        ],
    ),
    Known {
        kinds: &[(
            "rabbitmq.com",
            &[
                "Binding",
                "Exchange",
                "Permission",
                "Policy",
                "Queue",
                "Shovel",
                "User",
                "Vhost",
            ],
        )],
        rules: &[
            (
                Says("Ready", "True", &["SuccessfulCreateOrUpdate"]),
                Healthy,
            ),
            (Says("Ready", "False", &["FailedCreateOrUpdate"]), Degraded),
        ],
        otherwise: Unknown,
    },
    of(
        &[
            (
                "cloudfunctions.cnrm.cloud.google.com",
                &["CloudFunctionsFunction"],
            ),
            (
                "cloudscheduler.cnrm.cloud.google.com",
                &["CloudSchedulerJob"],
            ),
            ("compute.cnrm.cloud.google.com", &["ComputeDisk"]),
            (
                "iam.cnrm.cloud.google.com",
                &[
                    "IAMPartialPolicy",
                    "IAMPolicy",
                    "IAMPolicyMember",
                    "IAMServiceAccount",
                ],
            ),
            (
                "pubsub.cnrm.cloud.google.com",
                &["PubSubSubscription", "PubSubTopic"],
            ),
            ("resourcemanager.cnrm.cloud.google.com", &["Project"]),
            ("sql.cnrm.cloud.google.com", &["SQLDatabase", "SQLInstance"]),
            (
                "storage.cnrm.cloud.google.com",
                &[
                    "StorageBucket",
                    "StorageBucketAccessControl",
                    "StorageDefaultObjectAccessControl",
                ],
            ),
        ],
        &[
            (Says("", "True", &["UpToDate"]), Healthy),
            (
                Says("", "", &["UpdateFailed", "DependencyNotFound"]),
                Degraded,
            ),
            (Says("", "", &["DependencyNotReady"]), Suspended),
        ],
    ),
    of(
        &[
            ("cloudfront.aws.crossplane.io", &["Distribution"]),
            (
                "iam.aws.crossplane.io",
                &["Policy", "Role", "RolePolicyAttachment"],
            ),
            ("rds.aws.crossplane.io", &["DBCluster", "DBInstance"]),
            ("route53.aws.crossplane.io", &["ResourceRecordSet"]),
            ("s3.aws.crossplane.io", &["Bucket"]),
        ],
        &[
            (All(&[("Ready", "True"), ("Synced", "True")]), Healthy),
            (Is("Synced", "True"), Progressing),
            (Says("Synced", "", &["ReconcilePaused"]), Suspended),
            (Is("Synced", ""), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("pkg.crossplane.io", &["Provider"])],
        &[
            (All(&[("Installed", "True"), ("Healthy", "True")]), Healthy),
            (Is("", "False"), Degraded),
            (ANY, Degraded),
        ],
    ),
    of(
        &[("cluster.x-k8s.io", &["Cluster"])],
        &[
            (Spec("paused"), Suspended),
            (NOT_READY, Degraded),
            (Field(&["phase"], &["Provisioned"]), Healthy),
            (Field(&["phase"], &["Failed"]), Degraded),
        ],
    ),
    of(
        &[("cluster.x-k8s.io", &["Machine", "MachineDeployment"])],
        &[
            (Spec("paused"), Suspended),
            (Field(&["phase"], &["Running"]), Healthy),
            (Field(&["phase"], &["Failed"]), Degraded),
        ],
    ),
    of(
        &[("cluster.x-k8s.io", &["MachinePool"])],
        &[
            (Field(&["phase"], &["Running", "Scaling"]), Healthy),
            (Field(&["phase"], &["Failed", "Unknown"]), Degraded),
        ],
    ),
    of(
        &[(
            "capabilities.3scale.net",
            &[
                "ActiveDoc",
                "ApplicationAuth",
                "CustomPolicyDefinition",
                "OpenAPI",
            ],
        )],
        &[
            (READY, Healthy),
            (Is("Invalid", "True"), Degraded),
            (Is("Orphan", "True"), Degraded),
            (Is("Failed", "True"), Degraded),
        ],
    ),
    of(
        &[("capabilities.3scale.net", &["Backend", "Product"])],
        &[
            (Is("Synced", "True"), Healthy),
            (Is("Invalid", "True"), Degraded),
            (Is("Orphan", "True"), Degraded),
            (Is("Failed", "True"), Degraded),
        ],
    ),
    of(
        &[("capabilities.3scale.net", &["DeveloperAccount"])],
        &[
            (READY, Healthy),
            (Is("Invalid", "True"), Degraded),
            (Is("Failed", "True"), Degraded),
            (Is("Waiting", "True"), Suspended),
        ],
    ),
    of(
        &[("kiali.io", &["Kiali"])],
        &[
            (Is("Successful", "True"), Healthy),
            (Is("Failure", "True"), Degraded),
        ],
    ),
    of(
        &[("operator.openshift.io", &["IngressController"])],
        &[
            (Is("Degraded", "True"), Degraded),
            (Is("DeploymentReplicasAllAvailable", "False"), Progressing),
            (Is("Progressing", "True"), Progressing),
            (Is("Available", "True"), Healthy),
        ],
    ),
    Known {
        kinds: &[("ocs.openshift.io", &["StorageCluster"])],
        rules: &[
            (Is("Degraded", "True"), Degraded),
            (Is("Progressing", "True"), Progressing),
            (Is("Available", "True"), Healthy),
        ],
        otherwise: Unknown,
    },
    of(
        &[("argoproj.io", &["ApplicationSet"])],
        &[
            (Is("ErrorOccurred", "True"), Degraded),
            (Is("ResourcesUpToDate", "False"), Degraded),
            (Is("RolloutProgressing", "True"), Progressing),
            (Is("ResourcesUpToDate", "True"), Healthy),
        ],
    ),
    Known {
        kinds: &[("argoproj.io", &["CronWorkflow"])],
        rules: &[
            (Is("SpecError", "True"), Degraded),
            (Is("SubmissionError", "True"), Degraded),
        ],
        otherwise: Healthy,
    },
    Known {
        kinds: &[("datadoghq.com", &["DatadogMetric"])],
        rules: &[
            (Is("Error", "True"), Degraded),
            (Is("Valid", "False"), Degraded),
        ],
        otherwise: Healthy,
    },
    of(
        &[("argoproj.io", &["Experiment"])],
        &[
            (Field(&["phase"], &["Successful"]), Healthy),
            (Field(&["phase"], &["Failed", "Error"]), Degraded),
        ],
    ),
    of(
        &[(
            "grafana.integreatly.org",
            &["GrafanaDashboard", "GrafanaFolder"],
        )],
        &[(Is("", "False"), Degraded), (Is("", "True"), Healthy)],
    ),
    of(
        &[("kubevirt.io", &["VirtualMachineInstance"])],
        &[
            (Field(&["phase"], &["Failed"]), Degraded),
            (
                Field(&["phase"], &["Pending", "Scheduling", "Scheduled"]),
                Progressing,
            ),
            (Field(&["phase"], &["Succeeded"]), Suspended),
            (Field(&["phase"], &["Unknown"]), Unknown),
            (Is("Paused", "True"), Suspended),
            (READY, Healthy),
            (Is("Ready", ""), Degraded),
        ],
    ),
    of(
        &[("cdi.kubevirt.io", &["DataVolume"])],
        &[
            (Field(&["phase"], &["Succeeded"]), Healthy),
            (Field(&["phase"], &["Paused"]), Suspended),
            (Says("Running", "False", &["Error"]), Degraded),
            (Field(&["phase"], &["Failed", "Unknown"]), Degraded),
        ],
    ),
    of(
        &[(
            "numaflow.numaproj.io",
            &["InterStepBufferService", "MonoVertex", "Pipeline", "Vertex"],
        )],
        &[
            (Old, Progressing),
            (Field(&["phase"], &["Failed"]), Degraded),
            (Is("", "False"), Degraded),
            (
                Field(&["phase"], &["Paused", "Pausing", "Running"]),
                Healthy,
            ),
        ],
    ),
    of(
        &[(
            "platform.confluent.io",
            &[
                "Connect",
                "ControlCenter",
                "Kafka",
                "KsqlDB",
                "SchemaRegistry",
                "Zookeeper",
            ],
        )],
        &[(Field(&["phase"], &["RUNNING"]), Healthy)],
    ),
    of(
        &[("jaegertracing.io", &["Jaeger"])],
        &[
            (Field(&["phase"], &["Running"]), Healthy),
            (Field(&["phase"], &["Failed"]), Degraded),
        ],
    ),
    Known {
        kinds: &[("psmdb.percona.com", &["PerconaServerMongoDB"])],
        rules: &[
            (Field(&["state"], &["ready"]), Healthy),
            (Field(&["state"], &["error"]), Degraded),
            (Field(&["state"], &["paused"]), Suspended),
            (
                Field(&["state"], &["initializing", "stopping"]),
                Progressing,
            ),
        ],
        otherwise: Unknown,
    },
    Known {
        kinds: &[("pxc.percona.com", &["PerconaXtraDBCluster"])],
        rules: &[
            (Field(&["state"], &["ready"]), Healthy),
            (Field(&["state"], &["error", "stopping"]), Degraded),
            (Field(&["state"], &["initializing"]), Progressing),
        ],
        otherwise: Unknown,
    },
    of(
        &[("astra.netapp.io", &["AppVault"])],
        &[
            (Field(&["state"], &["available", "Available"]), Healthy),
            (Field(&["state"], &["failed", "Failed"]), Degraded),
        ],
    ),
    of(
        &[(
            "astra.netapp.io",
            &[
                "Backup",
                "ExecHooksRun",
                "ResourceBackup",
                "ResticVolumeBackup",
                "Snapshot",
            ],
        )],
        &[
            (Field(&["state"], &["Completed"]), Healthy),
            (Field(&["state"], &["Running"]), Progressing),
            (Field(&["state"], &[]), Degraded),
        ],
    ),
    of(
        &[(
            "core.humio.com",
            &[
                "HumioAction",
                "HumioAlert",
                "HumioIngestToken",
                "HumioParser",
                "HumioRepository",
                "HumioView",
            ],
        )],
        &[
            (Field(&["state"], &["Exists"]), Healthy),
            (Field(&["state"], &["NotFound"]), Missing),
            (Field(&["state"], &["ConfigError"]), Degraded),
            (Field(&["state"], &["Unknown"]), Unknown),
        ],
    ),
    of(
        &[("iammanager.keikoproj.io", &["Iamrole"])],
        &[
            (Field(&["state"], &["Ready"]), Healthy),
            (
                Field(
                    &["state"],
                    &[
                        "Error",
                        "PolicyNotAllowed",
                        "RoleNameNotAvailable",
                        "RolesMaxLimitReached",
                    ],
                ),
                Degraded,
            ),
        ],
    ),
    of(
        &[
            ("beat.k8s.elastic.co", &["Beat"]),
            ("logstash.k8s.elastic.co", &["Logstash"]),
        ],
        &[
            (Field(&["health"], &["green"]), Healthy),
            (Field(&["health"], &["red"]), Degraded),
        ],
    ),
    of(
        &[("postgresql.cnpg.io", &["Cluster"])],
        &[
            (Is("cnpg.io/hibernation", "True"), Suspended),
            (Is("cnpg.io/hibernation", ""), Degraded),
            (Field(&["phase"], &["Cluster in healthy state"]), Healthy),
            (
                Field(
                    &["phase"],
                    &[
                        "Creating a new replica",
                        "Promoting to primary cluster",
                        "Setting up primary",
                        "Upgrading cluster",
                        "Waiting for the instances to become active",
                    ],
                ),
                Progressing,
            ),
            (
                Field(
                    &["phase"],
                    &[
                        "Applying configuration",
                        "Cluster cannot execute instance online upgrade due to missing architecture binary",
                        "Cluster upgrade delayed",
                        "Failing over",
                        "Online upgrade in progress",
                        "Primary instance is being restarted in-place",
                        "Primary instance is being restarted without a switchover",
                        "Switchover in progress",
                        "Upgrading Postgres major version",
                        "Waiting for user action",
                    ],
                ),
                Degraded,
            ),
            (
                Field(
                    &["phase"],
                    &[
                        "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
                        "Cluster has incomplete or invalid image catalog",
                        "Cluster is unrecoverable and needs manual intervention",
                        "Unable to create required cluster objects",
                    ],
                ),
                Suspended,
            ),
            (ANY, Unknown),
        ],
    ),
    of(
        &[("acid.zalan.do", &["postgresql"])],
        &[
            (Field(&["PostgresClusterStatus"], &["Running"]), Healthy),
            (
                Field(&["PostgresClusterStatus"], &["Creating", "Updating"]),
                Progressing,
            ),
            (Field(&["PostgresClusterStatus"], &[]), Degraded),
        ],
    ),
    of(
        &[
            (
                "clickhouse-keeper.altinity.com",
                &["ClickHouseKeeperInstallation"],
            ),
            ("clickhouse.altinity.com", &["ClickHouseInstallation"]),
        ],
        &[
            (Field(&["status"], &["Completed"]), Healthy),
            (Field(&["status"], &["InProgress"]), Progressing),
            (Field(&["status"], &[]), Degraded),
        ],
    ),
    of(
        &[(
            "lifecycle.keptn.sh",
            &[
                "KeptnAppVersion",
                "KeptnEvaluation",
                "KeptnTask",
                "KeptnWorkloadInstance",
                "KeptnWorkloadVersion",
            ],
        )],
        &[
            (Field(&["status"], &["Succeeded"]), Healthy),
            (Field(&["status"], &["Failed"]), Degraded),
        ],
    ),
    of(
        &[("minio.min.io", &["Tenant"])],
        &[
            (Field(&["currentState"], &["Initialized"]), Healthy),
            (
                Field(
                    &["currentState"],
                    &[
                        "Another MinIO Tenant already exists in the namespace",
                        "Different versions across MinIO Pools",
                        "Pool Decommissioning Not Allowed",
                        "Statefulset not controlled by operator",
                        "Tenant credentials are not set properly",
                    ],
                ),
                Degraded,
            ),
        ],
    ),
    of(
        &[("tower.ansible.com", &["AnsibleJob"])],
        &[
            (
                Field(&["ansibleJobResult", "status"], &["successful"]),
                Healthy,
            ),
            (
                Field(
                    &["ansibleJobResult", "status"],
                    &["canceled", "error", "failed"],
                ),
                Degraded,
            ),
        ],
    ),
    of(
        &[("sparkoperator.k8s.io", &["SparkApplication"])],
        &[
            (
                Field(&["applicationState", "state"], &["COMPLETED", "RUNNING"]),
                Healthy,
            ),
            (
                Field(
                    &["applicationState", "state"],
                    &["FAILED", "FAILING", "SUBMISSION_FAILED"],
                ),
                Degraded,
            ),
            (
                Field(&["applicationState", "state"], &["INVALIDATING"]),
                Missing,
            ),
        ],
    ),
    of(
        &[(
            "snapshot.storage.k8s.io",
            &["VolumeSnapshot", "VolumeSnapshotContent"],
        )],
        &[
            (Field(&["readyToUse"], &["true"]), Healthy),
            (Field(&["error", "message"], &[]), Degraded),
        ],
    ),
    of(
        &[("*.crossplane.io", &[]), ("*.upbound.io", &[])],
        &[
            (NoStatus, Healthy),
            (Is("LastAsyncOperation", "False"), Degraded),
            (Is("Synced", "False"), Degraded),
            (READY, Healthy),
            (Is("Healthy", "True"), Healthy),
            (Is("Offered", "True"), Healthy),
            (Is("Established", "True"), Healthy),
            (Is("ValidPipeline", "True"), Healthy),
            (Is("RevisionHealthy", "True"), Healthy),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_kind_has_two_rules() {
        let mut seen = BTreeSet::new();
        for (group, kinds) in KNOWN.iter().flat_map(|known| known.kinds) {
            for kind in *kinds {
                assert!(seen.insert((group, kind)), "{group}/{kind}");
            }
        }
        assert!(seen.len() > 100);
    }
}
