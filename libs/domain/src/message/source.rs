//! Messages about repositories and rendering.

messages! {
    /// The repository cannot be reached.
    UNREACHABLE = "source.unreachable" {
        en: "the repository `{url}` cannot be reached; check the address and whether the Git server is up",
        ko: "저장소 `{url}`에 연결할 수 없습니다. 주소와 Git 서버 상태를 확인하십시오",
    }
    /// The Git server wants another login.
    LOGIN_REFUSED = "source.login-refused" {
        en: "the Git server refused the login for `{url}`; correct the username and password (or token, or key) of the connected repository",
        ko: "Git 서버가 `{url}`의 로그인을 거부했습니다. 연결된 저장소의 사용자 이름과 비밀번호(토큰 또는 키)를 고치십시오",
    }
    /// The Git server wants a login, and none is known.
    LOGIN_NEEDED = "source.login-needed" {
        en: "the Git server asks for a login for `{url}`, and none is connected for it: check the address, then connect it with its login (`argocd repo add`) or make a credential template (`argocd repocreds add`)",
        ko: "Git 서버가 `{url}`에 로그인을 요구하지만 연결된 로그인이 없습니다. 주소를 확인한 다음 로그인과 함께 저장소를 연결하거나(`argocd repo add`) 자격 증명 템플릿을 만드십시오(`argocd repocreds add`)",
    }
    /// The server is there, the repository is not.
    REPOSITORY_NOT_FOUND = "source.repository-not-found" {
        en: "there is no repository at `{url}`, or this login may not see it; check the address in spec.source.repoURL and the connected repository",
        ko: "`{url}`에 저장소가 없거나 이 로그인으로는 볼 수 없습니다. spec.source.repoURL의 주소와 연결된 저장소를 확인하십시오",
    }
    /// The server answers at another address.
    MOVED = "source.moved" {
        en: "`{url}` answers with a redirect to `{target}`; write that address instead, redirects are not followed with a login",
        ko: "`{url}`이(가) `{target}`(으)로 이동했습니다. 로그인 정보를 가지고 리디렉션을 따르지 않으므로 주소를 그대로 바꾸어 쓰십시오",
    }
    /// GitHub gives no token for an app's installation.
    GITHUB_APP_REFUSED = "source.github-app-refused" {
        en: "GitHub gives no token for GitHub App {app}, installation {installation}, of `{url}`; check both numbers, the private key and, with GitHub Enterprise, the base URL (`https://HOST/api/v3`), and that the app is installed there",
        ko: "GitHub가 `{url}`의 GitHub App {app}, 설치 {installation}에 토큰을 발급하지 않습니다. 두 번호와 개인 키, GitHub Enterprise의 기본 URL(`https://HOST/api/v3`), 앱이 설치되어 있는지 확인하십시오",
    }
    /// A GitHub App's key is none.
    GITHUB_APP_KEY = "source.github-app-key" {
        en: "the private key of GitHub App {app} of `{url}` is no RSA key in PEM; download it anew from the app's settings and connect the repository with it",
        ko: "`{url}`의 GitHub App {app} 개인 키가 PEM 형식의 RSA 키가 아닙니다. 앱 설정에서 다시 내려받아 저장소를 연결하십시오",
    }
    /// The proxy cannot be used.
    PROXY_UNUSABLE = "source.proxy-unusable" {
        en: "the proxy of `{url}` cannot be used: it has to be `http://` or `https://` with a host, and the repository has to be reached over HTTP; edit `proxy` of the repository or of its credential template",
        ko: "`{url}`의 프록시를 사용할 수 없습니다. 프록시는 호스트가 있는 `http://` 또는 `https://` 주소여야 하고 저장소는 HTTP로 접근해야 합니다. 저장소나 자격 증명 템플릿의 `proxy`를 고치십시오",
    }
    /// The address is of no kind that is allowed.
    ADDRESS_REFUSED = "source.address-refused" {
        en: "`{url}` is not a repository address that is allowed here; use https://host/path, http://host/path, ssh://user@host/path or user@host:path, without `..`, backslash, query or other signs that can be read in two ways",
        ko: "`{url}`은(는) 허용되는 저장소 주소가 아닙니다. https://host/path, http://host/path, ssh://user@host/path, user@host:path 형식을 쓰고, `..`나 역슬래시, 쿼리처럼 두 가지로 읽힐 수 있는 표기는 빼십시오",
    }
    /// The address leads to where no repository is allowed.
    ADDRESS_NOT_ALLOWED = "source.address-not-allowed" {
        en: "`{url}` leads to an address where the platform connects to no repository; use the Git server's public address, or ask the operator to allow it",
        ko: "`{url}`은(는) 플랫폼이 저장소에 연결하지 않는 주소를 가리킵니다. Git 서버의 공개 주소를 쓰거나 운영자에게 허용을 요청하십시오",
    }
    /// The login holds line breaks or other control characters.
    LOGIN_WITH_CONTROL_CHARACTERS = "source.login-with-control-characters" {
        en: "the login for `{url}` holds a line break or another control character; give the user name, password or token without it",
        ko: "`{url}`의 로그인 정보에 줄 바꿈이나 제어 문자가 들어 있습니다. 사용자 이름, 비밀번호, 토큰에서 제거하십시오",
    }
    /// The host's key is not among the known ones.
    HOST_KEY_UNKNOWN = "source.host-key-unknown" {
        en: "the SSH host key of `{url}` is not known or has changed; add its line to the known hosts after checking it",
        ko: "`{url}`의 SSH 호스트 키를 알 수 없거나 키가 바뀌었습니다. 확인한 뒤 known hosts에 추가하십시오",
    }
    /// The server's certificate is not trusted.
    CERTIFICATE_REFUSED = "source.certificate-refused" {
        en: "the certificate of `{url}` is not trusted; add its authority to the repository certificates, or connect the repository as insecure",
        ko: "`{url}`의 인증서를 신뢰할 수 없습니다. 저장소 인증서에 인증 기관을 추가하거나 저장소를 insecure로 연결하십시오",
    }
    /// No branch, tag or commit of that name.
    REVISION_NOT_FOUND = "source.revision-not-found" {
        en: "`{revision}` is no branch, tag or commit of `{url}`; push it, or correct spec.source.targetRevision",
        ko: "`{revision}`은(는) `{url}`의 브랜치, 태그, 커밋이 아닙니다. 푸시하거나 spec.source.targetRevision을 고치십시오",
    }
    /// A range of versions that no tag is in.
    RANGE_UNMATCHED = "source.range-unmatched" {
        en: "no tag of `{url}` is in the range `{revision}`; the newest versions among its tags are {tags}. Correct spec.source.targetRevision, or push a tag",
        ko: "`{url}`의 태그 중 범위 `{revision}`에 맞는 것이 없습니다. 태그 중 가장 새로운 버전은 {tags}입니다. spec.source.targetRevision을 고치거나 태그를 푸시하십시오",
    }
    /// The beginning of tags is one that no name has.
    TAG_PREFIX_INVALID = "source.tag-prefix-invalid" {
        en: "no tag can begin with `{prefix}`: a name has no spaces, control characters, `..`, `//` or any of ~^:?*[\\, and begins with no `-`, `/` or `.`; correct spec.source.tagPrefix",
        ko: "`{prefix}`(으)로 시작하는 태그는 있을 수 없습니다. 이름에는 공백, 제어 문자, `..`, `//`, ~^:?*[\\ 문자를 쓸 수 없고 `-`, `/`, `.`으로 시작할 수 없습니다. spec.source.tagPrefix를 고치십시오",
    }
    /// No tag begins as those do that are asked for.
    TAG_PREFIX_UNMATCHED = "source.tag-prefix-unmatched" {
        en: "no tag of `{url}` begins with `{prefix}`; its tags are {tags}. Correct spec.source.tagPrefix, or push a tag",
        ko: "`{url}`에 `{prefix}`(으)로 시작하는 태그가 없습니다. 태그로는 {tags}이(가) 있습니다. spec.source.tagPrefix를 고치거나 태그를 푸시하십시오",
    }
    /// A range of versions that no tag is in, of those that begin as they shall.
    PREFIXED_RANGE_UNMATCHED = "source.prefixed-range-unmatched" {
        en: "of the tags of `{url}` that begin with `{prefix}` none is in the range `{revision}`; the newest versions behind `{prefix}` are {tags}. Correct spec.source.targetRevision or tagPrefix, or push a tag",
        ko: "`{url}`에서 `{prefix}`(으)로 시작하는 태그 중 범위 `{revision}`에 맞는 것이 없습니다. `{prefix}` 뒤의 가장 새로운 버전은 {tags}입니다. spec.source.targetRevision이나 tagPrefix를 고치거나 태그를 푸시하십시오",
    }
    /// A shortened commit fits several.
    REVISION_AMBIGUOUS = "source.revision-ambiguous" {
        en: "several commits of `{url}` begin with `{revision}`; write more of it in spec.source.targetRevision",
        ko: "`{url}`에서 `{revision}`(으)로 시작하는 커밋이 여럿입니다. spec.source.targetRevision에 더 길게 쓰십시오",
    }
    /// The repository has no commit yet.
    EMPTY_REPOSITORY = "source.empty-repository" {
        en: "the repository `{url}` has no commit yet; push one",
        ko: "저장소 `{url}`에 아직 커밋이 없습니다. 커밋을 푸시하십시오",
    }
    /// The folder is not in the commit.
    PATH_MISSING = "source.path-missing" {
        en: "the folder `{path}` is not in commit {commit}; correct spec.source.path or push the folder",
        ko: "커밋 {commit}에 `{path}` 폴더가 없습니다. spec.source.path를 고치거나 폴더를 푸시하십시오",
    }
    /// The path is there, but no folder.
    PATH_NOT_FOLDER = "source.path-not-folder" {
        en: "`{path}` is a file; spec.source.path names a folder",
        ko: "`{path}`은(는) 파일입니다. spec.source.path에는 폴더를 쓰십시오",
    }
    /// The folder that somebody sent to be rendered does not have the application's path.
    LOCAL_PATH_MISSING = "source.local-path-missing" {
        en: "the folder `{path}` of spec.source.path is not among the files that were sent; let `--local` name the root of the repository, and `--local-include` the files that count besides *.yaml, *.yml and *.json",
        ko: "보낸 파일에 spec.source.path의 `{path}` 폴더가 없습니다. `--local`에 저장소의 루트를 지정하고, *.yaml, *.yml, *.json 외에 필요한 파일은 `--local-include`로 지정하십시오",
    }
    /// The archive of such a folder cannot be read, or tries something.
    LOCAL_REFUSED = "source.local-refused" {
        en: "the folder that was sent cannot be used: {reason}; leave out what is named here, or send another folder (`--local`, `--local-include`)",
        ko: "보낸 폴더를 사용할 수 없습니다: {reason}. 해당 항목을 빼거나 다른 폴더를 보내십시오(`--local`, `--local-include`)",
    }
    /// The archive of such a folder is too large.
    LOCAL_TOO_LARGE = "source.local-too-large" {
        en: "the folder that was sent is larger than {limit} when it is packed; send a smaller one, or fewer of its files (`--local`, `--local-include`)",
        ko: "보낸 폴더를 압축한 크기가 {limit}보다 큽니다. 더 작은 폴더나 더 적은 파일을 보내십시오(`--local`, `--local-include`)",
    }
    /// There is no place for another such folder.
    LOCAL_BUSY = "source.local-busy" {
        en: "as many folders as the platform takes at once are being rendered; try again in a few seconds",
        ko: "지금 동시에 처리할 수 있는 만큼의 폴더를 렌더링하고 있습니다. 몇 초 후 다시 시도하십시오",
    }
    /// The archive that arrived is not the one that was announced.
    LOCAL_CHECKSUM = "source.local-checksum" {
        en: "the folder did not arrive as it was sent: the SHA-256 of its archive is {found}, and not the checksum of the request; send it again",
        ko: "폴더가 보낸 그대로 도착하지 않았습니다. 압축 파일의 SHA-256이 {found}이며 요청의 checksum과 다릅니다. 다시 보내십시오",
    }
    /// The parts of such a request are not what they have to be.
    LOCAL_PARTS = "source.local-parts" {
        en: "the request is none about a folder: its first part has to be `query`, with the application's name, and every other one `chunk`; send it with `argocd app diff --local --server-side-generate`",
        ko: "폴더에 대한 요청이 아닙니다. 첫 부분은 애플리케이션 이름이 있는 `query`, 나머지는 모두 `chunk`여야 합니다. `argocd app diff --local --server-side-generate`로 보내십시오",
    }
    /// The path leaves the repository.
    PATH_OUTSIDE = "source.path-outside" {
        en: "`{path}` leads out of the repository; use a path inside it",
        ko: "`{path}`은(는) 저장소 밖을 가리킵니다. 저장소 안의 경로를 쓰십시오",
    }
    /// Neither path nor chart.
    PATH_NOT_GIVEN = "source.path-not-given" {
        en: "the source names no folder; set spec.source.path (`.` for the root)",
        ko: "소스에 폴더가 없습니다. spec.source.path를 지정하십시오 (루트는 `.`)",
    }
    /// The path begins with a slash.
    PATH_ABSOLUTE = "source.path-absolute" {
        en: "`{path}` begins with a slash, and paths are from the repository's root; write `{relative}` into spec.source.path",
        ko: "`{path}`이(가) 슬래시로 시작합니다. 경로는 저장소의 루트를 기준으로 하므로 spec.source.path에 `{relative}`을(를) 쓰십시오",
    }
    /// The source's options cannot be read.
    OPTIONS_INVALID = "source.options-invalid" {
        en: "the options of the source cannot be read; correct spec.source or the file named here",
        ko: "소스 옵션을 읽을 수 없습니다. spec.source 또는 여기에 표시된 파일을 고치십시오",
    }
    /// Blocks of several tools.
    SEVERAL_TOOLS = "source.several-tools" {
        en: "the source has options of several tools ({tools}); keep one of them in spec.source",
        ko: "소스에 여러 도구({tools})의 옵션이 있습니다. spec.source에 하나만 남기십시오",
    }
    /// A file is not YAML.
    YAML_BROKEN = "source.yaml-broken" {
        en: "the file is not valid YAML; correct it at this line",
        ko: "올바른 YAML이 아닙니다. 이 줄을 고치십시오",
    }
    /// A file is not JSON.
    JSON_BROKEN = "source.json-broken" {
        en: "the file is not one valid JSON object; correct it at this line",
        ko: "올바른 JSON 오브젝트 하나가 아닙니다. 이 줄을 고치십시오",
    }
    /// An object without kind.
    KIND_MISSING = "source.kind-missing" {
        en: "the object has no `kind`; add it, or exclude the file in spec.source.directory.exclude",
        ko: "오브젝트에 `kind`가 없습니다. 추가하거나 spec.source.directory.exclude에서 파일을 제외하십시오",
    }
    /// A file is not text.
    NOT_TEXT = "source.not-text" {
        en: "the file is not UTF-8 text; save it as UTF-8",
        ko: "UTF-8 텍스트 파일이 아닙니다. UTF-8로 저장하십시오",
    }
    /// Something is larger than allowed.
    TOO_LARGE = "source.too-large" {
        en: "{what} is larger than the limit of {limit}; split the application or make it smaller",
        ko: "{what}이(가) 한도 {limit}보다 큽니다. 애플리케이션을 나누거나 크기를 줄이십시오",
    }
    /// YAML that grows when it is read.
    YAML_BOMB = "source.yaml-bomb" {
        en: "the file's aliases or nesting grow beyond the limit of {limit}; write the values out",
        ko: "파일의 별칭이나 중첩이 한도 {limit}을(를) 넘습니다. 값을 직접 쓰십시오",
    }
    /// Git took too long.
    TIMEOUT = "source.timeout" {
        en: "the Git server of `{url}` did not finish within {seconds} s; it is tried again, check the server's load and the network",
        ko: "`{url}`의 Git 서버가 {seconds}초 안에 응답을 끝내지 못했습니다. 다시 시도하며, 서버 부하와 네트워크를 확인하십시오",
    }
    /// Git's server says nothing.
    SILENT = "source.silent" {
        en: "the Git server of `{url}` has sent nothing for {seconds} s; it is tried again, check the server's load and what stands before it",
        ko: "`{url}`의 Git 서버가 {seconds}초 동안 아무것도 보내지 않았습니다. 다시 시도하며, 서버 부하와 서버 앞의 프록시를 확인하십시오",
    }
    /// Our own turns were taken.
    PLACES_TAKEN = "source.places-taken" {
        en: "`{url}` could not be read yet: the platform reads as many repositories at once as it may, and for {seconds} s there was no turn for it; it is tried again",
        ko: "`{url}`을(를) 아직 읽지 못했습니다. 플랫폼이 한 번에 읽을 수 있는 만큼의 저장소를 읽고 있어 {seconds}초 동안 차례가 오지 않았습니다. 다시 시도합니다",
    }
    /// A web server's file did not come in time.
    WEB_FILE_TIMEOUT = "source.web-file-timeout" {
        en: "the file `{url}` did not come within {seconds} s; it is tried again, check the web server's load and the network",
        ko: "`{url}` 파일을 {seconds}초 안에 받지 못했습니다. 다시 시도하며, 웹 서버의 부하와 네트워크를 확인하십시오",
    }
    /// A web server's file cannot be had.
    WEB_FILE = "source.web-file" {
        en: "the file `{url}` cannot be fetched from its web server; check the address and the login that is connected for it",
        ko: "`{url}` 파일을 웹 서버에서 가져올 수 없습니다. 주소와 그 주소에 연결된 로그인을 확인하십시오",
    }
    /// Git failed in a way that has no name.
    FETCH_FAILED = "source.fetch-failed" {
        en: "fetching `{url}` failed; it is tried again, see what Git said",
        ko: "`{url}`을(를) 가져오지 못했습니다. 다시 시도하며, Git의 메시지를 확인하십시오",
    }
    /// The tool took too long.
    RENDER_TIMEOUT = "source.render-timeout" {
        en: "rendering `{path}` did not finish within {seconds} s and was stopped; make what it renders smaller",
        ko: "`{path}` 렌더링이 {seconds}초 안에 끝나지 않아 중단했습니다. 렌더링할 내용을 줄이십시오",
    }
    /// The tool died.
    RENDER_DIED = "source.render-died" {
        en: "the renderer was stopped while rendering `{path}`: it went over its memory or broke a rule of its sandbox; make what it renders smaller",
        ko: "`{path}`을(를) 렌더링하던 중 메모리 한도나 샌드박스 규칙을 어겨 렌더러가 중단되었습니다. 렌더링할 내용을 줄이십시오",
    }
    /// Kustomize refused.
    KUSTOMIZE_FAILED = "source.kustomize-failed" {
        en: "kustomize cannot build `{path}`; correct the kustomization as it says",
        ko: "kustomize가 `{path}`을(를) 빌드하지 못했습니다. 메시지대로 kustomization을 고치십시오",
    }
    /// A kustomization has a field that there is not.
    KUSTOMIZE_FIELD = "source.kustomize-field" {
        en: "`{field}` is not a field that a kustomization has there; correct or delete it",
        ko: "`{field}`은(는) kustomization의 그 위치에 없는 필드입니다. 고치거나 지우십시오",
    }
    /// The same, and one with nearly that name which there is.
    KUSTOMIZE_FIELD_SIMILAR = "source.kustomize-field-similar" {
        en: "`{field}` is not a field of a kustomization; did you mean `{meant}`?",
        ko: "`{field}`은(는) kustomization에 없는 필드입니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A kustomization takes a file or a folder that is not there.
    KUSTOMIZE_RESOURCE_MISSING = "source.kustomize-resource-missing" {
        en: "`{resource}`, named in {field}, is not in the repository; push it or correct the name",
        ko: "{field}에 지정된 `{resource}`이(가) 저장소에 없습니다. 푸시하거나 이름을 고치십시오",
    }
    /// An application says no repository.
    REPOSITORY_UNNAMED = "source.repository-unnamed" {
        en: "no repository is named: set spec.source.repoURL (`--repo`)",
        ko: "저장소가 지정되지 않았습니다. spec.source.repoURL(`--repo`)을 설정하십시오",
    }
    /// Another Kustomize is asked for.
    KUSTOMIZE_VERSION = "source.kustomize-version" {
        en: "spec.source.kustomize.version asks for `{wanted}`, and {version} is the only one there is; delete the field, or write {version}",
        ko: "spec.source.kustomize.version이 `{wanted}`을(를) 요구하지만 사용할 수 있는 버전은 {version}뿐입니다. 필드를 지우거나 {version}을(를) 쓰십시오",
    }
    /// Charts in a kustomization, which the tenant's settings do not permit.
    KUSTOMIZE_HELM_OFF = "source.kustomize-helm-off" {
        en: "the kustomization has `helmCharts`, and charts in kustomizations are rendered only where the tenant's setting `kustomize.buildOptions` has --enable-helm; set it (a key of argocd-cm), or take the charts out",
        ko: "kustomization에 `helmCharts`가 있지만 kustomization 안의 차트는 테넌트 설정 `kustomize.buildOptions`에 --enable-helm이 있을 때만 렌더링합니다. 설정(argocd-cm의 키)에 추가하거나 차트를 빼십시오",
    }
    /// Something that a kustomization must not do here.
    KUSTOMIZE_REFUSED = "source.kustomize-refused" {
        en: "`{feature}` is not allowed in a kustomization here; remove it ({reason})",
        ko: "여기서는 kustomization에 `{feature}`을(를) 쓸 수 없습니다. 지우십시오 ({reason})",
    }
    /// A remote base or file.
    KUSTOMIZE_REMOTE = "source.kustomize-remote" {
        en: "the kustomization takes `{resource}` from another place, from which it cannot be taken; write the address of a folder in a Git repository, `https://host/org/repo//folder?ref=v1`, in `resources` or `components`, or copy it into this repository",
        ko: "kustomization이 다른 곳의 `{resource}`을(를) 가져오지만 가져올 수 없는 위치입니다. `resources`나 `components`에 Git 저장소 폴더의 주소(`https://host/org/repo//folder?ref=v1`)를 쓰거나 이 저장소로 복사하십시오",
    }
    /// Helm refused.
    HELM_FAILED = "source.helm-failed" {
        en: "helm cannot render the chart in `{path}`; correct the chart or its values as it says",
        ko: "helm이 `{path}`의 차트를 렌더링하지 못했습니다. 메시지대로 차트나 값을 고치십시오",
    }
    /// A chart draws what it makes.
    UNDETERMINED = "source.undetermined" {
        en: "the chart in `{path}` comes out otherwise each time ({functions}); what it made first for these inputs is kept until one of them changes. Give such values as parameters, or keep them in a Secret outside Git",
        ko: "`{path}`의 차트는 렌더링할 때마다 결과가 다릅니다({functions}). 입력이 바뀔 때까지 처음 만든 결과를 유지합니다. 이런 값은 파라미터로 주거나 Git 밖의 Secret에 두십시오",
    }
    /// What a chart drew cannot be kept.
    UNDETERMINED_UNKEPT = "source.undetermined-unkept" {
        en: "the chart comes out otherwise each time, and the database that keeps what it made first does not answer; nothing is applied until it does",
        ko: "차트는 렌더링할 때마다 결과가 다른데, 처음 결과를 보관하는 데이터베이스가 응답하지 않습니다. 응답할 때까지 아무것도 적용하지 않습니다",
    }
    /// Jsonnet refused.
    JSONNET_FAILED = "source.jsonnet-failed" {
        en: "`{path}` cannot be evaluated to Kubernetes objects; correct it as jsonnet says",
        ko: "`{path}`을(를) 쿠버네티스 오브젝트로 평가하지 못했습니다. jsonnet의 메시지대로 고치십시오",
    }
    /// A file of an option or a chart that is not in the repository.
    REMOTE_FILE = "source.remote-file" {
        en: "`{resource}` is in another place, from which files are not fetched; copy it into this repository",
        ko: "`{resource}`은(는) 다른 곳에 있으며 파일을 가져오지 않습니다. 이 저장소로 복사하십시오",
    }
    /// A file that an option names is not there.
    OPTION_FILE_MISSING = "source.option-file-missing" {
        en: "the file `{path}` named in {field} is not in the repository; push it or correct the option",
        ko: "{field}에 지정된 파일 `{path}`이(가) 저장소에 없습니다. 파일을 푸시하거나 옵션을 고치십시오",
    }
    /// The same of a file of another source.
    OPTION_FILE_MISSING_ELSEWHERE = "source.option-file-missing-elsewhere" {
        en: "the file `{path}` named in {field} is not in {repository} at commit {commit}; push it there, or correct the option or that source's targetRevision",
        ko: "{field}에 지정된 파일 `{path}`이(가) {repository}의 커밋 {commit}에 없습니다. 그 저장소에 푸시하거나, 옵션 또는 그 소스의 targetRevision을 고치십시오",
    }
    /// An option's value is wrong.
    OPTION_REFUSED = "source.option-refused" {
        en: "the value of {field} cannot be used; correct it as said here",
        ko: "{field}의 값을 사용할 수 없습니다. 메시지대로 고치십시오",
    }
    /// Charts that a chart depends on are not vendored.
    DEPENDENCY_MISSING = "source.dependency-missing" {
        en: "the chart depends on {charts}, not in its `charts` folder; run `helm dependency build` and commit the folder, or say in Chart.yaml from which repository it comes",
        ko: "차트가 의존하는 {charts}이(가) `charts` 폴더에 없습니다. `helm dependency build`를 실행하고 폴더를 커밋하거나 Chart.yaml에 가져올 저장소를 적으십시오",
    }
    /// No source has the name that an option refers to.
    REFERENCE_UNKNOWN = "source.reference-unknown" {
        en: "`{name}` is the `ref` of none of the application's sources (there are {names}); correct the path, or give the source that it means this `ref`",
        ko: "애플리케이션 소스 중 `ref`가 `{name}`인 것이 없습니다(있는 것: {names}). 경로를 고치거나 해당 소스에 이 `ref`를 지정하십시오",
    }
    /// An option refers to another source, and none can be referred to.
    REFERENCE_WITHOUT_ANY = "source.reference-without-any" {
        en: "`{name}` refers to another source, and no source of the application has a `ref`; add the repository to spec.sources with `ref: {name}` (without `$`)",
        ko: "`{name}`은(는) 다른 소스를 가리키지만 `ref`가 있는 소스가 없습니다. 저장소를 spec.sources에 추가하고 `ref: {name}`(`$` 없이)을 지정하십시오",
    }
    /// A file is wanted of a source that is a chart.
    REFERENCE_TO_CHART = "source.reference-to-chart" {
        en: "`{name}` is a chart or an artifact of a registry, and files are only taken from Git repositories; set `ref` on a source that is one",
        ko: "`{name}`은(는) 차트 또는 레지스트리의 아티팩트입니다. 파일은 Git 저장소에서만 가져오므로 Git 소스에 `ref`를 지정하십시오",
    }
    /// A source's `ref` is no name.
    REFERENCE_NAME = "source.reference-name" {
        en: "the `ref` `{name}` of a source has other signs than letters, digits, `_` and `-`; rename it",
        ko: "소스의 `ref` `{name}`에 영문자, 숫자, `_`, `-` 외의 문자가 있습니다. 이름을 바꾸십시오",
    }
    /// Two sources with one `ref`.
    REFERENCE_TWICE = "source.reference-twice" {
        en: "several sources have the `ref` `{name}`; rename all but one",
        ko: "여러 소스의 `ref`가 `{name}`(으)로 같습니다. 하나만 남기고 이름을 바꾸십시오",
    }
    /// A tool that is not there yet.
    TOOL_NOT_SUPPORTED = "source.tool-not-supported" {
        en: "`{path}` needs {tool}, which is not supported yet; render it into plain manifests or a kustomization",
        ko: "`{path}`에는 {tool}이(가) 필요하지만 아직 지원하지 않습니다. 일반 매니페스트나 kustomization으로 바꾸십시오",
    }
    /// An Application in Git.
    APPLICATION_NOT_SUPPORTED = "source.application-not-supported" {
        en: "{kind} manifests in Git are not supported yet; create it with `argocd app create` or the API and remove or exclude the file",
        ko: "Git에 있는 {kind} 매니페스트는 아직 지원하지 않습니다. `argocd app create`나 API로 만들고 파일을 지우거나 제외하십시오",
    }
    /// A file is wanted of a submodule to which there is no way.
    SUBMODULE = "source.submodule" {
        en: "`{path}` is a submodule of `{url}`, and there is no way into that repository; connect it, or take the submodule out",
        ko: "`{path}`은(는) `{url}`의 서브모듈인데 그 저장소에 접근할 방법이 없습니다. 저장소를 연결하거나 서브모듈을 제거하십시오",
    }
    /// A kustomization takes something of a submodule that is not to be fetched.
    SUBMODULE_LEFT_OUT = "source.submodule-left-out" {
        en: "`{resource}`, named in {field}, is in the submodule `{path}`, and `.gitmodules` says `update = none` of it, so that nothing of it is fetched; take that line out, or take `{resource}` out of {field}",
        ko: "{field}에 지정된 `{resource}`은(는) 서브모듈 `{path}`에 있는데, `.gitmodules`에 이 서브모듈의 `update = none`이 있어 아무것도 가져오지 않습니다. 그 줄을 지우거나 {field}에서 `{resource}`을(를) 빼십시오",
    }
    /// An address whose scheme the tenant's settings leave out.
    SCHEME_OFF = "source.scheme-off" {
        en: "`{url}` is of a scheme that the setting `helm.valuesFileSchemes` does not name; add the scheme there, or keep the file in a repository",
        ko: "`{url}`의 스킴이 설정 `helm.valuesFileSchemes`에 없습니다. 설정에 스킴을 추가하거나 파일을 저장소에 두십시오",
    }
    /// A submodule without an address.
    SUBMODULE_ADDRESS = "source.submodule-address" {
        en: "`.gitmodules` names no repository that can be fetched for the submodule `{path}`; correct its `url` (`git submodule add` writes it), or take the submodule out",
        ko: "`.gitmodules`에 서브모듈 `{path}`을(를) 가져올 저장소가 없습니다. `url`을 고치거나(`git submodule add`가 작성합니다) 서브모듈을 제거하십시오",
    }
    /// A file of Git's own format that Git does not understand.
    SETTINGS_UNREADABLE = "source.settings-unreadable" {
        en: "Git does not understand the file; correct it (`git config --file` says where it is broken)",
        ko: "Git이 파일을 이해하지 못합니다. 고치십시오(`git config --file`이 잘못된 곳을 알려 줍니다)",
    }
    /// A file is kept in Git LFS.
    LFS_NOT_SUPPORTED = "source.lfs-not-supported" {
        en: "`{path}` is kept in Git LFS, from which nothing is fetched, whatever `enableLfs` says; keep manifests, values and charts in Git itself (`git lfs untrack`, then commit the file)",
        ko: "`{path}`은(는) Git LFS에 있습니다. `enableLfs` 설정과 관계없이 LFS에서는 가져오지 않으므로 매니페스트, 값, 차트는 Git 자체에 보관하십시오(`git lfs untrack` 후 파일을 커밋)",
    }
    /// A variable's value does not fit on a line of YAML.
    VARIABLE_UNSAFE = "source.variable-unsafe" {
        en: "the value of the variable `{name}` is not one line of at most 1024 ASCII letters, digits and `-_./:@+=~` that begins and ends with a letter, a digit, `_` or `/`; correct it in the tenant's settings",
        ko: "변수 `{name}`의 값은 ASCII 문자, 숫자, `-_./:@+=~`로 된 1024자 이하의 한 줄이어야 하고 문자, 숫자, `_`, `/` 중 하나로 시작하고 끝나야 합니다. 테넌트 설정에서 고치십시오",
    }
    /// A render that is not tried for a moment.
    HELD_BACK = "source.held-back" {
        en: "this failed {times} times in a row and is not tried again before {next}, unless something changes or a hard refresh asks for it",
        ko: "연속 {times}번 실패하여 {next} 전에는 다시 시도하지 않습니다. 변경이 있거나 강제 새로 고침(hard refresh)을 하면 바로 시도합니다",
    }
    /// Nothing that a person at the other end can mend.
    INTERNAL = "source.internal" {
        en: "the repository could not be read because of an error of the platform; it is tried again",
        ko: "플랫폼 오류로 저장소를 읽지 못했습니다. 다시 시도합니다",
    }
    /// There is no room for what is fetched.
    DISK_FULL = "source.disk-full" {
        en: "the platform's disk for repositories is full, so that nothing new can be fetched; it is tried again, and the operator has to make room",
        ko: "플랫폼의 저장소 디스크가 가득 차 새로 가져올 수 없습니다. 다시 시도하며, 운영자가 공간을 확보해야 합니다",
    }
    /// No repo-server answers.
    REPO_SERVER_UNAVAILABLE = "source.repo-server-unavailable" {
        en: "the platform's repo-server does not answer at the moment; it is tried again",
        ko: "현재 플랫폼의 저장소 서버(repo-server)가 응답하지 않습니다. 다시 시도합니다",
    }
}
