//! Messages about chart repositories and registries.

messages! {
    /// The server cannot be reached.
    UNREACHABLE = "chart.unreachable" {
        en: "the chart repository `{url}` cannot be reached; check the address and whether the server is up",
        ko: "차트 저장소 `{url}`에 연결할 수 없습니다. 주소와 서버 상태를 확인하십시오",
    }
    /// The server takes too long.
    TIMEOUT = "chart.timeout" {
        en: "the chart repository `{url}` did not answer within {seconds} s; it is tried again, check the server's load and the network",
        ko: "차트 저장소 `{url}`이(가) {seconds}초 안에 응답하지 않았습니다. 다시 시도하며, 서버 부하와 네트워크를 확인하십시오",
    }
    /// The server wants another login.
    LOGIN_REFUSED = "chart.login-refused" {
        en: "`{url}` refused the login; correct the username and password of the connected chart repository",
        ko: "`{url}`이(가) 로그인을 거부했습니다. 연결된 차트 저장소의 사용자 이름과 비밀번호를 고치십시오",
    }
    /// The server wants a login, and none is known.
    LOGIN_NEEDED = "chart.login-needed" {
        en: "`{url}` asks for a login, and none is connected for it: connect it with its login (`argocd repo add`, `--type helm` for charts, `--type oci` for artifacts) or make a credential template (`argocd repocreds add`)",
        ko: "`{url}`이(가) 로그인을 요구하지만 연결된 로그인이 없습니다. 로그인과 함께 연결하거나(`argocd repo add`, 차트는 `--type helm`, 아티팩트는 `--type oci`) 자격 증명 템플릿을 만드십시오(`argocd repocreds add`)",
    }
    /// There is nothing at the address.
    REPOSITORY_NOT_FOUND = "chart.repository-not-found" {
        en: "there is no chart repository at `{url}`, or this login may not see it; the address is the one below which `index.yaml` lies, or the registry's host and path",
        ko: "`{url}`에 차트 저장소가 없거나 이 로그인으로는 볼 수 없습니다. `index.yaml`이 있는 주소 또는 레지스트리의 호스트와 경로를 쓰십시오",
    }
    /// The index is no chart repository's.
    INDEX_BROKEN = "chart.index-broken" {
        en: "the `index.yaml` of `{url}` is not a chart repository's index; make it anew with `helm repo index`",
        ko: "`{url}`의 `index.yaml`은(는) 차트 저장소의 색인이 아닙니다. `helm repo index`로 다시 만드십시오",
    }
    /// No such chart.
    NOT_FOUND = "chart.not-found" {
        en: "there is no chart `{chart}` in `{url}`; correct spec.source.chart, or publish the chart",
        ko: "`{url}`에 차트 `{chart}`이(가) 없습니다. spec.source.chart를 고치거나 차트를 게시하십시오",
    }
    /// No such version.
    VERSION_NOT_FOUND = "chart.version-not-found" {
        en: "no version of the chart `{chart}` in `{url}` is `{version}`; the newest are {versions}. Correct spec.source.targetRevision, or publish one",
        ko: "`{url}`의 차트 `{chart}`에 `{version}`에 해당하는 버전이 없습니다. 가장 새로운 버전은 {versions}입니다. spec.source.targetRevision을 고치거나 버전을 게시하십시오",
    }
    /// The archive is not what the index or the registry names.
    DIGEST_MISMATCH = "chart.digest-mismatch" {
        en: "the archive of the chart `{chart}` {version} from `{url}` is not the one that the repository names by its digest; publish the chart anew and check who can write to the repository",
        ko: "`{url}`에서 받은 차트 `{chart}` {version}의 아카이브가 저장소에 적힌 다이제스트와 다릅니다. 차트를 다시 게시하고 저장소에 쓸 수 있는 사람을 확인하십시오",
    }
    /// The archive is no chart's, or tries something.
    ARCHIVE_REFUSED = "chart.archive-refused" {
        en: "the archive of the chart `{chart}` {version} cannot be used: {reason}; package it with `helm package` and publish it anew",
        ko: "차트 `{chart}` {version}의 아카이브를 사용할 수 없습니다: {reason}. `helm package`로 패키징하여 다시 게시하십시오",
    }
    /// The chart's name or address is none.
    NAME_REFUSED = "chart.name-refused" {
        en: "`{chart}` is not the name of a chart; correct spec.source.chart",
        ko: "`{chart}`은(는) 차트 이름이 아닙니다. spec.source.chart를 고치십시오",
    }
    /// A registry's address has another form.
    REGISTRY_ADDRESS = "chart.registry-address" {
        en: "`{url}` is not the address of an OCI registry; write its host and path only, such as registry.example.com/charts",
        ko: "`{url}`은(는) OCI 레지스트리 주소가 아닙니다. registry.example.com/charts처럼 호스트와 경로만 쓰십시오",
    }
    /// A redirect that is not followed.
    REDIRECT_REFUSED = "chart.redirect-refused" {
        en: "`{url}` answers with a redirect to `{target}` that is not followed ({reason}); write the address of the server that has the charts",
        ko: "`{url}`의 리디렉션 `{target}`은(는) 따르지 않습니다({reason}). 차트가 있는 서버의 주소를 쓰십시오",
    }
    /// The registry answers with something else.
    REGISTRY_BROKEN = "chart.registry-broken" {
        en: "what `{url}` answers is not an OCI registry's: {reason}",
        ko: "`{url}`의 응답이 OCI 레지스트리의 것이 아닙니다: {reason}",
    }
    /// A registry does not say which charts it has.
    REGISTRY_WITHOUT_INDEX = "chart.registry-without-index" {
        en: "`{url}` is an OCI registry, which lists no charts; name the chart and its version",
        ko: "`{url}`은(는) 차트 목록이 없는 OCI 레지스트리입니다. 차트와 버전을 직접 지정하십시오",
    }
    /// No such tag, digest or version of an artifact.
    ARTIFACT_NOT_FOUND = "chart.artifact-not-found" {
        en: "`{url}` has no artifact `{revision}`; write a tag, a digest (sha256:...) or a range of versions into spec.source.targetRevision, or push one",
        ko: "`{url}`에 아티팩트 `{revision}`이(가) 없습니다. spec.source.targetRevision에 태그, 다이제스트(sha256:...) 또는 버전 범위를 쓰거나 아티팩트를 푸시하십시오",
    }
    /// An artifact is not what is read, or tries something.
    ARTIFACT_REFUSED = "chart.artifact-refused" {
        en: "the artifact {digest} cannot be used: {reason}; push one layer of application/vnd.oci.image.layer.v1.tar+gzip (`oras push`) or a chart (`helm push`)",
        ko: "아티팩트 {digest}을(를) 사용할 수 없습니다: {reason}. application/vnd.oci.image.layer.v1.tar+gzip 레이어 하나(`oras push`) 또는 차트(`helm push`)를 푸시하십시오",
    }
    /// An application's source is no artifact.
    NO_ARTIFACT = "chart.no-artifact" {
        en: "the source of the application `{app}` is no artifact of an OCI registry: those have a repoURL that begins with oci:// and no chart",
        ko: "애플리케이션 `{app}`의 소스는 OCI 레지스트리의 아티팩트가 아닙니다. 아티팩트의 repoURL은 oci://로 시작하고 chart가 없습니다",
    }
    /// The place of a dependency is of no form that is used.
    DEPENDENCY_REPOSITORY = "chart.dependency-repository" {
        en: "the dependency `{chart}` comes from `{repository}`, which is no place that charts are taken from; write an https://, oci:// or file:// address that sourceRepos of the project permits, or connect a chart repository of that name",
        ko: "의존성 `{chart}`의 위치 `{repository}`에서는 차트를 가져올 수 없습니다. 프로젝트의 sourceRepos가 허용하는 https://, oci://, file:// 주소를 쓰거나 그 이름의 차트 저장소를 연결하십시오",
    }
    /// A dependency is called as no chart is.
    DEPENDENCY_NAME = "chart.dependency-name" {
        en: "the dependency `{chart}` from `{repository}` is called as no chart can be; correct its `name` in the file named here",
        ko: "`{repository}`에서 가져올 의존성 `{chart}`은(는) 차트 이름이 될 수 없습니다. 여기에 표시된 파일에서 `name`을 고치십시오",
    }
    /// The place of a dependency has no chart of that name.
    DEPENDENCY_NOT_FOUND = "chart.dependency-not-found" {
        en: "there is no chart `{chart}` in `{repository}`, from which the dependency is to come; correct its `name` or `repository` in the file named here",
        ko: "의존성을 가져올 `{repository}`에 차트 `{chart}`이(가) 없습니다. 여기에 표시된 파일에서 `name`이나 `repository`를 고치십시오",
    }
    /// The folder of a dependency is none of a chart.
    DEPENDENCY_FOLDER = "chart.dependency-folder" {
        en: "the dependency `{chart}` comes from `{repository}`, and `{path}` is no folder with a Chart.yaml; the address is from the folder of the chart that has the dependency: correct it in the file named here, or push the folder",
        ko: "의존성 `{chart}`의 위치는 `{repository}`인데 `{path}`은(는) Chart.yaml이 있는 폴더가 아닙니다. 주소는 의존성을 가진 차트의 폴더를 기준으로 합니다. 여기에 표시된 파일에서 고치거나 폴더를 푸시하십시오",
    }
    /// No version of a dependency fits.
    DEPENDENCY_VERSION = "chart.dependency-version" {
        en: "no version of the dependency `{chart}` in `{repository}` is `{version}`; the newest are {versions}. Correct its `version` in the file named here; where there is a lock file, run `helm dependency update` and commit it",
        ko: "`{repository}`의 의존성 `{chart}`에 `{version}`에 해당하는 버전이 없습니다. 가장 새로운 버전은 {versions}입니다. 여기에 표시된 파일에서 `version`을 고치십시오. 잠금 파일이 있으면 `helm dependency update`를 실행하고 커밋하십시오",
    }
    /// The lock is of other dependencies.
    LOCK_OUTDATED = "chart.lock-outdated" {
        en: "the lock file is out of sync with the dependencies of the chart in `{path}`; run `helm dependency update` and commit the lock file",
        ko: "잠금 파일이 `{path}` 차트의 의존성과 맞지 않습니다. `helm dependency update`를 실행하고 잠금 파일을 커밋하십시오",
    }
}
