//! Messages of a plan that is looked at before it is carried out: what a sync would do and why, what it would leave alone,
//! what it would be refused for, and what the application would do by itself.

messages! {
    /// An object is made.
    CREATES = "plan.creates" {
        en: "{resource} is in Git and not in the cluster: it is made",
        ko: "{resource}이(가) Git에는 있지만 클러스터에는 없습니다. 새로 만듭니다",
    }
    /// An object is changed.
    DIFFERS = "plan.differs" {
        en: "{resource} is not as Git says in {count} of its fields: these are changed",
        ko: "{resource}의 필드 {count}개가 Git과 다릅니다. 해당 필드를 바꿉니다",
    }
    /// An object is applied as it is already.
    SAME = "plan.same" {
        en: "{resource} is as Git says: it is applied again, and nothing of it changes",
        ko: "{resource}은(는) Git과 같습니다. 다시 적용하지만 바뀌는 것은 없습니다",
    }
    /// Nobody can say how an object differs.
    UNKNOWN = "plan.unknown" {
        en: "nobody can say how {resource} differs from Git: it is applied, and the cluster decides",
        ko: "{resource}이(가) Git과 어떻게 다른지 알 수 없습니다. 적용하며 결과는 클러스터가 결정합니다",
    }
    /// An object is replaced as a whole.
    REPLACES = "plan.replaces" {
        en: "{resource} is replaced as a whole (Replace=true): what others have set on it goes",
        ko: "{resource}을(를) 통째로 교체합니다 (Replace=true). 다른 곳에서 설정한 내용은 사라집니다",
    }
    /// An object is deleted and made anew.
    ANEW = "plan.anew" {
        en: "{resource} is deleted and made anew (Replace=true and Force=true)",
        ko: "{resource}을(를) 지우고 새로 만듭니다 (Replace=true, Force=true)",
    }
    /// An object may be deleted and made anew.
    PERHAPS_ANEW = "plan.perhaps-anew" {
        en: "should the cluster not let {resource} be changed, it is deleted and made anew (Force=true)",
        ko: "클러스터가 {resource}의 변경을 허용하지 않으면 지우고 새로 만듭니다 (Force=true)",
    }
    /// An object that left Git is deleted.
    LEFT_GIT = "plan.left-git" {
        en: "{resource} is not in Git any more: it is deleted",
        ko: "{resource}이(가) Git에 더 이상 없습니다. 삭제합니다",
    }
    /// A hook runs.
    HOOK = "plan.hook" {
        en: "{resource} is a hook: it runs in the phase {phase}",
        ko: "{resource}은(는) 훅입니다. {phase} 단계에서 실행합니다",
    }
    /// What an earlier run of a hook has left goes first.
    HOOK_EARLIER = "plan.hook-earlier" {
        en: "{resource} is there from an earlier run of the hook: it is deleted before the hook runs again",
        ko: "훅의 이전 실행에서 남은 {resource}이(가) 있습니다. 훅을 다시 실행하기 전에 삭제합니다",
    }
    /// A namespace is made.
    NAMESPACE = "plan.namespace" {
        en: "namespace `{namespace}` is not there: it is made (CreateNamespace=true)",
        ko: "네임스페이스 `{namespace}`이(가) 없습니다. 새로 만듭니다 (CreateNamespace=true)",
    }
    /// A namespace gets its labels and annotations.
    NAMESPACE_METADATA = "plan.namespace-metadata" {
        en: "namespace `{namespace}` gets the labels and annotations of managedNamespaceMetadata",
        ko: "네임스페이스 `{namespace}`에 managedNamespaceMetadata의 레이블과 주석을 적용합니다",
    }
    /// An object that left Git stays: nobody asks for more.
    PRUNE_NOT_ASKED = "plan.prune-not-asked" {
        en: "{resource} is not in Git any more and stays: the sync is not asked to prune",
        ko: "{resource}이(가) Git에 더 이상 없지만 남습니다. 동기화에 prune을 요청하지 않았습니다",
    }
    /// An object that left Git stays: it shall not be deleted.
    PRUNE_DISABLED = "plan.prune-disabled" {
        en: "{resource} is not in Git any more and stays: it, or its application, says Prune=false",
        ko: "{resource}이(가) Git에 더 이상 없지만 남습니다. 오브젝트나 애플리케이션에 Prune=false가 지정되어 있습니다",
    }
    /// An object that left Git waits for a person.
    NEEDS_CONFIRMATION = "plan.needs-confirmation" {
        en: "{resource} is not in Git any more, and a person has to confirm that it is deleted (Prune=confirm): the sync stops before its wave until `argocd app confirm-deletion` is run",
        ko: "{resource}이(가) Git에 더 이상 없으며 삭제하려면 사람의 확인이 필요합니다 (Prune=confirm). `argocd app confirm-deletion`을 실행할 때까지 동기화는 해당 웨이브 앞에서 멈춥니다",
    }
    /// An object is known and never applied.
    SKIPPED = "plan.skipped" {
        en: "{resource} has the hook annotation `Skip`: it is never applied",
        ko: "{resource}의 훅 주석이 `Skip`입니다. 적용하지 않습니다",
    }
    /// Fields of an object stay as they are.
    FIELDS_IGNORED = "plan.fields-ignored" {
        en: "what ignoreDifferences names of {resource} stays as it is in the cluster (RespectIgnoreDifferences=true)",
        ko: "{resource}에서 ignoreDifferences가 가리키는 필드는 클러스터에 있는 대로 둡니다 (RespectIgnoreDifferences=true)",
    }
    /// An object was not chosen.
    NOT_SELECTED = "plan.not-selected" {
        en: "{resource} is not among the objects that were asked for",
        ko: "{resource}은(는) 요청한 오브젝트에 들어 있지 않습니다",
    }
    /// An object is as Git says, and only what is not is applied.
    IN_SYNC = "plan.in-sync" {
        en: "{resource} is as Git says, and only what differs is applied (ApplyOutOfSyncOnly=true)",
        ko: "{resource}은(는) Git과 같고, 다른 것만 적용합니다 (ApplyOutOfSyncOnly=true)",
    }
    /// A hook does not run.
    HOOK_NOT_RUN = "plan.hook-not-run" {
        en: "the hook {resource} does not run: a sync of chosen objects, or by the strategy `apply`, runs none",
        ko: "훅 {resource}은(는) 실행하지 않습니다. 오브젝트를 고른 동기화나 `apply` 전략에서는 훅을 실행하지 않습니다",
    }
    /// Who looks may not sync.
    NO_RIGHT = "plan.no-right" {
        en: "you may not sync this application; that takes the right `applications, sync` on {object}",
        ko: "이 애플리케이션을 동기화할 권한이 없습니다. {object}에 대한 `applications, sync` 권한이 필요합니다",
    }
    /// The application is being deleted.
    DELETING = "plan.deleting" {
        en: "the application is being deleted, and nothing is synced any more",
        ko: "애플리케이션을 삭제하는 중이므로 더 이상 동기화하지 않습니다",
    }
    /// Another operation is under way.
    BUSY = "plan.busy" {
        en: "another operation is in progress; sync when it has ended, or end it with `argocd app terminate-op`",
        ko: "다른 작업이 진행 중입니다. 끝난 뒤 동기화하거나 `argocd app terminate-op`로 중지하십시오",
    }
    /// An application that syncs by itself is synced to nothing else.
    PINNED = "plan.pinned" {
        en: "an application that syncs by itself is synced to what its spec names: {refusal}",
        ko: "자동으로 동기화하는 애플리케이션은 spec에 지정된 리비전으로만 동기화합니다: {refusal}",
    }
    /// Nobody looks at the application.
    NOT_RECONCILED = "plan.not-reconciled" {
        en: "the annotation `{annotation}` has the application left alone: a sync waits until it is taken away",
        ko: "주석 `{annotation}` 때문에 애플리케이션을 처리하지 않습니다. 주석을 없앨 때까지 동기화는 시작되지 않습니다",
    }
    /// What was named is no object.
    RESOURCE_INVALID = "plan.resource-invalid" {
        en: "`{resource}` names no object; write GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME, with an empty GROUP for the core group",
        ko: "`{resource}`은(는) 오브젝트를 가리키지 않습니다. GROUP:KIND:NAME 또는 GROUP:KIND:NAMESPACE/NAME으로 쓰고 코어 그룹이면 GROUP을 비우십시오",
    }
    /// More objects are named than may be.
    TOO_MANY_RESOURCES = "plan.too-many-resources" {
        en: "{count} objects are named, and {limit} may be; name fewer, or none for all",
        ko: "오브젝트 {count}개를 지정했으며 최대 {limit}개까지 가능합니다. 줄이거나, 모두 대상으로 하려면 지정하지 마십시오",
    }
    /// A word that is no strategy.
    STRATEGY_INVALID = "plan.strategy-invalid" {
        en: "there is no strategy `{strategy}`; write `apply` or `hook`",
        ko: "`{strategy}` 전략은 없습니다. `apply` 또는 `hook`을 쓰십시오",
    }
    /// As many plans are made as may be at once.
    FULL = "plan.full" {
        en: "{limit} plans are being made already, as many as may be at once; ask again in a moment",
        ko: "이미 계획 {limit}개를 만드는 중이며 동시에 만들 수 있는 한도입니다. 잠시 후 다시 요청하십시오",
    }
    /// The application would begin a sync.
    AUTO_BEGINS = "plan.auto-begins" {
        en: "a sync to {revision} begins by itself",
        ko: "{revision}(으)로의 동기화가 자동으로 시작됩니다",
    }
    /// It does not sync by itself.
    AUTO_OFF = "plan.auto-off" {
        en: "nothing is synced by itself: syncPolicy.automated is not set, or not enabled",
        ko: "자동으로 동기화하지 않습니다. syncPolicy.automated가 없거나 꺼져 있습니다",
    }
    /// There is nothing to sync, or nobody can say.
    AUTO_IN_STEP = "plan.auto-in-step" {
        en: "nothing is synced by itself: the application is {sync}, and only one that is OutOfSync is synced",
        ko: "자동으로 동기화하지 않습니다. 애플리케이션이 {sync} 상태이며 OutOfSync일 때만 동기화합니다",
    }
    /// Everything that differs left Git.
    AUTO_ONLY_PRUNING = "plan.auto-only-pruning" {
        en: "nothing is synced by itself: all that differs is not in Git any more, and syncPolicy.automated.prune is not set",
        ko: "자동으로 동기화하지 않습니다. 다른 것은 모두 Git에서 삭제된 것인데 syncPolicy.automated.prune이 설정되어 있지 않습니다",
    }
    /// What differs was changed in the cluster.
    AUTO_SYNCED_ONCE = "plan.auto-synced-once" {
        en: "nothing is synced by itself: {revision} was synced already, and syncPolicy.automated.selfHeal is not set",
        ko: "자동으로 동기화하지 않습니다. {revision}은(는) 이미 동기화했고 syncPolicy.automated.selfHeal이 설정되어 있지 않습니다",
    }
    /// Drift is undone later.
    AUTO_WAITS = "plan.auto-waits" {
        en: "what was changed in the cluster is undone at {time}: it was undone only a moment ago",
        ko: "클러스터에서 바뀐 것을 {time}에 되돌립니다. 조금 전에 이미 되돌렸기 때문입니다",
    }
    /// The tenant runs as many operations as it may.
    AUTO_FULL = "plan.auto-full" {
        en: "as many operations run as may ({allowed}); a sync begins by itself when one of them has ended",
        ko: "동시에 실행할 수 있는 작업 {allowed}개가 모두 실행 중입니다. 하나가 끝나면 자동으로 동기화를 시작합니다",
    }
}
