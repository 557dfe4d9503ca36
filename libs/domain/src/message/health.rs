//! Messages about health.

messages! {
    /// A tenant's own check cannot be carried out.
    CHECK_FAILED = "health.check-failed" {
        en: "the health check that the settings have for {kind} `{name}` (resource.customizations) fails; correct the script",
        ko: "설정(resource.customizations)에 있는 {kind} `{name}`의 상태 검사 스크립트가 실패했습니다. 스크립트를 고치십시오",
    }
    /// A tenant's own check answers with a word that is none.
    CHECK_WORD = "health.check-word" {
        en: "the health check that the settings have for {kind} `{name}` answers `{word}`; it has to answer Healthy, Progressing, Degraded, Suspended, Missing or Unknown",
        ko: "설정에 있는 {kind} `{name}`의 상태 검사가 `{word}`(이)라고 답했습니다. Healthy, Progressing, Degraded, Suspended, Missing, Unknown 가운데 하나로 답해야 합니다",
    }
    /// An Ingress has no address in its status.
    INGRESS_WITHOUT_ADDRESS = "health.ingress-without-address" {
        en: "the Ingress has no address yet: status.loadBalancer.ingress is empty; the ingress controller of class `{class}` has to publish its service's address (Traefik: providers.kubernetesIngress.publishedService)",
        ko: "Ingress에 아직 주소가 없습니다. status.loadBalancer.ingress가 비어 있습니다. `{class}` 클래스의 인그레스 컨트롤러가 서비스 주소를 게시해야 합니다 (Traefik: providers.kubernetesIngress.publishedService)",
    }
    /// A Service waits for a load balancer.
    LOAD_BALANCER_PENDING = "health.load-balancer-pending" {
        en: "the Service has type LoadBalancer and no address yet: nothing has filled status.loadBalancer.ingress; use type ClusterIP or NodePort where the cluster has no load balancer",
        ko: "LoadBalancer 유형의 Service에 아직 주소가 없습니다. status.loadBalancer.ingress가 비어 있습니다. 로드 밸런서가 없는 클러스터라면 ClusterIP나 NodePort를 쓰십시오",
    }
    /// A container's image cannot be pulled.
    IMAGE_PULL = "health.image-pull" {
        en: "container `{container}` of pod `{pod}` cannot start: the image `{image}` cannot be pulled; check its name, its tag and the registry's credentials",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 시작할 수 없습니다. 이미지 `{image}`을(를) 가져올 수 없습니다. 이름, 태그, 레지스트리 인증 정보를 확인하십시오",
    }
    /// A container's image name is not one.
    INVALID_IMAGE_NAME = "health.invalid-image-name" {
        en: "container `{container}` of pod `{pod}` cannot start: `{image}` is not an image name",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 시작할 수 없습니다. `{image}`은(는) 올바른 이미지 이름이 아닙니다",
    }
    /// A container ends again and again.
    CRASH_LOOP = "health.crash-loop" {
        en: "container `{container}` of pod `{pod}` keeps ending (exit code {exit_code}, {restarts} restarts); read its log: argocd app logs",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 계속 종료됩니다 (종료 코드 {exit_code}, 재시작 {restarts}회). argocd app logs로 로그를 확인하십시오",
    }
    /// A container was killed for its memory.
    OUT_OF_MEMORY = "health.out-of-memory" {
        en: "container `{container}` of pod `{pod}` was killed for using more memory than its limit; raise resources.limits.memory or use less",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 메모리 제한을 넘어 종료되었습니다. resources.limits.memory를 늘리거나 사용량을 줄이십시오",
    }
    /// A container's configuration names something that is not there.
    CONTAINER_CONFIG = "health.container-config" {
        en: "container `{container}` of pod `{pod}` cannot be made ({reason}); usually a ConfigMap, Secret or key that it names does not exist",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 만들 수 없습니다 ({reason}). 대개 참조하는 ConfigMap, Secret 또는 키가 없기 때문입니다",
    }
    /// A container cannot start for another reason.
    CONTAINER_WAITING = "health.container-waiting" {
        en: "container `{container}` of pod `{pod}` cannot start: {reason}",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 시작할 수 없습니다: {reason}",
    }
    /// A container ended and will not be started again.
    CONTAINER_FAILED = "health.container-failed" {
        en: "container `{container}` of pod `{pod}` ended with exit code {exit_code}",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 종료 코드 {exit_code}(으)로 끝났습니다",
    }
    /// A container runs and is not ready.
    CONTAINER_NOT_READY = "health.container-not-ready" {
        en: "container `{container}` of pod `{pod}` runs but is not ready; its readiness probe has not passed yet",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 실행 중이지만 준비되지 않았습니다. readiness 검사를 아직 통과하지 못했습니다",
    }
    /// No node takes a pod.
    UNSCHEDULABLE = "health.unschedulable" {
        en: "pod `{pod}` has no node to run on; check its resource requests, node selector and tolerations against the nodes",
        ko: "파드 `{pod}`을(를) 실행할 노드가 없습니다. 리소스 요청, 노드 셀렉터, 톨러레이션을 노드와 비교하십시오",
    }
    /// A pod failed.
    POD_FAILED = "health.pod-failed" {
        en: "pod `{pod}` failed",
        ko: "파드 `{pod}`이(가) 실패했습니다",
    }
    /// A pod has not begun to run.
    POD_PENDING = "health.pod-pending" {
        en: "pod `{pod}` is being started",
        ko: "파드 `{pod}`을(를) 시작하는 중입니다",
    }
    /// Pods cannot be made.
    REPLICA_FAILURE = "health.replica-failure" {
        en: "pods of {kind} `{name}` cannot be created; quota, admission and the service account are the usual reasons",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 할당량, 어드미션, 서비스 어카운트를 확인하십시오",
    }
    /// A Deployment took too long.
    DEADLINE_EXCEEDED = "health.deadline-exceeded" {
        en: "Deployment `{name}` made no progress within {seconds} seconds (spec.progressDeadlineSeconds)",
        ko: "Deployment `{name}`이(가) {seconds}초(spec.progressDeadlineSeconds) 안에 진행되지 않았습니다",
    }
    /// A workload's controller has not looked yet.
    NOT_OBSERVED = "health.not-observed" {
        en: "{kind} `{name}` was changed and its controller has not taken it up yet",
        ko: "{kind} `{name}`이(가) 변경되었지만 컨트롤러가 아직 반영하지 않았습니다",
    }
    /// A workload waits for new pods.
    WAITING_FOR_UPDATE = "health.waiting-for-update" {
        en: "{kind} `{name}`: {done} of {wanted} new pods have been created",
        ko: "{kind} `{name}`: 새 파드 {wanted}개 중 {done}개가 만들어졌습니다",
    }
    /// A workload waits for old pods to go.
    WAITING_FOR_OLD = "health.waiting-for-old" {
        en: "{kind} `{name}`: {count} old pods have not ended yet",
        ko: "{kind} `{name}`: 이전 파드 {count}개가 아직 종료되지 않았습니다",
    }
    /// A workload waits for its pods to be ready.
    WAITING_FOR_READY = "health.waiting-for-ready" {
        en: "{kind} `{name}`: {done} of {wanted} pods are available",
        ko: "{kind} `{name}`: 파드 {wanted}개 중 {done}개를 사용할 수 있습니다",
    }
    /// A workload was stopped on purpose.
    PAUSED = "health.paused" {
        en: "{kind} `{name}` is paused; resume it to go on",
        ko: "{kind} `{name}`이(가) 일시 중지되었습니다. 계속하려면 다시 시작하십시오",
    }
    /// A Job failed.
    JOB_FAILED = "health.job-failed" {
        en: "Job `{name}` failed; read the log of its pods",
        ko: "Job `{name}`이(가) 실패했습니다. 파드의 로그를 확인하십시오",
    }
    /// A Job runs.
    JOB_RUNNING = "health.job-running" {
        en: "Job `{name}` is running",
        ko: "Job `{name}`이(가) 실행 중입니다",
    }
    /// A CronJob's last run failed.
    CRON_JOB_FAILED = "health.cron-job-failed" {
        en: "the last run of CronJob `{name}` did not succeed",
        ko: "CronJob `{name}`의 마지막 실행이 성공하지 못했습니다",
    }
    /// A claim has no volume.
    CLAIM_PENDING = "health.claim-pending" {
        en: "PersistentVolumeClaim `{name}` has no volume yet; storage class `{class}` has to provide one",
        ko: "PersistentVolumeClaim `{name}`에 아직 볼륨이 없습니다. 스토리지 클래스 `{class}`이(가) 볼륨을 제공해야 합니다",
    }
    /// A claim lost its volume.
    CLAIM_LOST = "health.claim-lost" {
        en: "PersistentVolumeClaim `{name}` lost its volume",
        ko: "PersistentVolumeClaim `{name}`의 볼륨이 사라졌습니다",
    }
    /// An object is on its way out.
    DELETING = "health.deleting" {
        en: "{kind} `{name}` is being deleted; finalizers: {finalizers}",
        ko: "{kind} `{name}`을(를) 삭제하는 중입니다. 파이널라이저: {finalizers}",
    }
    /// A kind's own condition says that it does not work.
    CONDITION = "health.condition" {
        en: "{kind} `{name}` reports {condition}",
        ko: "{kind} `{name}` 상태: {condition}",
    }
    /// An object is not there.
    MISSING = "health.missing" {
        en: "nothing of this application is in the cluster yet; sync it",
        ko: "이 애플리케이션의 리소스가 아직 클러스터에 없습니다. 동기화하십시오",
    }
    /// Nobody knows.
    UNKNOWN = "health.unknown" {
        en: "the health of {kind} `{name}` cannot be told from what it reports",
        ko: "{kind} `{name}`의 상태를 알 수 없습니다",
    }
    /// The application's health cannot be told.
    APP_UNKNOWN = "health.app-unknown" {
        en: "the health of the application is unknown until it can be compared",
        ko: "비교할 수 있을 때까지 애플리케이션의 상태를 알 수 없습니다",
    }
}
