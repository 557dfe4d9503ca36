//! Messages about health.

messages! {
    /// A tenant's own check cannot be carried out.
    CHECK_FAILED = "health.check-failed" {
        en: "the health check that the settings have for {kind} `{name}` (resource.customizations) fails; correct the script",
        ko: "설정(resource.customizations)에 있는 {kind} `{name}`의 상태 검사 스크립트가 실패했습니다. 스크립트를 고치십시오",
    }
    /// A tenant's own check is not carried out: there are too many.
    CHECK_LEFT_OUT = "health.check-left-out" {
        en: "the health check that the settings have for {kind} `{name}` (resource.customizations) is not carried out: the application has more objects of such kinds than are checked; split the application, or have the script for fewer kinds",
        ko: "설정(resource.customizations)에 있는 {kind} `{name}`의 상태 검사를 실행하지 않았습니다. 검사할 오브젝트가 한도보다 많습니다. 애플리케이션을 나누거나 스크립트를 더 적은 종류에만 두십시오",
    }
    /// A tenant's own check could not be carried out yet.
    CHECK_POSTPONED = "health.check-postponed" {
        en: "the health check that the settings have for {kind} `{name}` (resource.customizations) could not be carried out yet; it is tried again, and what it says is waited for",
        ko: "설정(resource.customizations)에 있는 {kind} `{name}`의 상태 검사를 아직 실행하지 못했습니다. 다시 시도하며 결과를 기다립니다",
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
        en: "container `{container}` of pod `{pod}` keeps ending (exit code {exit_code}, {restarts} restarts); read its last lines: argocd app logs APP --kind Pod --name {pod} --container {container} --previous",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 계속 종료됩니다 (종료 코드 {exit_code}, 재시작 {restarts}회). 마지막 로그를 확인하십시오: argocd app logs APP --kind Pod --name {pod} --container {container} --previous",
    }
    /// A container was started again and is not ready.
    CONTAINER_RESTARTED = "health.container-restarted" {
        en: "container `{container}` of pod `{pod}` ended with exit code {exit_code}, was started again ({restarts} restarts) and is not ready; it ended by itself or its liveness probe failed: argocd app logs APP --kind Pod --name {pod} --container {container} --previous",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 종료 코드 {exit_code}(으)로 끝난 뒤 다시 시작되었지만 (재시작 {restarts}회) 준비되지 않았습니다. 스스로 끝났거나 liveness 검사가 실패했습니다: argocd app logs APP --kind Pod --name {pod} --container {container} --previous",
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
    /// A container's configuration names an object that is not there.
    CONFIG_MISSING = "health.config-missing" {
        en: "container `{container}` of pod `{pod}` cannot be made: it needs the {kind} `{name}`, which does not exist; create it or correct the reference",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 만들 수 없습니다. 필요한 {kind} `{name}`이(가) 없습니다. 만들거나 참조를 고치십시오",
    }
    /// A container's configuration names a key that is not there.
    CONFIG_KEY_MISSING = "health.config-key-missing" {
        en: "container `{container}` of pod `{pod}` cannot be made: it needs the key `{key}` of the {kind} `{name}`, which has none of that name; add it or correct the reference",
        ko: "파드 `{pod}`의 컨테이너 `{container}`을(를) 만들 수 없습니다. {kind} `{name}`에 필요한 키 `{key}`이(가) 없습니다. 추가하거나 참조를 고치십시오",
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
    /// A container runs and its startup probe has not passed.
    CONTAINER_STARTING = "health.container-starting" {
        en: "container `{container}` of pod `{pod}` runs but its startup probe has not passed yet",
        ko: "파드 `{pod}`의 컨테이너 `{container}`이(가) 실행 중이지만 startup 검사를 아직 통과하지 못했습니다",
    }
    /// An init container has not ended.
    INIT_RUNNING = "health.init-running" {
        en: "init container `{container}` of pod `{pod}` is running; the others wait until it has ended",
        ko: "파드 `{pod}`의 초기화 컨테이너 `{container}`이(가) 실행 중입니다. 끝나야 나머지가 시작됩니다",
    }
    /// Containers are ready and somebody else says that the pod is not.
    READINESS_GATE = "health.readiness-gate" {
        en: "the containers of pod `{pod}` are ready, but one of its readiness gates is not; see what has to set that condition",
        ko: "파드 `{pod}`의 컨테이너는 준비되었지만 readiness gate 하나가 준비되지 않았습니다. 그 조건을 설정해야 하는 쪽을 확인하십시오",
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
    /// A quota keeps pods from being made.
    PODS_QUOTA = "health.pods-quota" {
        en: "pods of {kind} `{name}` cannot be created: the namespace's ResourceQuota does not allow them; ask for less, delete what is not needed, or have the quota raised",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 네임스페이스의 ResourceQuota가 허용하지 않습니다. 요청량을 줄이거나, 필요 없는 것을 지우거나, 할당량을 늘려 달라고 하십시오",
    }
    /// A LimitRange keeps pods from being made.
    PODS_LIMITS = "health.pods-limits" {
        en: "pods of {kind} `{name}` cannot be created: the namespace's LimitRange does not allow the amounts that they ask for; change their resources",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 네임스페이스의 LimitRange가 요청량을 허용하지 않습니다. resources를 고치십시오",
    }
    /// The pod security level keeps pods from being made.
    PODS_SECURITY = "health.pods-security" {
        en: "pods of {kind} `{name}` cannot be created: the namespace's pod security level does not allow them; change the securityContext as the cluster's words say",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 네임스페이스의 파드 보안 수준이 허용하지 않습니다. 클러스터의 설명대로 securityContext를 고치십시오",
    }
    /// Pods want a service account that is not there.
    PODS_SERVICE_ACCOUNT = "health.pods-service-account" {
        en: "pods of {kind} `{name}` cannot be created: their service account does not exist; create it, or correct serviceAccountName",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 서비스 어카운트가 없습니다. 만들거나 serviceAccountName을 고치십시오",
    }
    /// An admission webhook keeps pods from being made.
    PODS_WEBHOOK = "health.pods-webhook" {
        en: "pods of {kind} `{name}` cannot be created: the cluster's admission webhook `{webhook}` refuses them; change them as its words say, or ask who runs the webhook",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 클러스터의 어드미션 웹훅 `{webhook}`이(가) 거부합니다. 설명대로 고치거나 웹훅 운영자에게 문의하십시오",
    }
    /// An admission webhook does not answer, so that pods are not made.
    PODS_WEBHOOK_FAILED = "health.pods-webhook-failed" {
        en: "pods of {kind} `{name}` cannot be created: the cluster's admission webhook `{webhook}` does not answer as it should; it has to be mended by who runs it",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 클러스터의 어드미션 웹훅 `{webhook}`이(가) 제대로 응답하지 않습니다. 웹훅 운영자가 고쳐야 합니다",
    }
    /// An admission policy keeps pods from being made.
    PODS_POLICY = "health.pods-policy" {
        en: "pods of {kind} `{name}` cannot be created: the cluster's ValidatingAdmissionPolicy `{policy}` refuses them; change them as its words say",
        ko: "{kind} `{name}`의 파드를 만들 수 없습니다. 클러스터의 ValidatingAdmissionPolicy `{policy}`이(가) 거부합니다. 설명대로 고치십시오",
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
    /// A controller has not looked at what was changed.
    UNOBSERVED = "health.unobserved" {
        en: "{kind} `{name}` has changed and its controller has not looked at it since; if that lasts, look whether the controller runs",
        ko: "{kind} `{name}`이(가) 바뀌었지만 컨트롤러가 아직 확인하지 않았습니다. 오래 이어지면 컨트롤러가 실행 중인지 확인하십시오",
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
