//! Messages about applications as they are written.

messages! {
    /// The spec names neither or both of server and name.
    DESTINATION_MISSING = "app.destination-missing" {
        en: "the destination names no cluster; set spec.destination.server or spec.destination.name",
        ko: "배포 대상 클러스터가 없습니다. spec.destination.server 또는 spec.destination.name을 지정하십시오",
    }
    /// The spec cannot be read.
    SPEC_INVALID = "app.spec-invalid" {
        en: "the application's spec cannot be read: {error}; correct the field that it names",
        ko: "애플리케이션의 spec을 읽을 수 없습니다: {error}. 해당 필드를 고치십시오",
    }
    /// The spec has no source.
    SOURCE_MISSING = "app.source-missing" {
        en: "the application has no source; set spec.source.repoURL and spec.source.path",
        ko: "애플리케이션에 소스가 없습니다. spec.source.repoURL과 spec.source.path를 지정하십시오",
    }
    /// The project does not exist.
    PROJECT_NOT_FOUND = "app.project-not-found" {
        en: "Application referencing project {project} which does not exist; set spec.project to a project that exists, `default` for one",
        ko: "애플리케이션이 존재하지 않는 프로젝트 {project}을(를) 참조합니다. spec.project를 `default`처럼 존재하는 프로젝트로 바꾸십시오",
    }
    /// The project's rules cannot be read.
    PROJECT_INVALID = "app.project-invalid" {
        en: "the rules of project `{project}` cannot be read: {error}; correct the project",
        ko: "프로젝트 `{project}`의 규칙을 읽을 수 없습니다: {error}. 프로젝트를 고치십시오",
    }
    /// The project does not permit the repository.
    SOURCE_NOT_PERMITTED = "app.source-not-permitted" {
        en: "application repo {repository} is not permitted in project '{project}'; change spec.source.repoURL or add the repository to sourceRepos of the project",
        ko: "저장소 {repository}은(는) 프로젝트 '{project}'에서 허용되지 않습니다. spec.source.repoURL을 바꾸거나 프로젝트의 sourceRepos에 추가하십시오",
    }
    /// The project does not permit the destination.
    DESTINATION_NOT_PERMITTED = "app.destination-not-permitted" {
        en: "application destination server '{server}' and namespace '{namespace}' do not match any of the allowed destinations in project '{project}'; change spec.destination or the project's destinations",
        ko: "배포 대상 서버 '{server}'와 네임스페이스 '{namespace}'은(는) 프로젝트 '{project}'에서 허용된 대상이 아닙니다. spec.destination이나 프로젝트의 destinations를 바꾸십시오",
    }
    /// No cluster of that address or name.
    DESTINATION_UNKNOWN = "app.destination-unknown" {
        en: "there is no cluster `{cluster}`; set spec.destination.server to https://kubernetes.default.svc, or add the cluster (`argocd cluster add`)",
        ko: "`{cluster}` 클러스터가 없습니다. spec.destination.server를 https://kubernetes.default.svc로 지정하거나 클러스터를 추가하십시오(`argocd cluster add`)",
    }
    /// Both address and name are given.
    DESTINATION_AMBIGUOUS = "app.destination-ambiguous" {
        en: "application destination can't have both name and server defined: {name} {server}; remove one of the two",
        ko: "배포 대상에 이름과 서버를 함께 지정할 수 없습니다: {name} {server}. 둘 중 하나를 지우십시오",
    }
    /// The project wants signed commits, and this one is not.
    SIGNATURE_MISSING = "app.signature-missing" {
        en: "Target revision {revision} in Git is not signed, but a signature is required; sign the commit (`git commit -S`) or the annotated tag (`git tag -s`) with a key that the project names in signatureKeys",
        ko: "Git의 대상 리비전 {revision}에 서명이 없지만 서명이 필요합니다. 프로젝트의 signatureKeys에 있는 키로 커밋(`git commit -S`)이나 주석 태그(`git tag -s`)에 서명하십시오",
    }
    /// The signature is good, and by a key that the project does not name.
    SIGNATURE_NOT_ALLOWED = "app.signature-not-allowed" {
        en: "Found good signature made with {cipher} key {key}, but this key is not allowed in AppProject; add it to the project's signatureKeys, or sign with one that is there",
        ko: "{cipher} 키 {key}(으)로 만든 올바른 서명이지만 이 키는 AppProject에서 허용되지 않습니다. 프로젝트의 signatureKeys에 추가하거나 그 안에 있는 키로 서명하십시오",
    }
    /// The signature is by a key that the tenant does not have.
    SIGNATURE_OF_UNKNOWN_KEY = "app.signature-of-unknown-key" {
        en: "Found signature made with {cipher} key {key}, but verification result was invalid: 'gpg: Can't check signature: No public key'; add the key (`argocd gpg add --from FILE`)",
        ko: "{cipher} 키 {key}(으)로 만든 서명이 있지만 확인 결과가 올바르지 않습니다: 'gpg: Can't check signature: No public key'. 키를 추가하십시오(`argocd gpg add --from FILE`)",
    }
    /// The signature is by a key that was revoked.
    SIGNATURE_OF_REVOKED_KEY = "app.signature-of-revoked-key" {
        en: "Found signature made with {cipher} key {key}, but verification result was invalid: the key has been revoked by its owner; sign with another one",
        ko: "{cipher} 키 {key}(으)로 만든 서명이 있지만 확인 결과가 올바르지 않습니다: 소유자가 키를 폐기했습니다. 다른 키로 서명하십시오",
    }
    /// The signature, or its key, was at its end when it was made.
    SIGNATURE_EXPIRED = "app.signature-expired" {
        en: "Found signature made with {cipher} key {key}, but verification result was invalid: the signature or the key had expired, or the time of the signature is not the key's; prolong the key and add it anew, or sign with another one",
        ko: "{cipher} 키 {key}(으)로 만든 서명이 있지만 확인 결과가 올바르지 않습니다: 서명이나 키가 만료되었거나 서명 시각이 키의 유효 기간 밖입니다. 키의 기한을 늘려 다시 추가하거나 다른 키로 서명하십시오",
    }
    /// The signature rests on a hash function that can be made to collide.
    SIGNATURE_WEAK = "app.signature-weak" {
        en: "Found signature made with {cipher} key {key}, but verification result was invalid: it rests on MD5, SHA-1 or RIPEMD-160; sign with SHA-256 or better (`digest-algo SHA256` in gpg.conf)",
        ko: "{cipher} 키 {key}(으)로 만든 서명이 있지만 확인 결과가 올바르지 않습니다: MD5, SHA-1 또는 RIPEMD-160을 사용합니다. SHA-256 이상으로 서명하십시오(gpg.conf의 `digest-algo SHA256`)",
    }
    /// The signature is not over this commit.
    SIGNATURE_BAD = "app.signature-bad" {
        en: "Could not verify commit signature on revision '{revision}': it was not made by the key that it names, or not over this commit; somebody may have changed what was signed",
        ko: "리비전 '{revision}'의 커밋 서명을 확인할 수 없습니다. 서명에 적힌 키로 만들지 않았거나 이 커밋에 대한 서명이 아닙니다. 서명된 내용이 변경되었을 수 있습니다",
    }
    /// The signature is of another kind.
    SIGNATURE_FOREIGN = "app.signature-foreign" {
        en: "Could not verify commit signature on revision '{revision}': it is of SSH or X.509, and only OpenPGP's are verified; sign with `git config gpg.format openpgp`",
        ko: "리비전 '{revision}'의 커밋 서명을 확인할 수 없습니다. SSH 또는 X.509 서명이며 OpenPGP 서명만 확인합니다. `git config gpg.format openpgp`로 서명하십시오",
    }
    /// The signature cannot be read.
    SIGNATURE_UNREADABLE = "app.signature-unreadable" {
        en: "Could not verify commit signature on revision '{revision}': it is no OpenPGP signature that can be read; sign it again",
        ko: "리비전 '{revision}'의 커밋 서명을 확인할 수 없습니다. 읽을 수 있는 OpenPGP 서명이 아닙니다. 다시 서명하십시오",
    }
    /// Manifests were brought where the project wants signed commits.
    SIGNATURE_LOCAL = "app.signature-local" {
        en: "Cannot use local sync when signature keys are required: the project `{project}` names signatureKeys, and what is brought is signed by nobody; push it and sync the revision",
        ko: "서명 키가 필요한 경우 로컬 동기화를 사용할 수 없습니다. 프로젝트 `{project}`에 signatureKeys가 지정되어 있고 가져온 매니페스트에는 서명이 없습니다. 푸시한 뒤 리비전을 동기화하십시오",
    }
    /// A folder that is sent takes files from where its sender may not look.
    LOCAL_UNSEEN = "app.local-unseen" {
        en: "the folder that was sent, or the application, takes files from another repository, which is for those who have the right `repositories, get` for it; leave that out of the folder, or ask for the right",
        ko: "보낸 폴더 또는 애플리케이션이 다른 저장소의 파일을 사용하며, 그 저장소에 대한 `repositories, get` 권한이 필요합니다. 폴더에서 해당 항목을 빼거나 권한을 요청하십시오",
    }
    /// A folder that is sent takes files over a login of the tenant's.
    LOCAL_OPENED = "app.local-opened" {
        en: "the folder that was sent, or the application, takes files from `{repository}`, which opens only to a login that is kept here; that is for those who have the right `applications, override` for `{application}`; leave it out of the folder, or ask for the right",
        ko: "보낸 폴더 또는 애플리케이션이 `{repository}`의 파일을 사용하며, 이 저장소는 여기에 보관된 로그인으로만 열립니다. `{application}`에 대한 `applications, override` 권한이 필요합니다. 폴더에서 해당 항목을 빼거나 권한을 요청하십시오",
    }
    /// The database does not answer.
    DATABASE_UNAVAILABLE = "app.database-unavailable" {
        en: "the platform's database does not answer at the moment; it is tried again",
        ko: "현재 플랫폼 데이터베이스가 응답하지 않습니다. 다시 시도합니다",
    }
    /// The application is being deleted.
    PENDING_DELETION = "app.pending-deletion" {
        en: "Pending deletion: {count} objects are still in the cluster",
        ko: "삭제 대기 중입니다. 클러스터에 오브젝트 {count}개가 남아 있습니다",
    }
    /// An object could not be deleted with its application.
    DELETION_REFUSED = "app.deletion-refused" {
        en: "the application cannot be deleted yet: the cluster refuses to delete {resource}",
        ko: "애플리케이션을 아직 삭제할 수 없습니다. 클러스터가 {resource} 삭제를 거부합니다",
    }
    /// The account that the project names may not delete an object with its application.
    DELETION_FORBIDDEN = "app.deletion-forbidden" {
        en: "the application is not deleted, because the service account `{account}`, as which project `{project}` has that done, has no right to delete {resource}; give it the right by a Role and a RoleBinding, or leave the object in the cluster: take `{finalizer}` out of metadata.finalizers with `argocd app patch`",
        ko: "프로젝트 `{project}`이(가) 삭제에 쓰도록 지정한 서비스 계정 `{account}`에 {resource}을(를) 삭제할 권한이 없어 애플리케이션을 삭제하지 않습니다. Role과 RoleBinding으로 권한을 주거나, 오브젝트를 클러스터에 남기려면 `argocd app patch`로 metadata.finalizers에서 `{finalizer}`을(를) 빼십시오",
    }
    /// The project names nobody who may delete what the application has.
    DELETION_NO_ACCOUNT = "app.deletion-no-account" {
        en: "the application is not deleted, because no service account is known that may do so in the cluster; correct what is named besides, or leave in the cluster what is there: take `{finalizer}` out of metadata.finalizers with `argocd app patch`",
        ko: "클러스터에서 삭제를 수행할 서비스 계정을 알 수 없어 애플리케이션을 삭제하지 않습니다. 함께 표시된 문제를 고치거나, 오브젝트를 클러스터에 남기려면 `argocd app patch`로 metadata.finalizers에서 `{finalizer}`을(를) 빼십시오",
    }
    /// Nobody sees whether the objects of a kind are gone.
    DELETION_UNSEEN = "app.deletion-unseen" {
        en: "the application is not deleted yet, because its objects of kind {kind} cannot be seen; give the credentials list and watch of that kind, or delete what there is of it by hand and leave the rest: take `resources-finalizer.argocd.argoproj.io` out of metadata.finalizers with `argocd app patch`",
        ko: "{kind} 종류의 오브젝트를 볼 수 없어 애플리케이션을 아직 삭제하지 않습니다. 자격 증명에 이 종류의 list와 watch 권한을 주거나, 오브젝트를 직접 지운 뒤 `argocd app patch`로 metadata.finalizers에서 `resources-finalizer.argocd.argoproj.io`를 빼십시오",
    }
    /// Its cluster has just come to another controller, or come back, and the watches may still be behind.
    DELETION_SETTLES = "app.deletion-settles" {
        en: "the application goes in a moment: its cluster has just come back, or been taken over by another controller, and it is made sure that nothing is left of it",
        ko: "애플리케이션이 곧 삭제됩니다. 클러스터에 방금 다시 연결되었거나 다른 컨트롤러가 클러스터를 이어받아, 남은 오브젝트가 없는지 확인하고 있습니다",
    }
    /// Nothing but hooks that are kept is left of it.
    DELETION_WAITS_FOR_RELEASE = "app.deletion-waits-for-release" {
        en: "the application goes when the hooks named besides are let go of, and ten minutes after this was said first in any case; what is kept then stays in the cluster",
        ko: "함께 표시된 훅의 파이널라이저를 떼면 애플리케이션이 삭제됩니다. 그러지 못해도 이 내용이 처음 표시된 지 10분이 지나면 삭제되며, 그때 남은 훅은 클러스터에 남습니다",
    }
    /// Its objects wait for an approval.
    DELETION_UNCONFIRMED = "app.deletion-unconfirmed" {
        en: "the deletion waits for approval of {resource}, which asks for it with Delete=confirm; approve it with `argocd app confirm-deletion`",
        ko: "{resource}이(가) Delete=confirm으로 승인을 요구하여 삭제가 대기 중입니다. `argocd app confirm-deletion`으로 승인하십시오",
    }
    /// A hook of the deletion is waited for.
    DELETION_WAITS_FOR_HOOK = "app.deletion-waits-for-hook" {
        en: "Pending deletion: waiting for completion of the {moment} hook {resource}",
        ko: "삭제 대기 중입니다. {moment} 훅 {resource}이(가) 끝나기를 기다립니다",
    }
    /// What is left of a hook's earlier run has to go before it is made.
    DELETION_CLEARS_HOOK = "app.deletion-clears-hook" {
        en: "Pending deletion: waiting for deletion of the {moment} hook {resource}",
        ko: "삭제 대기 중입니다. {moment} 훅 {resource}이(가) 삭제되기를 기다립니다",
    }
    /// A hook of the deletion failed, which keeps the application.
    DELETION_HOOK_FAILED = "app.deletion-hook-failed" {
        en: "the application is not deleted, because its {moment} hook {resource} failed: {reason}; correct the hook in Git, delete its object to run it once more, or go on without it: take `{finalizer}` out of metadata.finalizers with `argocd app patch`",
        ko: "{moment} 훅 {resource}이(가) 실패하여 애플리케이션을 삭제하지 않습니다: {reason}. Git에서 훅을 고치거나, 훅의 오브젝트를 지워 다시 실행하거나, `argocd app patch`로 metadata.finalizers에서 `{finalizer}`을(를) 빼고 훅 없이 진행하십시오",
    }
    /// A hook of the deletion cannot be made, which keeps the application.
    DELETION_HOOK_REFUSED = "app.deletion-hook-refused" {
        en: "the application is not deleted, because its {moment} hook {resource} cannot be made; correct the hook in Git, or go on without it: take `{finalizer}` out of metadata.finalizers with `argocd app patch`",
        ko: "{moment} 훅 {resource}을(를) 만들 수 없어 애플리케이션을 삭제하지 않습니다. Git에서 훅을 고치거나, `argocd app patch`로 metadata.finalizers에서 `{finalizer}`을(를) 빼고 훅 없이 진행하십시오",
    }
    /// Nobody knows what the hooks of the deletion are, which keeps the application.
    DELETION_HOOKS_UNKNOWN = "app.deletion-hooks-unknown" {
        en: "the application is not deleted, because it has {moment} hooks and Git does not say what they are; correct what is named besides, or go on without them: take `{finalizer}` out of metadata.finalizers with `argocd app patch`",
        ko: "{moment} 훅이 있지만 Git에서 그 내용을 알 수 없어 애플리케이션을 삭제하지 않습니다. 함께 표시된 문제를 고치거나, `argocd app patch`로 metadata.finalizers에서 `{finalizer}`을(를) 빼고 훅 없이 진행하십시오",
    }
    /// A call about one object does not say about which.
    OBJECT_UNNAMED = "app.object-unnamed" {
        en: "the request does not say which object it means: `{field}` is missing; name the object's kind and name, and its group and namespace where it has them",
        ko: "요청이 어떤 오브젝트를 가리키는지 알 수 없습니다. `{field}`이(가) 없습니다. 오브젝트의 kind와 이름을, 있으면 group과 네임스페이스도 지정하십시오",
    }
    /// A patch of a type that there is not.
    PATCH_TYPE_UNKNOWN = "app.patch-type-unknown" {
        en: "there is no type of patch `{type}`; use application/merge-patch+json, application/json-patch+json or application/strategic-merge-patch+json",
        ko: "`{type}` 패치 유형은 없습니다. application/merge-patch+json, application/json-patch+json 또는 application/strategic-merge-patch+json을 사용하십시오",
    }
    /// A patch that is no JSON.
    PATCH_UNREADABLE = "app.patch-unreadable" {
        en: "the patch is no JSON: line {line}, column {column}; correct it there",
        ko: "패치가 JSON이 아닙니다. {line}행 {column}열을 고치십시오",
    }
    /// A merge patch that is no object.
    PATCH_NO_OBJECT = "app.patch-no-object" {
        en: "a patch of type {type} is a JSON object with the fields to change; write one, such as {example}",
        ko: "{type} 유형의 패치는 변경할 필드를 담은 JSON 오브젝트입니다. {example}처럼 작성하십시오",
    }
    /// A JSON patch that is no list of operations.
    PATCH_NO_LIST = "app.patch-no-list" {
        en: "a patch of type {type} is a JSON list of operations; write one, such as {example}, or say another type",
        ko: "{type} 유형의 패치는 연산의 JSON 목록입니다. {example}처럼 작성하거나 다른 유형을 지정하십시오",
    }
    /// An operation of a JSON patch that is none.
    PATCH_OPERATION = "app.patch-operation" {
        en: "operation {position} of the patch is none: it needs `op` (add, remove, replace, move, copy or test), `path`, and `value` or `from`; correct it",
        ko: "패치의 {position}번째 연산이 올바르지 않습니다. `op`(add, remove, replace, move, copy, test), `path`, 그리고 `value` 또는 `from`이 필요합니다",
    }
    /// An operation of a JSON patch that would put a Secret's values where they are shown.
    PATCH_REVEALS = "app.patch-reveals" {
        en: "operation {position} of the patch takes values of the Secret to a place where they are shown; write what shall stand there instead of copying it",
        ko: "패치의 {position}번째 연산은 Secret 값을 화면에 표시되는 곳으로 옮깁니다. 복사하지 말고 그곳에 둘 값을 직접 쓰십시오",
    }
    /// A patch that writes what stands for a Secret's value.
    PATCH_MASKED = "app.patch-masked" {
        en: "the patch writes plus signs to {place}, which stand for a value that is not shown; leave the place out to keep the value, or write another",
        ko: "패치가 {place}에 더하기 기호를 씁니다. 이 기호는 표시되지 않는 값을 나타낼 뿐입니다. 값을 유지하려면 그 항목을 빼고, 바꾸려면 새 값을 쓰십시오",
    }
    /// An object that the application shows, and that is not its own.
    OBJECT_OF_ANOTHER = "app.object-of-another" {
        en: "{resource} is not changed here: it belongs to another application or another Argo CD; change it there, or rename it in one of the two",
        ko: "{resource}은(는) 여기서 변경할 수 없습니다. 다른 애플리케이션이나 다른 Argo CD에 속합니다. 그쪽에서 변경하거나 둘 중 하나의 이름을 바꾸십시오",
    }
    /// A patch writes what says whose the object is.
    OWNER_WRITTEN = "app.owner-written" {
        en: "the patch writes {place}, which says whose object it is; name single annotations and labels, and none of {names}",
        ko: "패치가 오브젝트의 소유자를 나타내는 {place}을(를) 변경합니다. {names}을(를) 뺀 개별 어노테이션과 레이블만 지정하십시오",
    }
    /// An object was replaced by another of its name between looking and writing.
    OBJECT_REPLACED = "app.object-replaced" {
        en: "{resource} was made anew a moment ago, and the new one was left alone; look at it and try again",
        ko: "{resource}이(가) 방금 새로 만들어졌으며 새 오브젝트는 변경하지 않았습니다. 확인한 뒤 다시 시도하십시오",
    }
    /// The cluster refused a change of a Secret.
    SECRET_REFUSED = "app.secret-refused" {
        en: "the cluster refused the change of {resource} (HTTP {code} {reason}); its words may hold values of the Secret and are left out; check what was to be changed against the object",
        ko: "클러스터가 {resource} 변경을 거부했습니다 (HTTP {code} {reason}). 응답에 Secret 값이 있을 수 있어 표시하지 않습니다. 변경하려는 내용을 오브젝트와 비교해 확인하십시오",
    }
    /// A diff is asked for with more manifests than objects, or fewer.
    DIFF_UNEVEN = "app.diff-uneven" {
        en: "the request names {objects} objects and brings {manifests} manifests; send one manifest for each object, an empty one where there is none",
        ko: "요청에 오브젝트가 {objects}개, 매니페스트가 {manifests}개 있습니다. 오브젝트마다 매니페스트를 하나씩 보내고, 없으면 빈 매니페스트를 보내십시오",
    }
    /// A diff is asked for of too many objects.
    DIFF_TOO_MANY = "app.diff-too-many" {
        en: "the request asks for the diff of {objects} objects, and {limit} are compared at once; ask in several requests",
        ko: "요청이 오브젝트 {objects}개의 차이를 묻지만 한 번에 {limit}개까지 비교합니다. 여러 요청으로 나누십시오",
    }
    /// The manifests of a diff are too large.
    DIFF_TOO_LARGE = "app.diff-too-large" {
        en: "the manifests of the request have {size} bytes, and {limit} are taken at once; ask in several requests",
        ko: "요청의 매니페스트가 {size}바이트이지만 한 번에 {limit}바이트까지 받습니다. 여러 요청으로 나누십시오",
    }
    /// A manifest of a diff cannot be read.
    DIFF_MANIFEST_UNREADABLE = "app.diff-manifest-unreadable" {
        en: "the manifest of {resource} is no JSON; send the object as JSON",
        ko: "{resource}의 매니페스트가 JSON이 아닙니다. 오브젝트를 JSON으로 보내십시오",
    }
    /// A Secret is brought that Git does not name.
    DIFF_SECRET_FOREIGN = "app.diff-secret-foreign" {
        en: "{resource} is compared with nothing but what Git says of it, and Git does not name it; leave it out of the diff",
        ko: "{resource}은(는) Git의 내용과만 비교하며 Git에는 이 Secret이 없습니다. 비교에서 제외하십시오",
    }
    /// A kind has actions, and not this one.
    ACTION_UNKNOWN = "app.action-unknown" {
        en: "there is no action `{action}` for {kind}; choose one of {known}",
        ko: "{kind}에 `{action}` 동작은 없습니다. {known} 중에서 고르십시오",
    }
    /// A script of the settings fails.
    ACTION_SCRIPT = "app.action-script" {
        en: "the script that the settings have for actions of {kind} (resource.customizations) fails: {why}",
        ko: "설정(resource.customizations)에 있는 {kind} 동작 스크립트가 실패했습니다: {why}",
    }
    /// A script of the settings would see a Secret.
    ACTION_SECRET = "app.action-secret" {
        en: "{resource} is a Secret, over which no script of the settings is run",
        ko: "{resource}은(는) Secret이므로 설정의 스크립트를 실행하지 않습니다",
    }
    /// A script of the settings changes what it was not given.
    ACTION_OF_ANOTHER = "app.action-of-another" {
        en: "the script of the action changes {resource}; it may change {own}, and make others",
        ko: "동작 스크립트가 {resource}을(를) 바꾸려 합니다. {own}만 바꿀 수 있고, 다른 오브젝트는 만들 수만 있습니다",
    }
    /// A script of the settings makes an object of a kind that the settings leave out.
    ACTION_EXCLUDED = "app.action-excluded" {
        en: "the action makes {resource}, whose kind is excluded in the settings; change resource.exclusions and resource.inclusions",
        ko: "동작이 {resource}을(를) 만들려 하지만 설정에서 제외된 종류입니다. resource.exclusions와 resource.inclusions를 바꾸십시오",
    }
    /// A kind has no actions.
    ACTION_NONE = "app.action-none" {
        en: "there are no actions for {kind}; change the object in Git, or with argocd app patch-resource",
        ko: "{kind}에는 동작이 없습니다. Git에서 오브젝트를 바꾸거나 argocd app patch-resource를 사용하십시오",
    }
    /// A number of replicas that is none.
    ACTION_REPLICAS = "app.action-replicas" {
        en: "`{given}` is no number of replicas; give the action's parameter `replicas` a whole number, 0 or more",
        ko: "`{given}`은(는) 레플리카 수가 아닙니다. 동작의 `replicas` 파라미터에 0 이상의 정수를 지정하십시오",
    }
    /// A suspended Job is to be ended.
    ACTION_SUSPENDED = "app.action-suspended" {
        en: "the Job `{name}` is suspended and nothing of it runs; delete it, or resume it first",
        ko: "Job `{name}`은(는) 일시 중단되어 실행 중인 것이 없습니다. 삭제하거나 먼저 재개하십시오",
    }
}
