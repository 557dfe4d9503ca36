//! Messages about repositories, clusters and keys that a tenant connects.

messages! {
    /// A way into a repository that is kept and not used yet.
    KEPT_ONLY = "credentials.kept-only" {
        en: "`{what}` is stored, but this version cannot reach a repository with it yet; connect the repository with a username and password, a bearer token, an SSH key, a client certificate or a GitHub App to use it now",
        ko: "`{what}`은(는) 저장되었지만 이 버전에서는 아직 저장소 연결에 쓸 수 없습니다. 지금 사용하려면 사용자 이름과 비밀번호, 베어러 토큰, SSH 키, 클라이언트 인증서 또는 GitHub App으로 연결하십시오",
    }
    /// A cluster's address is none.
    CLUSTER_SERVER = "credentials.cluster-server" {
        en: "`{server}` is not the address of a cluster; write https://host:port, without a login in it",
        ko: "`{server}`은(는) 클러스터 주소가 아닙니다. 로그인 정보 없이 https://host:port 형식으로 쓰십시오",
    }
    /// A cluster's login would run a program of the client's choice.
    CLUSTER_EXEC = "credentials.cluster-exec" {
        en: "`execProviderConfig` is refused: it would run a program on the platform; give a bearer token, a client certificate or a password (`argocd cluster add` without --exec-command)",
        ko: "`execProviderConfig`은(는) 플랫폼에서 프로그램을 실행하므로 거부합니다. 베어러 토큰, 클라이언트 인증서 또는 비밀번호를 쓰십시오 (--exec-command 없이 `argocd cluster add`)",
    }
    /// A cluster's login would use the platform's own cloud identity.
    CLUSTER_AWS = "credentials.cluster-aws" {
        en: "`awsAuthConfig` is refused: it would act with the platform's own cloud identity; give a bearer token, a client certificate or a password",
        ko: "`awsAuthConfig`은(는) 플랫폼 자체의 클라우드 자격 증명으로 동작하므로 거부합니다. 베어러 토큰, 클라이언트 인증서 또는 비밀번호를 쓰십시오",
    }
    /// A proxy on the way to a cluster.
    CLUSTER_PROXY = "credentials.cluster-proxy" {
        en: "`proxyUrl` is not supported yet; give an address at which the platform reaches the cluster directly",
        ko: "`proxyUrl`은(는) 아직 지원하지 않습니다. 플랫폼이 직접 접근할 수 있는 클러스터 주소를 쓰십시오",
    }
    /// The shared cluster is not the tenant's to change.
    CLUSTER_SHARED = "credentials.cluster-shared" {
        en: "`{server}` is the tenant's part of the shared cluster; the platform's operator keeps its settings, and they cannot be changed here",
        ko: "`{server}`은(는) 공유 클러스터에서 테넌트에 배정된 부분입니다. 설정은 플랫폼 운영자가 관리하므로 여기서 바꿀 수 없습니다",
    }
    /// A cluster's address leads to the platform itself.
    CLUSTER_ADDRESS = "credentials.cluster-address" {
        en: "`{server}` leads to an address where the platform connects to no cluster; use the API server's public address, or ask the operator to allow it (NARU_EGRESS__ALLOW of the controllers)",
        ko: "`{server}`은(는) 플랫폼이 클러스터에 연결하지 않는 주소를 가리킵니다. API 서버의 공개 주소를 쓰거나 운영자에게 허용(컨트롤러의 NARU_EGRESS__ALLOW)을 요청하십시오",
    }
    /// A cluster cannot be reached or says no.
    CLUSTER_UNREACHABLE = "credentials.cluster-unreachable" {
        en: "the cluster `{server}` could not be asked for its version: {why}; check its address, certificate authority and credentials",
        ko: "클러스터 `{server}`의 버전을 확인할 수 없습니다: {why}. 주소, 인증 기관, 자격 증명을 확인하십시오",
    }
    /// The token of a cluster cannot be rotated.
    CLUSTER_ROTATION = "credentials.cluster-rotation" {
        en: "the token of the cluster `{server}` could not be rotated: {why}; the one in use stays",
        ko: "클러스터 `{server}`의 토큰을 교체할 수 없습니다: {why}. 현재 토큰을 계속 사용합니다",
    }
    /// Too many clusters are being asked at once.
    CLUSTERS_BUSY = "credentials.clusters-busy" {
        en: "{limit} clusters are being asked already, as many as may be at once; try again when they have answered",
        ko: "이미 클러스터 {limit}개에 확인 요청 중이며 동시에 할 수 있는 한도입니다. 응답이 온 뒤 다시 시도하십시오",
    }
    /// What was sealed for the controllers does not open.
    CLUSTER_SEALED = "credentials.cluster-sealed" {
        en: "the credentials of the cluster `{server}` were sealed to a key that the controllers do not have; add the cluster again",
        ko: "클러스터 `{server}`의 자격 증명이 컨트롤러에 없는 키로 봉인되어 있습니다. 클러스터를 다시 추가하십시오",
    }
    /// A text holds no keys.
    GPG_MALFORMED = "credentials.gpg-malformed" {
        en: "the key cannot be read: {why}",
        ko: "키를 읽을 수 없습니다: {why}",
    }
    /// More than a tenant may store.
    TOO_MANY = "credentials.too-many" {
        en: "there are {limit} {what} already, no more can be stored; delete some first",
        ko: "{what}이(가) 이미 {limit}개여서 더 저장할 수 없습니다. 먼저 일부를 삭제하십시오",
    }
}
