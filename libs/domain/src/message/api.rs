//! Messages about requests and the services behind them.

messages! {
    /// A defect; the log says more.
    INTERNAL = "api.internal" {
        en: "the platform made a mistake; its log says which",
        ko: "플랫폼 내부 오류가 발생했습니다. 자세한 내용은 로그에 있습니다",
    }
    /// The database does not answer.
    DATABASE_AWAY = "api.database-away" {
        en: "the platform cannot reach its database at the moment; try again in a few seconds",
        ko: "지금 플랫폼이 데이터베이스에 연결할 수 없습니다. 몇 초 후 다시 시도하십시오",
    }
    /// No controller owns the cluster.
    NO_CONTROLLER = "api.no-controller" {
        en: "no controller holds the cluster at the moment; try again in a few seconds",
        ko: "지금 클러스터를 담당하는 컨트롤러가 없습니다. 몇 초 후 다시 시도하십시오",
    }
    /// No repo-server answers.
    NO_REPO_SERVER = "api.no-repo-server" {
        en: "no repo-server answers at the moment; try again in a few seconds",
        ko: "지금 응답하는 repo-server가 없습니다. 몇 초 후 다시 시도하십시오",
    }
    /// The call is not there yet.
    NOT_SERVED = "api.not-served" {
        en: "this version of the platform does not serve `{method}`",
        ko: "이 버전의 플랫폼은 `{method}`을(를) 지원하지 않습니다",
    }
    /// A request names a tenant without a host.
    HOST_MISSING = "api.host-missing" {
        en: "a tenant needs a host of its own; name one in `hosts`",
        ko: "테넌트에는 고유한 호스트가 필요합니다. `hosts`에 하나를 지정하십시오",
    }
    /// A request names a host that is none.
    HOST_INVALID = "api.host-invalid" {
        en: "`{host}` is not a host; write a name or an address without scheme and port",
        ko: "`{host}`은(는) 호스트가 아닙니다. 스킴과 포트 없이 이름이나 주소를 쓰십시오",
    }
    /// A language that the catalogue does not have.
    LANGUAGE_UNKNOWN = "api.language-unknown" {
        en: "there are no messages in `{language}`; choose `en` or `ko`",
        ko: "`{language}` 메시지는 없습니다. `en` 또는 `ko`를 고르십시오",
    }
    /// A declared variable has a name or value that cannot be substituted.
    VARIABLE_INVALID = "api.variable-invalid" {
        en: "the variable `{name}` cannot be declared: names are capitals, digits and underscores, values one line of at most 1024 ASCII letters, digits and `-_./:@+=~` that begins and ends with a letter, a digit, `_` or `/`",
        ko: "변수 `{name}`을(를) 선언할 수 없습니다. 이름은 대문자, 숫자, 밑줄만, 값은 ASCII 문자, 숫자와 `-_./:@+=~`로 된 1024자 이하의 한 줄로, 문자, 숫자, `_`, `/` 중 하나로 시작하고 끝나야 합니다",
    }
    /// A password is too long for bcrypt.
    PASSWORD_LENGTH = "api.password-length" {
        en: "a password has 8 to 72 bytes",
        ko: "비밀번호는 8~72바이트여야 합니다",
    }
    /// The kind of repository is not served.
    REPOSITORY_KIND = "api.repository-kind" {
        en: "there are no repositories of type `{kind}`; use `git`, `helm` or `oci`",
        ko: "`{kind}` 유형의 저장소는 없습니다. `git`, `helm` 또는 `oci`를 사용하십시오",
    }
    /// A way into a repository that is not served.
    REPOSITORY_LOGIN = "api.repository-login" {
        en: "the login `{field}` is not served yet; use a username and password, a bearer token, an SSH key, a client certificate or a GitHub App",
        ko: "`{field}` 로그인 방식은 아직 지원되지 않습니다. 사용자 이름과 비밀번호, 베어러 토큰, SSH 키, 클라이언트 인증서 또는 GitHub App을 사용하십시오",
    }
    /// The process stops while somebody waits.
    STOPPING = "api.stopping" {
        en: "this server is restarting; try again",
        ko: "서버가 다시 시작되고 있습니다. 다시 시도하십시오",
    }
    /// An address has a password in it.
    ADDRESS_WITH_PASSWORD = "api.address-with-password" {
        en: "the repository address `{url}` must not contain a password, since addresses are shown; take it out, and connect the repository with its username and password (argocd repo add)",
        ko: "저장소 주소 `{url}`에 비밀번호를 넣을 수 없습니다. 주소는 화면에 표시됩니다. 비밀번호를 빼고 사용자 이름과 비밀번호로 저장소를 연결하십시오 (argocd repo add)",
    }
    /// An application is larger than any should be.
    APPLICATION_TOO_LARGE = "api.application-too-large" {
        en: "the application `{name}` has {size} bytes, more than the {limit} that one may have; move inline values into the repository",
        ko: "애플리케이션 `{name}`은(는) {size}바이트로 한도 {limit}바이트를 넘습니다. 인라인 값을 저장소로 옮기십시오",
    }
    /// A request has a larger body than its call can need.
    BODY_TOO_LARGE = "api.body-too-large" {
        en: "the request's body is larger than the {limit} bytes that this call takes; send less in one request",
        ko: "요청 본문이 이 호출에서 받을 수 있는 {limit}바이트보다 큽니다. 한 번에 보내는 양을 줄이십시오",
    }
    /// A request's body does not come.
    BODY_SLOW = "api.body-slow" {
        en: "the request's body did not arrive within {seconds} s; send it again over a faster connection, or in smaller requests",
        ko: "요청 본문이 {seconds}초 안에 도착하지 않았습니다. 더 빠른 연결로 다시 보내거나 요청을 나누십시오",
    }
    /// Too much of requests' bodies is held at once.
    BODIES_FULL = "api.bodies-full" {
        en: "requests being received hold the {limit} bytes that they may hold together; try again when they are done",
        ko: "수신 중인 요청들이 함께 쓸 수 있는 {limit}바이트를 모두 쓰고 있습니다. 끝난 뒤 다시 시도하십시오",
    }
    /// A source has sent too much that is nobody's.
    STRANGERS_REACHED = "api.strangers-reached" {
        en: "{allowed} requests of this minute from your address were nobody's: without a token that counts, or to a host that is not served here; sign in, or try again in {seconds} s",
        ko: "이번 1분 동안 이 주소에서 온 요청 {allowed}개가 유효한 토큰이 없거나 여기서 제공하지 않는 호스트로 온 것입니다. 로그인하거나 {seconds}초 뒤에 다시 시도하십시오",
    }
}
