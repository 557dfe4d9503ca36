//! Messages about comparing and syncing.

messages! {
    /// The cluster refused an object.
    REFUSED = "sync.refused" {
        en: "the cluster refused the object",
        ko: "클러스터가 오브젝트를 거부했습니다",
    }
    /// An object lacks what every object has.
    INVALID_OBJECT = "sync.invalid-object" {
        en: "the manifest has no valid `{field}`; every object needs apiVersion, kind and metadata.name",
        ko: "매니페스트에 올바른 `{field}`이(가) 없습니다. 모든 오브젝트에는 apiVersion, kind, metadata.name이 필요합니다",
    }
    /// An object is larger than any cluster takes.
    OBJECT_TOO_LARGE = "sync.object-too-large" {
        en: "{resource} has {size} bytes, more than the {limit} that a cluster takes; split it, or keep its data elsewhere",
        ko: "{resource}의 크기가 {size}바이트로 클러스터가 받는 한도 {limit}바이트를 넘습니다. 나누거나 데이터를 다른 곳에 두십시오",
    }
    /// One object is written several times.
    REPEATED_RESOURCE = "sync.repeated-resource" {
        en: "{resource} appears {count} times in this application and the last one is used; delete the others",
        ko: "{resource}이(가) 이 애플리케이션에 {count}번 나오며 마지막 것이 쓰입니다. 나머지를 지우십시오",
    }
    /// The tenant's settings leave the kind out.
    EXCLUDED_RESOURCE = "sync.excluded-resource" {
        en: "Resource {group}/{kind} {name} is excluded in the settings: it is neither deployed nor compared; remove it from Git, or change resource.exclusions and resource.inclusions",
        ko: "Resource {group}/{kind} {name} is excluded in the settings: 설정에서 제외되어 배포하지도 비교하지도 않습니다. Git에서 지우거나 resource.exclusions와 resource.inclusions를 바꾸십시오",
    }
    /// The cluster does not have the kind.
    UNKNOWN_KIND = "sync.unknown-kind" {
        en: "the cluster has no kind `{kind}` in `{version}`; correct it, or install the CustomResourceDefinition first",
        ko: "클러스터의 `{version}`에 `{kind}` 종류가 없습니다. 값을 고치거나 CustomResourceDefinition을 먼저 설치하십시오",
    }
    /// The cluster has the kind in another version.
    UNKNOWN_KIND_VERSION = "sync.unknown-kind-version" {
        en: "the cluster has no kind `{kind}` in `{version}`, but in {versions}; change apiVersion",
        ko: "클러스터의 `{version}`에는 `{kind}` 종류가 없고 {versions}에 있습니다. apiVersion을 바꾸십시오",
    }
    /// The project does not permit a cluster-scoped kind.
    CLUSTER_KIND_FORBIDDEN = "sync.cluster-kind-forbidden" {
        en: "project `{project}` does not permit the cluster-scoped kind {kind}; remove the object; in the shared cluster a tenant has no cluster-scoped kinds: ask the operator, or add a cluster of your own; there, add the kind to clusterResourceWhitelist of the project",
        ko: "프로젝트 `{project}`은(는) 클러스터 범위 종류 {kind}을(를) 허용하지 않습니다. 오브젝트를 지우십시오. 공유 클러스터에서 테넌트는 클러스터 범위 종류를 사용할 수 없으므로 운영자에게 요청하거나 자신의 클러스터를 추가하십시오. 그곳에서는 프로젝트의 clusterResourceWhitelist에 추가하십시오",
    }
    /// The project does not permit a namespaced kind.
    NAMESPACED_KIND_FORBIDDEN = "sync.kind-forbidden" {
        en: "project `{project}` does not permit the kind {kind}; remove the object or change namespaceResourceWhitelist or namespaceResourceBlacklist of the project",
        ko: "프로젝트 `{project}`은(는) {kind} 종류를 허용하지 않습니다. 오브젝트를 지우거나 프로젝트의 namespaceResourceWhitelist, namespaceResourceBlacklist를 바꾸십시오",
    }
    /// The namespace is not the tenant's.
    NAMESPACE_NOT_YOURS = "sync.namespace-not-yours" {
        en: "namespace `{namespace}` is not yours; use one of: {allowed}",
        ko: "네임스페이스 `{namespace}`은(는) 사용할 수 없습니다. 사용할 수 있는 네임스페이스: {allowed}",
    }
    /// The namespace is not the tenant's, and would be if it were made.
    NAMESPACE_NOT_MADE = "sync.namespace-not-made" {
        en: "namespace `{namespace}` is not yours; use one of: {allowed}, or set CreateNamespace=true in spec.syncPolicy.syncOptions: `{pattern}` may be made",
        ko: "네임스페이스 `{namespace}`은(는) 사용할 수 없습니다. 사용할 수 있는 네임스페이스: {allowed}. 또는 spec.syncPolicy.syncOptions에 CreateNamespace=true를 설정하십시오. `{pattern}`은(는) 만들 수 있습니다",
    }
    /// Only some namespaces of the cluster are followed, and the object is in none.
    CLUSTER_LEVEL_UNMANAGED = "sync.cluster-level-unmanaged" {
        en: "cluster level {kind} `{name}` can not be managed when in namespaced mode: the cluster was added with the namespaces that are followed; remove the object, or add the cluster again with `argocd cluster add --namespace ... --cluster-resources`",
        ko: "네임스페이스 모드에서는 클러스터 수준의 {kind} `{name}`을(를) 관리할 수 없습니다. 네임스페이스를 지정하여 추가한 클러스터입니다. 오브젝트를 지우거나 `argocd cluster add --namespace ... --cluster-resources`로 클러스터를 다시 추가하십시오",
    }
    /// The namespace belongs to a tenant.
    NAMESPACE_OF_TENANT = "sync.namespace-of-tenant" {
        en: "namespace `{namespace}` belongs to a tenant; deploy to it from that tenant's own applications",
        ko: "네임스페이스 `{namespace}`은(는) 다른 테넌트의 것입니다. 그 테넌트의 애플리케이션에서 배포하십시오",
    }
    /// The project does not permit the namespace.
    NAMESPACE_NOT_IN_PROJECT = "sync.namespace-not-in-project" {
        en: "project `{project}` does not permit namespace `{namespace}`; change the namespace or the project's destinations",
        ko: "프로젝트 `{project}`은(는) 네임스페이스 `{namespace}`을(를) 허용하지 않습니다. 네임스페이스나 프로젝트의 destinations를 바꾸십시오",
    }
    /// Neither the object nor the application names a namespace.
    NAMESPACE_MISSING = "sync.namespace-missing" {
        en: "{resource} names no namespace and neither does the application; set metadata.namespace or spec.destination.namespace",
        ko: "{resource}에도 애플리케이션에도 네임스페이스가 없습니다. metadata.namespace 또는 spec.destination.namespace를 지정하십시오",
    }
    /// The destination's namespace does not exist.
    NAMESPACE_ABSENT = "sync.namespace-absent" {
        en: "namespace `{namespace}` does not exist; correct spec.destination.namespace, or add CreateNamespace=true to syncPolicy.syncOptions",
        ko: "네임스페이스 `{namespace}`이(가) 없습니다. spec.destination.namespace를 고치거나 syncPolicy.syncOptions에 CreateNamespace=true를 추가하십시오",
    }
    /// An Application among the manifests.
    APPLICATION_IN_GIT = "sync.application-in-git" {
        en: "{kind} `{name}` in Git is not supported yet; create it with the argocd command or the API and remove it from this folder",
        ko: "Git에 있는 {kind} `{name}`은(는) 아직 지원하지 않습니다. argocd 명령이나 API로 만들고 이 폴더에서 지우십시오",
    }
    /// A hook did not succeed.
    HOOK_FAILED = "sync.hook-failed" {
        en: "the hook {resource} failed: {reason}",
        ko: "훅 {resource}이(가) 실패했습니다: {reason}",
    }
    /// A hook is gone before its end was seen.
    HOOK_VANISHED = "sync.hook-vanished" {
        en: "the hook {resource} was deleted while it was running; sync again to run it anew",
        ko: "훅 {resource}이(가) 실행 중에 삭제되었습니다. 다시 실행하려면 다시 동기화하십시오",
    }
    /// A hook runs on that was to be stopped.
    HOOK_NOT_STOPPED = "sync.hook-not-stopped" {
        en: "the hook {resource} runs on though its sync was stopped, since it cannot be deleted; that is tried again by itself: act on what the cluster says, or delete the hook by hand",
        ko: "동기화가 중단되었지만 훅 {resource}을(를) 삭제할 수 없어 훅이 계속 실행되고 있습니다. 삭제는 자동으로 다시 시도합니다. 클러스터가 알리는 문제를 해결하거나 훅을 직접 지우십시오",
    }
    /// Our finalizer stays on a hook.
    HOOK_NOT_RELEASED = "sync.hook-not-released" {
        en: "the finalizer `argocd.argoproj.io/hook-finalizer` cannot be taken off the hook {resource}, and keeps it in the cluster; that is tried again by itself: act on what the cluster says, or take it off by hand",
        ko: "훅 {resource}에서 `argocd.argoproj.io/hook-finalizer` 파이널라이저를 뗄 수 없어 훅이 클러스터에 남아 있습니다. 자동으로 다시 시도합니다. 클러스터가 알리는 문제를 해결하거나 파이널라이저를 직접 떼십시오",
    }
    /// A hook's name is taken by an object that the application did not make.
    HOOK_NAME_TAKEN = "sync.hook-name-taken" {
        en: "{resource} is there already and was not made by this application, so that the hook cannot replace it; rename the hook, or delete the object",
        ko: "{resource}이(가) 이미 있고 이 애플리케이션이 만든 것이 아니어서 훅으로 바꿀 수 없습니다. 훅의 이름을 바꾸거나 그 오브젝트를 지우십시오",
    }
    /// Git has an object and the cluster does not.
    MISSING = "sync.missing" {
        en: "{resource} is in Git but not in the cluster; sync to create it",
        ko: "{resource}이(가) Git에는 있지만 클러스터에는 없습니다. 동기화하면 만들어집니다",
    }
    /// A field has another value in the cluster.
    FIELD_DIFFERS = "sync.field-differs" {
        en: "`{field}` is {got} in the cluster and {want} in Git",
        ko: "`{field}` 값이 클러스터에서는 {got}, Git에서는 {want}입니다",
    }
    /// A field is in Git and not in the cluster.
    FIELD_MISSING = "sync.field-missing" {
        en: "`{field}` is {want} in Git and not set in the cluster",
        ko: "`{field}` 값이 Git에서는 {want}인데 클러스터에는 없습니다",
    }
    /// A field that we set is no longer in Git.
    FIELD_REMOVED = "sync.field-removed" {
        en: "`{field}` was removed from Git and is still {got} in the cluster; sync to remove it",
        ko: "`{field}`이(가) Git에서 삭제되었지만 클러스터에는 아직 {got}(으)로 있습니다. 동기화하면 제거됩니다",
    }
    /// Somebody gave a field another value in the cluster.
    FIELD_CHANGED = "sync.field-changed" {
        en: "`{field}` is {got} in the cluster and {want} in Git: `{manager}` set it in the cluster ({operation}, last at {time}); sync to undo that, or write it to Git",
        ko: "`{field}` 값이 클러스터에서는 {got}, Git에서는 {want}입니다. 클러스터에서 `{manager}`이(가) 설정했습니다 ({operation}, 마지막 {time}). 동기화하면 되돌려집니다. 유지하려면 Git에 반영하십시오",
    }
    /// Somebody gave a field another value in the cluster, and nobody is on record for it.
    FIELD_CHANGED_UNRECORDED = "sync.field-changed-unrecorded" {
        en: "`{field}` is {got} in the cluster and {want} in Git: it was changed in the cluster, which has no record of who did; sync to undo that, or write it to Git",
        ko: "`{field}` 값이 클러스터에서는 {got}, Git에서는 {want}입니다. 클러스터에서 변경되었고 누가 했는지는 기록에 없습니다. 동기화하면 되돌려집니다. 유지하려면 Git에 반영하십시오",
    }
    /// Somebody wrote what a field is part of in the cluster, without the field.
    FIELD_LEFT_OUT = "sync.field-left-out" {
        en: "`{field}` is {want} in Git and not set in the cluster: `{manager}` left it out there ({operation}, last at {time}); sync to undo that, or write it to Git",
        ko: "`{field}` 값이 Git에서는 {want}인데 클러스터에는 없습니다. 클러스터에서 `{manager}`이(가) 뺐습니다 ({operation}, 마지막 {time}). 동기화하면 되돌려집니다. 유지하려면 Git에 반영하십시오",
    }
    /// A field was there and was taken out in the cluster.
    FIELD_TAKEN_OUT = "sync.field-taken-out" {
        en: "`{field}` is {want} in Git and was taken out in the cluster, which keeps no record of who does that; sync to put it back, or take it out of Git",
        ko: "`{field}` 값이 Git에서는 {want}인데 클러스터에서 제거되었습니다. 누가 제거했는지는 클러스터의 기록에 남지 않습니다. 동기화하면 다시 들어갑니다. 유지하려면 Git에서도 지우십시오",
    }
    /// Somebody added a field in the cluster to what is replaced as a whole.
    FIELD_ADDED = "sync.field-added" {
        en: "`{field}` is {got} in the cluster and not in Git: `{manager}` set it in the cluster ({operation}, last at {time}); sync to remove it, or write it to Git",
        ko: "`{field}` 값이 클러스터에서는 {got}인데 Git에는 없습니다. 클러스터에서 `{manager}`이(가) 설정했습니다 ({operation}, 마지막 {time}). 동기화하면 제거됩니다. 유지하려면 Git에 반영하십시오",
    }
    /// More fields differ than are shown.
    MORE_FIELDS = "sync.more-fields" {
        en: "and {count} more fields differ; `argocd app diff` shows them all",
        ko: "다른 필드가 {count}개 더 있습니다. `argocd app diff`로 모두 볼 수 있습니다",
    }
    /// An object left Git.
    REQUIRES_PRUNING = "sync.requires-pruning" {
        en: "{resource} is no longer in Git; sync with prune to delete it",
        ko: "{resource}이(가) Git에서 삭제되었습니다. prune 옵션으로 동기화하면 클러스터에서도 삭제됩니다",
    }
    /// An object left Git and asks not to be deleted.
    PRUNE_DISABLED = "sync.prune-disabled" {
        en: "{resource} is no longer in Git, and its annotation Prune=false keeps it; delete it by hand or remove the annotation",
        ko: "{resource}이(가) Git에서 삭제되었지만 Prune=false 주석 때문에 남아 있습니다. 직접 지우거나 주석을 없애십시오",
    }
    /// Another application has the object too.
    SHARED_RESOURCE = "sync.shared-resource" {
        en: "{resource} also belongs to application `{app}`; remove it from one of the two",
        ko: "{resource}은(는) 애플리케이션 `{app}`에도 속해 있습니다. 둘 중 하나에서 지우십시오",
    }
    /// The application's name is longer than the label that would have to hold it.
    LABEL_TOO_LONG = "sync.label-too-long" {
        en: "{resource} would be known by a label alone, and the name of application `{app}` has {length} characters where a label holds {limit}; give it a shorter name, or set `application.resourceTrackingMethod` of `argocd-cm` to `annotation` or `annotation+label`",
        ko: "{resource}은(는) 레이블만으로 알아보게 되는데 애플리케이션 `{app}`의 이름이 {length}자로, 레이블의 한도 {limit}자를 넘습니다. 이름을 줄이거나 `argocd-cm`의 `application.resourceTrackingMethod`를 `annotation` 또는 `annotation+label`로 지정하십시오",
    }
    /// The object belongs to somebody else.
    OTHER_INSTALLATION = "sync.other-installation" {
        en: "{resource} exists already and belongs to another installation; it is left alone: choose another name",
        ko: "{resource}은(는) 이미 있으며 다른 설치의 것이므로 건드리지 않습니다. 다른 이름을 쓰십시오",
    }
    /// A jq expression of what is left out cannot be evaluated.
    JQ_INVALID = "sync.jq-invalid" {
        en: "an expression of jqPathExpressions in ignoreDifferences cannot be evaluated, so that what it names is compared; correct it",
        ko: "ignoreDifferences의 jqPathExpressions에 평가할 수 없는 식이 있어, 그 식이 가리키는 필드도 비교합니다. 식을 고치십시오",
    }
    /// A jq expression of what is left out takes too much of an object.
    JQ_NOT_NOW = "sync.jq-not-now" {
        en: "the jqPathExpressions of ignoreDifferences take longer than a second for {resource}, or more memory than they may, so that nobody can say what of it is left out; make them simpler; they are tried again in a minute",
        ko: "ignoreDifferences의 jqPathExpressions가 {resource}에서 1초를 넘기거나 허용된 메모리를 넘어, 무엇을 비교에서 뺄지 알 수 없습니다. 식을 단순하게 고치십시오. 1분 뒤에 다시 시도합니다",
    }
    /// A pointer of what is left out is none.
    IGNORED_POINTER_INVALID = "sync.ignored-pointer-invalid" {
        en: "`{pointer}` in ignoreDifferences is not a JSON pointer; it must begin with `/`",
        ko: "ignoreDifferences의 `{pointer}`은(는) JSON 포인터가 아닙니다. `/`로 시작해야 합니다",
    }
    /// Auto-sync would delete everything.
    WIPE_OUT = "sync.wipe-out" {
        en: "Skipping sync attempt to {revision}: auto-sync will wipe out all resources; check the path in Git, or set syncPolicy.automated.allowEmpty",
        ko: "{revision}(으)로의 동기화를 건너뜁니다: auto-sync will wipe out all resources (모든 리소스가 삭제됩니다). Git의 경로를 확인하거나 syncPolicy.automated.allowEmpty를 설정하십시오",
    }
    /// Auto-sync tried this revision and failed.
    LAST_ATTEMPT_FAILED = "sync.last-attempt-failed" {
        en: "Failed last sync attempt to {revision}: {message}; it is not tried again until Git or the application changes, or you sync",
        ko: "{revision}(으)로의 마지막 동기화가 실패했습니다: {message}. Git이나 애플리케이션이 바뀌거나 직접 동기화할 때까지 다시 시도하지 않습니다",
    }
    /// Objects that no application has.
    ORPHANED_RESOURCE = "sync.orphaned-resource" {
        en: "Application has {count} orphaned resources: no application has them, {first} for one; put them into Git, delete them, or let the project ignore them (orphanedResources.ignore)",
        ko: "애플리케이션의 네임스페이스에 어느 애플리케이션에도 속하지 않은 리소스가 {count}개 있습니다 (예: {first}). Git에 넣거나, 지우거나, 프로젝트의 orphanedResources.ignore에 지정하십시오",
    }
    /// Somebody went back, and auto-sync holds still.
    HELD = "sync.held" {
        en: "`{account}` rolled back to {deployed}, so {revision} is not synced by itself; auto-sync goes on when Git says something else, or when somebody syncs",
        ko: "`{account}`이(가) {deployed}(으)로 롤백했으므로 {revision}을(를) 자동으로 동기화하지 않습니다. Git의 내용이 달라지거나 누군가 동기화하면 자동 동기화를 다시 시작합니다",
    }
    /// The tenant's operations take all the places that there are.
    WAITING_TURN = "sync.waiting-turn" {
        en: "it is not synced yet: as many operations run as may ({allowed}), and a sync begins by itself when one of them has ended; stop one with `argocd app terminate-op`, or ask the operator for more",
        ko: "동시에 실행할 수 있는 작업 {allowed}개가 모두 실행 중이므로 아직 동기화하지 않습니다. 하나가 끝나면 자동으로 동기화를 시작합니다. `argocd app terminate-op`으로 하나를 중단하거나 운영자에게 늘려 달라고 요청하십시오",
    }
    /// Drift is undone later.
    HEAL_WAITS = "sync.heal-waits" {
        en: "what was changed in the cluster is undone by itself at {time}: it was undone only a moment ago, and each time in a row waits longer; sync to have it at once",
        ko: "클러스터에서 바뀐 것을 {time}에 자동으로 되돌립니다. 조금 전에 이미 되돌렸고, 연달아 되돌릴 때마다 더 오래 기다립니다. 바로 되돌리려면 동기화하십시오",
    }
    /// A window of the project keeps syncs back.
    WINDOW_CLOSED = "sync.window-closed" {
        en: "nothing is synced before {opens}: project `{project}` says so by its sync window {windows}; what waits goes on then, or change syncWindows of the project",
        ko: "{opens} 전에는 동기화하지 않습니다. 프로젝트 `{project}`의 동기화 창 {windows} 때문입니다. 그때 이어서 진행하며, 그 전에 하려면 프로젝트의 syncWindows를 바꾸십시오",
    }
    /// The same, and no end of it is known.
    WINDOW_STAYS_CLOSED = "sync.window-stays-closed" {
        en: "nothing is synced for now, and no time is known at which that ends: project `{project}` says so by its sync window {windows}; change syncWindows of the project",
        ko: "지금은 동기화하지 않으며 언제 풀릴지 알 수 없습니다. 프로젝트 `{project}`의 동기화 창 {windows} 때문입니다. 프로젝트의 syncWindows를 바꾸십시오",
    }
    /// A window of the project cannot be read.
    WINDOW_INVALID = "sync.window-invalid" {
        en: "nothing is synced, because a sync window of project `{project}` cannot be read: {error}; correct syncWindows of the project",
        ko: "프로젝트 `{project}`의 동기화 창을 읽을 수 없어 동기화하지 않습니다: {error}. 프로젝트의 syncWindows를 고치십시오",
    }
    /// An operation waits for a window.
    BLOCKED = "sync.blocked" {
        en: "Sync operation blocked by sync window",
        ko: "동기화 창이 열리기를 기다립니다",
    }
    /// An operation waits because a window cannot be read.
    BLOCKED_INVALID = "sync.blocked-invalid" {
        en: "Sync operation blocked by sync window: invalid sync windows: {error}",
        ko: "동기화 창을 읽을 수 없어 기다립니다: {error}",
    }
    /// The project names no account for the destination.
    NO_SERVICE_ACCOUNT = "sync.no-service-account" {
        en: "nothing is done in the cluster: application.sync.impersonation.enabled has it done as the service account that the project names, and destinationServiceAccounts of project `{project}` has none for server {server} and namespace `{namespace}`; add one with `argocd proj add-destination-service-account`",
        ko: "클러스터에서 아무 작업도 하지 않습니다. application.sync.impersonation.enabled에 따라 프로젝트가 지정한 서비스 계정으로 작업해야 하는데, 프로젝트 `{project}`의 destinationServiceAccounts에 서버 {server}, 네임스페이스 `{namespace}`에 맞는 항목이 없습니다. `argocd proj add-destination-service-account`로 추가하십시오",
    }
    /// What the project says of accounts cannot be read.
    SERVICE_ACCOUNT_INVALID = "sync.service-account-invalid" {
        en: "nothing is done in the cluster: `{text}` in destinationServiceAccounts of project `{project}` cannot be read; an account is `name` or `namespace:name`, server and namespace are globs",
        ko: "클러스터에서 아무 작업도 하지 않습니다. 프로젝트 `{project}`의 destinationServiceAccounts에 있는 `{text}`을(를) 읽을 수 없습니다. 계정은 `이름` 또는 `네임스페이스:이름`이고, server와 namespace는 글로브 패턴입니다",
    }
    /// The account that the project names is not the tenant's.
    SERVICE_ACCOUNT_FOREIGN = "sync.service-account-foreign" {
        en: "nothing is done in the cluster: destinationServiceAccounts of project `{project}` names the service account `{account}`, and namespace `{namespace}` is not yours; name one that is in a namespace of your own",
        ko: "클러스터에서 아무 작업도 하지 않습니다. 프로젝트 `{project}`의 destinationServiceAccounts가 서비스 계정 `{account}`을(를) 지정하는데, 네임스페이스 `{namespace}`은(는) 사용할 수 없습니다. 자신의 네임스페이스에 있는 계정을 지정하십시오",
    }
    /// The account that the project names has no right to do it.
    SERVICE_ACCOUNT_FORBIDDEN = "sync.service-account-forbidden" {
        en: "the service account `{account}`, as which project `{project}` has this done, has no right to do it; give it the right by a Role and a RoleBinding, or name another one in destinationServiceAccounts of the project",
        ko: "프로젝트 `{project}`이(가) 지정한 서비스 계정 `{account}`에 이 작업을 할 권한이 없습니다. Role과 RoleBinding으로 권한을 주거나 프로젝트의 destinationServiceAccounts에 다른 계정을 지정하십시오",
    }
    /// The namespace to make is not the tenant's to make.
    CREATE_NAMESPACE_REFUSED = "sync.create-namespace-refused" {
        en: "namespace `{namespace}` may not be made by CreateNamespace=true; allowed: {allowed}",
        ko: "CreateNamespace=true로 네임스페이스 `{namespace}`을(를) 만들 수 없습니다. 허용: {allowed}",
    }
    /// The comparison lacks something and nothing more specific is known.
    NOT_COMPARED = "sync.not-compared" {
        en: "Git and the cluster have not been compared yet",
        ko: "아직 Git과 클러스터를 비교하지 않았습니다",
    }
    /// Out of sync, and nothing more specific is known.
    OUT_OF_SYNC = "sync.out-of-sync" {
        en: "the cluster is not what Git says; `argocd app diff` shows the difference",
        ko: "클러스터가 Git의 내용과 다릅니다. `argocd app diff`로 차이를 볼 수 있습니다",
    }
    /// A sync has begun.
    RUNNING = "sync.running" {
        en: "the sync has begun",
        ko: "동기화를 시작했습니다",
    }
    /// All was done.
    SUCCEEDED = "sync.succeeded" {
        en: "successfully synced (all tasks run)",
        ko: "동기화에 성공했습니다 (모든 작업 실행)",
    }
    /// There was nothing to do.
    NOTHING_TO_DO = "sync.nothing-to-do" {
        en: "successfully synced (no more tasks)",
        ko: "동기화에 성공했습니다 (남은 작업 없음)",
    }
    /// All was tried.
    TRIED = "sync.tried" {
        en: "successfully synced (dry run)",
        ko: "동기화에 성공했습니다 (시험 실행)",
    }
    /// The cluster refused some objects.
    APPLY_FAILED = "sync.apply-failed" {
        en: "one or more objects failed to apply",
        ko: "하나 이상의 오브젝트를 적용하지 못했습니다",
    }
    /// The cluster refused some objects when it was only tried.
    TRY_FAILED = "sync.try-failed" {
        en: "one or more objects failed to apply (dry run)",
        ko: "하나 이상의 오브젝트를 적용하지 못했습니다 (시험 실행)",
    }
    /// A wave did not become healthy.
    WAVE_FAILED = "sync.wave-failed" {
        en: "one or more synchronization tasks completed unsuccessfully",
        ko: "하나 이상의 동기화 작업이 실패했습니다",
    }
    /// The plan was refused.
    INVALID_TASKS = "sync.invalid-tasks" {
        en: "one or more synchronization tasks are not valid",
        ko: "하나 이상의 동기화 작업이 올바르지 않습니다",
    }
    /// A wave has to become healthy before the next.
    WAITING_HEALTHY = "sync.waiting-healthy" {
        en: "waiting for healthy state of {resource}",
        ko: "{resource}이(가) 정상 상태가 되기를 기다립니다",
    }
    /// The same, of several objects.
    WAITING_HEALTHY_MORE = "sync.waiting-healthy-more" {
        en: "waiting for healthy state of {resource} and {count} more resources",
        ko: "{resource} 외 {count}개 리소스가 정상 상태가 되기를 기다립니다",
    }
    /// A hook has to run to its end.
    WAITING_HOOK = "sync.waiting-hook" {
        en: "waiting for completion of hook {resource}",
        ko: "훅 {resource}이(가) 끝나기를 기다립니다",
    }
    /// The same, of several hooks.
    WAITING_HOOK_MORE = "sync.waiting-hook-more" {
        en: "waiting for completion of hook {resource} and {count} more hooks",
        ko: "훅 {resource} 외 {count}개가 끝나기를 기다립니다",
    }
    /// The object of a hook's earlier run has to go.
    WAITING_HOOK_DELETION = "sync.waiting-hook-deletion" {
        en: "waiting for deletion of hook {resource}",
        ko: "훅 {resource}이(가) 삭제되기를 기다립니다",
    }
    /// The same, of several hooks.
    WAITING_HOOK_DELETION_MORE = "sync.waiting-hook-deletion-more" {
        en: "waiting for deletion of hook {resource} and {count} more hooks",
        ko: "훅 {resource} 외 {count}개가 삭제되기를 기다립니다",
    }
    /// An object that is being deleted has to be gone before the next wave, or before it is made.
    WAITING_DELETION = "sync.waiting-deletion" {
        en: "waiting for deletion of {resource}",
        ko: "{resource}이(가) 삭제되기를 기다립니다",
    }
    /// The same, of several objects.
    WAITING_DELETION_MORE = "sync.waiting-deletion-more" {
        en: "waiting for deletion of {resource} and {count} more resources",
        ko: "{resource} 외 {count}개 리소스가 삭제되기를 기다립니다",
    }
    /// A person has to approve that an object is deleted.
    WAITING_APPROVAL = "sync.waiting-approval" {
        en: "waiting for pruning confirmation of {resource}",
        ko: "{resource} 삭제 승인을 기다립니다 (argocd app confirm-deletion)",
    }
    /// The same, of several objects.
    WAITING_APPROVAL_MORE = "sync.waiting-approval-more" {
        en: "waiting for pruning confirmation of {resource} and {count} more resources",
        ko: "{resource} 외 {count}개 리소스의 삭제 승인을 기다립니다 (argocd app confirm-deletion)",
    }
    /// Somebody stopped it.
    TERMINATED = "sync.terminated" {
        en: "Operation terminated",
        ko: "작업이 중단되었습니다",
    }
    /// Somebody stopped it, and hooks of it run on.
    NOT_TERMINATED = "sync.not-terminated" {
        en: "Operation termination had errors",
        ko: "작업을 중단하는 중에 오류가 발생했습니다",
    }
    /// It took longer than it may.
    TIMED_OUT = "sync.timed-out" {
        en: "Operation terminated, it did not end within the {seconds} s of naru.syncTimeout: {message}",
        ko: "naru.syncTimeout에서 정한 {seconds}초 안에 끝나지 않아 작업을 중단했습니다: {message}",
    }
    /// It is tried again.
    RETRYING = "sync.retrying" {
        en: "{outcome}. Retrying attempt #{attempt} at {time}.",
        ko: "{outcome}. {time}에 {attempt}번째로 다시 시도합니다.",
    }
    /// It ended after retries.
    RETRIED = "sync.retried" {
        en: "{outcome} (retried {count} times).",
        ko: "{outcome} ({count}번 다시 시도함).",
    }
    /// It waits for its next try, and nothing else is synced meanwhile.
    RETRY_WAITS = "sync.retry-waits" {
        en: "the sync of {revision} failed and is tried again at {time} (attempt #{attempt}), and no other sync begins before that ends; `argocd app terminate-op` ends it",
        ko: "{revision}의 동기화가 실패하여 {time}에 {attempt}번째로 다시 시도하며, 그 작업이 끝날 때까지 다른 동기화는 시작되지 않습니다. `argocd app terminate-op`으로 끝낼 수 있습니다",
    }
    /// It is not tried again: Git says something newer.
    SUPERSEDED = "sync.superseded" {
        en: "{outcome}. Not tried again: Git says {revision} by now.",
        ko: "{outcome}. 이제 Git의 내용은 {revision}이므로 다시 시도하지 않습니다.",
    }
    /// What is to be deployed again cannot be rendered any more, and is taken as it was deployed.
    AS_KEPT = "sync.as-kept" {
        en: "{revision} cannot be rendered any more: it, or something that it takes from elsewhere, is gone. These are the manifests that were deployed of it, as they were kept then. Push what is missing again to have them rendered anew",
        ko: "{revision} 자체나 다른 곳에서 가져오는 것이 사라져 더 이상 렌더링할 수 없으므로, 그때 배포하고 보관해 둔 매니페스트를 씁니다. 새로 렌더링하려면 없어진 것을 다시 푸시하십시오",
    }
    /// What is to be deployed again cannot be rendered any more, and is not kept.
    GONE = "sync.gone" {
        en: "{revision} was deployed and cannot be rendered any more: it, or something that it takes from elsewhere, is gone, and its manifests are not kept; push what is missing again, or go back to another deployment",
        ko: "{revision}은(는) 배포된 적이 있지만 그 자체나 다른 곳에서 가져오는 것이 사라져 더 이상 렌더링할 수 없고 매니페스트도 보관되어 있지 않습니다. 없어진 것을 다시 푸시하거나 다른 배포로 되돌리십시오",
    }
    /// A namespace could not be made.
    NAMESPACE_TAKEN = "sync.namespace-taken" {
        en: "namespace `{namespace}` belongs to another tenant; choose another in spec.destination.namespace",
        ko: "네임스페이스 `{namespace}`은(는) 다른 테넌트의 것입니다. spec.destination.namespace를 바꾸십시오",
    }
}
