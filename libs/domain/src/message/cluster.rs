//! Messages about clusters.

messages! {
    /// The cluster does not answer.
    UNREACHABLE = "cluster.unreachable" {
        en: "the cluster `{cluster}` cannot be reached; its state is unknown until it answers again",
        ko: "클러스터 `{cluster}`에 연결할 수 없습니다. 다시 응답할 때까지 상태를 알 수 없습니다",
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
    /// The cluster refused an object as invalid.
    INVALID_OBJECT = "cluster.invalid-object" {
        en: "the cluster refused the object as invalid; correct the field in the manifest",
        ko: "클러스터가 오브젝트를 잘못된 것으로 거부했습니다. 매니페스트의 해당 필드를 고치세요",
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
