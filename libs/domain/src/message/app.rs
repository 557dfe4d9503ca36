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
        en: "there is no cluster `{cluster}`; set spec.destination.server to https://kubernetes.default.svc",
        ko: "`{cluster}` 클러스터가 없습니다. spec.destination.server를 https://kubernetes.default.svc로 지정하십시오",
    }
    /// The cluster is known, and nothing is deployed there yet.
    DESTINATION_NOT_SERVED = "app.destination-not-served" {
        en: "the cluster `{cluster}` is added, but this version deploys only to https://kubernetes.default.svc; set spec.destination.server to it",
        ko: "`{cluster}` 클러스터는 추가되어 있지만 이 버전은 https://kubernetes.default.svc에만 배포합니다. spec.destination.server를 이 주소로 지정하십시오",
    }
    /// Both address and name are given.
    DESTINATION_AMBIGUOUS = "app.destination-ambiguous" {
        en: "application destination can't have both name and server defined: {name} {server}; remove one of the two",
        ko: "배포 대상에 이름과 서버를 함께 지정할 수 없습니다: {name} {server}. 둘 중 하나를 지우십시오",
    }
    /// The project wants signed commits, and nothing verifies signatures yet.
    SIGNATURES_UNVERIFIED = "app.signatures-unverified" {
        en: "project `{project}` demands signed commits (signatureKeys), and this version of the platform cannot verify signatures yet, so nothing is synced; remove signatureKeys from the project to sync",
        ko: "프로젝트 `{project}`은(는) 서명된 커밋(signatureKeys)을 요구하지만 이 버전의 플랫폼은 아직 서명을 확인할 수 없어 동기화하지 않습니다. 동기화하려면 프로젝트에서 signatureKeys를 지우십시오",
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
    /// Its objects wait for an approval.
    DELETION_UNCONFIRMED = "app.deletion-unconfirmed" {
        en: "the deletion waits for approval of {resource}, which asks for it with Delete=confirm; set the annotation argocd.argoproj.io/deletion-approved on the application",
        ko: "{resource}이(가) Delete=confirm으로 승인을 요구하여 삭제가 대기 중입니다. 애플리케이션에 argocd.argoproj.io/deletion-approved 어노테이션을 설정하십시오",
    }
}
