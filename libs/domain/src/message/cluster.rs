//! Messages about clusters.

messages! {
    /// The cluster does not answer.
    UNREACHABLE = "cluster.unreachable" {
        en: "the cluster `{cluster}` cannot be reached; its state is unknown until it answers again",
        ko: "클러스터 `{cluster}`에 연결할 수 없습니다. 다시 응답할 때까지 상태를 알 수 없습니다",
    }
    /// The cluster answers, and does not list one of its kinds.
    KIND_UNLISTED = "cluster.kind-unlisted" {
        en: "the cluster `{cluster}` answers, but does not list {kind}, and until it has, its state is unknown; see what it says to `kubectl get` of that kind: most likely a conversion webhook or an API service behind it fails; have it mended, or remove the kind",
        ko: "클러스터 `{cluster}`가 응답하지만 {kind} 목록을 주지 않아 상태를 알 수 없습니다. 이 종류에 `kubectl get`을 실행해 오류를 확인하세요. 변환 웹훅이나 API 서비스가 실패하는 것으로 보입니다. 고치거나 이 종류를 지우세요",
    }
    /// The way to the cluster is not configured as it should be.
    CONFIGURATION = "cluster.configuration" {
        en: "the connection to the cluster is not configured correctly; check the kubeconfig file that NARU_KUBECONFIG names",
        ko: "클러스터 연결 설정이 올바르지 않습니다. NARU_KUBECONFIG가 가리키는 kubeconfig 파일을 확인하세요",
    }
    /// The cluster did not answer in time.
    TIMED_OUT = "cluster.timed-out" {
        en: "the cluster did not answer within {seconds} s; it will be asked again",
        ko: "클러스터가 {seconds}초 안에 응답하지 않았습니다. 다시 요청합니다",
    }
    /// The cluster answers, and does not finish a write.
    WRITE_UNFINISHED = "cluster.write-unfinished" {
        en: "the cluster answers, but does not finish writing {resource}: most likely an admission webhook that it asks about such objects hangs; have it mended or removed (kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations), then sync again",
        ko: "클러스터가 응답하지만 {resource} 쓰기를 끝내지 못합니다. 이런 오브젝트를 검사하는 어드미션 웹훅이 멈춘 것으로 보입니다. 웹훅을 고치거나 지운 뒤(kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations) 다시 동기화하세요",
    }
    /// An object is larger than the cluster keeps.
    TOO_LARGE = "cluster.too-large" {
        en: "the object is larger than the cluster keeps (about 1.5 MiB); split it, or keep its data elsewhere",
        ko: "오브젝트가 클러스터의 한도(약 1.5 MiB)보다 큽니다. 나누거나 데이터를 다른 곳에 두세요",
    }
    /// This controller no longer holds the cluster's lease.
    NOT_HOLDER = "cluster.not-holder" {
        en: "this controller may not write to the cluster any more; another one takes over",
        ko: "이 컨트롤러는 더 이상 클러스터에 쓸 수 없습니다. 다른 컨트롤러가 이어받습니다",
    }
    /// The cluster has no such kind.
    UNKNOWN_KIND = "cluster.unknown-kind" {
        en: "the cluster has no kind `{kind}` in `{version}`; install its CustomResourceDefinition or correct apiVersion and kind in the manifest",
        ko: "클러스터에 `{version}`의 `{kind}` 종류가 없습니다. CustomResourceDefinition을 설치하거나 매니페스트의 apiVersion과 kind를 고치세요",
    }
    /// The tenant's service account lacks a right.
    FORBIDDEN = "cluster.forbidden" {
        en: "the tenant's service account has no right to do this; deploy only into the tenant's own namespaces and only kinds that it may manage",
        ko: "테넌트의 서비스 계정에 이 작업을 할 권한이 없습니다. 테넌트의 네임스페이스에 허용된 종류만 배포하세요",
    }
    /// The tenant's service account may not write Namespaces.
    FORBIDDEN_NAMESPACE = "cluster.forbidden-namespace" {
        en: "a tenant cannot apply Namespaces; take it out of Git, and have it made by the option CreateNamespace=true of an application with this destination",
        ko: "테넌트는 Namespace를 적용할 수 없습니다. Git에서 지우고, 이 네임스페이스를 대상으로 하는 애플리케이션의 CreateNamespace=true 옵션으로 만드십시오",
    }
    /// The tenant's service account has no rights outside of namespaces.
    FORBIDDEN_CLUSTER_SCOPE = "cluster.forbidden-cluster-scope" {
        en: "outside of namespaces a tenant has no rights in the shared cluster, and so no cluster-scoped kinds; remove the object, ask the operator, or add a cluster of your own",
        ko: "공유 클러스터에서 테넌트는 네임스페이스 밖의 권한이 없어 클러스터 범위 종류를 사용할 수 없습니다. 오브젝트를 지우거나, 운영자에게 요청하거나, 자신의 클러스터를 추가하십시오",
    }
    /// An object grants more than whoever applies it has.
    FORBIDDEN_GRANT = "cluster.forbidden-grant" {
        en: "the object grants rights that the account `{account}` does not have itself; list only what it has",
        ko: "오브젝트가 계정 `{account}`에 없는 권한을 부여합니다. 그 계정에 있는 권한만 적으십시오",
    }
    /// The cluster refused an object as invalid.
    INVALID_OBJECT = "cluster.invalid-object" {
        en: "the cluster refused the object as invalid; correct the field in the manifest",
        ko: "클러스터가 오브젝트를 잘못된 것으로 거부했습니다. 매니페스트의 해당 필드를 고치세요",
    }
    /// The object is there, and the field may not be changed.
    IMMUTABLE_FIELD = "cluster.immutable-field" {
        en: "this cannot be changed in an object that is there; change it back in Git, or have the object deleted and made anew by the annotation argocd.argoproj.io/sync-options: Force=true",
        ko: "이미 있는 오브젝트에서는 이 값을 바꿀 수 없습니다. Git에서 되돌리거나 argocd.argoproj.io/sync-options: Force=true 어노테이션으로 오브젝트를 지우고 다시 만들게 하세요",
    }
    /// A quota of the namespace is used up, or wants amounts named.
    QUOTA_EXCEEDED = "cluster.quota-exceeded" {
        en: "the namespace's ResourceQuota does not allow the object; ask for less, delete what is not needed, or have the quota raised",
        ko: "네임스페이스의 ResourceQuota가 오브젝트를 허용하지 않습니다. 요청량을 줄이거나, 필요 없는 것을 지우거나, 할당량을 늘려 달라고 하세요",
    }
    /// A LimitRange does not allow an amount.
    LIMIT_RANGE = "cluster.limit-range" {
        en: "the namespace's LimitRange does not allow the amounts that the object asks for; change its resources",
        ko: "네임스페이스의 LimitRange가 오브젝트의 요청량을 허용하지 않습니다. resources를 고치세요",
    }
    /// The namespace's pod security level does not allow a pod.
    POD_SECURITY = "cluster.pod-security" {
        en: "the namespace's pod security level does not allow the pod; change the securityContext as the cluster's words say",
        ko: "네임스페이스의 파드 보안 수준이 파드를 허용하지 않습니다. 클러스터의 설명대로 securityContext를 고치세요",
    }
    /// A pod's service account is not there.
    SERVICE_ACCOUNT_MISSING = "cluster.service-account-missing" {
        en: "the pod's service account does not exist; create it, or correct serviceAccountName",
        ko: "파드의 서비스 계정이 없습니다. 만들거나 serviceAccountName을 고치세요",
    }
    /// An admission webhook said no.
    WEBHOOK_REFUSED = "cluster.webhook-refused" {
        en: "the cluster's admission webhook `{webhook}` refused the object; change the object as its words say, or ask who runs the webhook",
        ko: "클러스터의 어드미션 웹훅 `{webhook}`이(가) 오브젝트를 거부했습니다. 설명대로 오브젝트를 고치거나 웹훅 운영자에게 문의하세요",
    }
    /// An admission webhook does not answer.
    WEBHOOK_FAILED = "cluster.webhook-failed" {
        en: "the cluster's admission webhook `{webhook}` does not answer as it should, and without it nothing is taken; have it mended by who runs it, then sync again",
        ko: "클러스터의 어드미션 웹훅 `{webhook}`이(가) 제대로 응답하지 않아 아무것도 받아들여지지 않습니다. 웹훅 운영자에게 수정을 요청한 뒤 다시 동기화하십시오",
    }
    /// An admission policy said no.
    POLICY_REFUSED = "cluster.policy-refused" {
        en: "the cluster's ValidatingAdmissionPolicy `{policy}` refused the object; change the object as its words say",
        ko: "클러스터의 ValidatingAdmissionPolicy `{policy}`이(가) 오브젝트를 거부했습니다. 설명대로 오브젝트를 고치세요",
    }
    /// A namespace on its way out takes nothing.
    NAMESPACE_ENDING = "cluster.namespace-ending" {
        en: "the namespace is being deleted and takes nothing new; wait until it is gone, or see which finalizers hold it",
        ko: "네임스페이스가 삭제되는 중이라 새 오브젝트를 받지 않습니다. 삭제가 끝나기를 기다리거나 어떤 파이널라이저가 잡고 있는지 확인하세요",
    }
    /// The cluster refused a request for another reason.
    REFUSED = "cluster.refused" {
        en: "the cluster refused the request (HTTP {code} {reason})",
        ko: "클러스터가 요청을 거부했습니다 (HTTP {code} {reason})",
    }
    /// The cluster answered something that is no answer.
    NOT_UNDERSTOOD = "cluster.not-understood" {
        en: "the cluster's answer could not be read",
        ko: "클러스터의 응답을 읽을 수 없습니다",
    }
    /// A namespace is another tenant's.
    FOREIGN_NAMESPACE = "cluster.foreign-namespace" {
        en: "the namespace `{namespace}` exists and is not labelled `naru.io/tenant={tenant}`; the operator must label it or choose another tenant name",
        ko: "네임스페이스 `{namespace}`가 이미 있고 `naru.io/tenant={tenant}` 레이블이 없습니다. 운영자가 레이블을 붙이거나 다른 테넌트 이름을 골라야 합니다",
    }
}
