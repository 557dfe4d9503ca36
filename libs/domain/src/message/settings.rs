//! Messages about a tenant's settings. Those about a value get `object` and `key` from whoever checks it.

messages! {
    /// No object of that name.
    UNKNOWN_OBJECT = "settings.unknown-object" {
        en: "there is no settings object `{object}` (for the key `{key}`); use one of {known}, or `secret/<name>` for a secret of your own",
        ko: "설정 객체 `{object}`은(는) 없습니다(키 `{key}`). {known} 가운데 하나를 쓰거나, 직접 만드는 비밀이면 `secret/<이름>`을 쓰십시오",
    }
    /// No key of that name.
    UNKNOWN_KEY = "settings.unknown-key" {
        en: "`{object}` has no key `{key}`; the settings' description lists those there are",
        ko: "`{object}`에 `{key}` 키가 없습니다. 사용할 수 있는 키는 설정 설명에 나옵니다",
    }
    /// No key of that name, but one like it.
    UNKNOWN_KEY_NEAR = "settings.unknown-key-near" {
        en: "`{object}` has no key `{key}`; did you mean `{near}`?",
        ko: "`{object}`에 `{key}` 키가 없습니다. `{near}`을(를) 쓰려던 것입니까?",
    }
    /// Longer than a value may be.
    TOO_LONG = "settings.too-long" {
        en: "the value of `{key}` in `{object}` has more than {limit} bytes; shorten it",
        ko: "`{object}`의 `{key}` 값이 {limit}바이트를 넘습니다. 줄이십시오",
    }
    /// More than a tenant may have.
    TOO_MUCH = "settings.too-much" {
        en: "the settings have more than {keys} keys or {bytes} bytes in all; take some away (`{object}` `{key}`)",
        ko: "설정이 모두 합쳐 키 {keys}개 또는 {bytes}바이트를 넘습니다. 일부를 지우십시오(`{object}` `{key}`)",
    }
    /// A policy that is too long only with the other keys that it stands in.
    POLICIES_TOO_LONG = "settings.policies-too-long" {
        en: "`policy.csv` and all `policy.<name>.csv` of `{object}` are one policy, which with this `{key}` has {bytes} bytes, and may have {limit}; nothing was changed: shorten it, put what projects give into their roles, and people into groups",
        ko: "`{object}`의 `policy.csv`와 모든 `policy.<이름>.csv`는 하나의 정책이며, 이 `{key}`까지 합치면 {bytes}바이트로 한도인 {limit}바이트를 넘습니다. 아무것도 바뀌지 않았습니다. 정책을 줄이고, 프로젝트의 권한은 프로젝트 역할에, 사람은 그룹에 넣으십시오",
    }
    /// A NUL.
    NOT_TEXT = "settings.not-text" {
        en: "`{key}` in `{object}` holds a NUL character; write plain text",
        ko: "`{object}`의 `{key}`에 NUL 문자가 있습니다. 일반 텍스트로 쓰십시오",
    }
    /// No boolean.
    NOT_BOOL = "settings.not-bool" {
        en: "`{key}` in `{object}` must be `true` or `false`",
        ko: "`{object}`의 `{key}`은(는) `true` 또는 `false`여야 합니다",
    }
    /// No whole number.
    NOT_INTEGER = "settings.not-integer" {
        en: "`{key}` in `{object}` must be a whole number that is not negative",
        ko: "`{object}`의 `{key}`은(는) 0 이상의 정수여야 합니다",
    }
    /// No duration.
    NOT_DURATION = "settings.not-duration" {
        en: "`{key}` in `{object}` must be a duration such as `24h`, `90s` or `1h30m`",
        ko: "`{object}`의 `{key}`은(는) `24h`, `90s`, `1h30m` 같은 기간이어야 합니다",
    }
    /// No address.
    NOT_URL = "settings.not-url" {
        en: "`{key}` in `{object}` must be an address that begins with `https://` or `http://`",
        ko: "`{object}`의 `{key}`은(는) `https://` 또는 `http://`로 시작하는 주소여야 합니다",
    }
    /// No regular expression.
    NOT_PATTERN = "settings.not-pattern" {
        en: "`{key}` in `{object}` must be a regular expression of moderate size, such as `^[a-z0-9]+$`",
        ko: "`{object}`의 `{key}`은(는) `^[a-z0-9]+$` 같은 적당한 크기의 정규식이어야 합니다",
    }
    /// No label key.
    NOT_LABEL = "settings.not-label" {
        en: "`{key}` in `{object}` must be the key of a Kubernetes label, such as `app.kubernetes.io/instance`",
        ko: "`{object}`의 `{key}`은(는) `app.kubernetes.io/instance` 같은 쿠버네티스 레이블 키여야 합니다",
    }
    /// A label that nobody would read again.
    LABEL_UNREAD = "settings.label-unread" {
        en: "with `application.resourceTrackingMethod: label` the label alone names the application, and Naru reads `{read}` and no other; take `{key}` (`{label}`) out of `{object}`, or choose `annotation+label`, which takes any",
        ko: "`application.resourceTrackingMethod: label`에서는 레이블만이 애플리케이션을 가리키며 Naru는 `{read}`만 읽습니다. `{object}`에서 `{key}`(`{label}`)을(를) 지우거나, 어떤 레이블이든 쓸 수 있는 `annotation+label`을 고르십시오",
    }
    /// None of the words.
    NOT_ONE_OF = "settings.not-one-of" {
        en: "`{key}` in `{object}` must be one of: {words}",
        ko: "`{object}`의 `{key}`은(는) 다음 가운데 하나여야 합니다: {words}",
    }
    /// No YAML.
    NOT_YAML = "settings.not-yaml" {
        en: "`{key}` in `{object}` must be YAML, but {why}",
        ko: "`{object}`의 `{key}`은(는) YAML이어야 합니다: {why}",
    }
    /// No mapping.
    NOT_MAPPING = "settings.not-mapping" {
        en: "`{key}` in `{object}` must be a YAML mapping",
        ko: "`{object}`의 `{key}`은(는) YAML 매핑이어야 합니다",
    }
    /// No list.
    NOT_LIST = "settings.not-list" {
        en: "`{key}` in `{object}` must be a YAML list",
        ko: "`{object}`의 `{key}`은(는) YAML 목록이어야 합니다",
    }
    /// No list of kinds.
    NOT_KINDS = "settings.not-kinds" {
        en: "`{what}` in `{key}` of `{object}` does not name kinds; write a list of entries with `apiGroups`, `kinds` and `clusters`, each a list of texts; groups and clusters may be globs",
        ko: "`{object}`의 `{key}`에 쓴 `{what}`은(는) 종류를 가리키지 않습니다. `apiGroups`, `kinds`, `clusters`가 각각 문자열 목록인 항목의 목록을 쓰십시오. 그룹과 클러스터에는 글롭을 쓸 수 있습니다",
    }
    /// More links than a key may have.
    LINKS_MANY = "settings.links-many" {
        en: "`{key}` in `{object}` has more than {limit} links; take some away",
        ko: "`{object}`의 `{key}`에 링크가 {limit}개를 넘습니다. 일부를 지우십시오",
    }
    /// No link.
    LINK_NONE = "settings.link-none" {
        en: "item {number} of `{key}` in `{object}` is no link; write a YAML mapping with `title` and `url`",
        ko: "`{object}`의 `{key}` {number}번째 항목은 링크가 아닙니다. `title`과 `url`이 있는 YAML 매핑으로 쓰십시오",
    }
    /// A field that a link does not have, or that is no text.
    LINK_FIELD = "settings.link-field" {
        en: "`{field}` of link {number} of `{key}` in `{object}` is no field of a link, or no text; a link has `title` and `url`, and may have `description`, `icon.class` and `if`, each a text (in quotes where it looks like a number)",
        ko: "`{object}`의 `{key}` {number}번째 링크의 `{field}`은(는) 링크의 필드가 아니거나 텍스트가 아닙니다. 링크에는 `title`과 `url`이 있고 `description`, `icon.class`, `if`를 둘 수 있으며 모두 텍스트입니다(숫자처럼 보이면 따옴표로 감싸십시오)",
    }
    /// A link without its name or its address.
    LINK_LACKS = "settings.link-lacks" {
        en: "link {number} of `{key}` in `{object}` has no `{field}`; write one",
        ko: "`{object}`의 `{key}` {number}번째 링크에 `{field}`이(가) 없습니다. 쓰십시오",
    }
    /// A word of a link's template or condition that is not understood.
    LINK_WORD = "settings.link-word" {
        en: "`{word}` (character {at} of `{field}` of link {number} of `{key}` in `{object}`) is not understood; write it without, the documentation on deep links lists the words that there are",
        ko: "`{object}`의 `{key}` {number}번째 링크 `{field}`의 {at}번째 글자에 있는 `{word}`을(를) 이해할 수 없습니다. 빼고 쓰십시오. 쓸 수 있는 낱말은 딥 링크 문서에 나옵니다",
    }
    /// A link's template or condition that ends too early.
    LINK_END = "settings.link-end" {
        en: "`{field}` of link {number} of `{key}` in `{object}` ends before it is complete; close what is open (braces, brackets, quotes, `if`)",
        ko: "`{object}`의 `{key}` {number}번째 링크의 `{field}`이(가) 끝맺지 않고 끝납니다. 열린 것(중괄호, 괄호, 따옴표, `if`)을 닫으십시오",
    }
    /// A link's template or condition that is longer or deeper than it may be.
    LINK_TOO_LARGE = "settings.link-too-large" {
        en: "`{field}` of link {number} of `{key}` in `{object}` is longer, or nested deeper, than it may be (4096 bytes, 32 levels); make it simpler",
        ko: "`{object}`의 `{key}` {number}번째 링크의 `{field}`이(가) 허용되는 길이나 중첩(4096바이트, 32단계)을 넘습니다. 더 간단하게 쓰십시오",
    }
    /// Too many answers of links are being made at once.
    LINKS_BUSY = "settings.links-busy" {
        en: "links are being made for {limit} others already, as many as may be at once; try again in a moment, or make the conditions of the links simpler",
        ko: "이미 다른 {limit}곳의 링크를 만드는 중이며 동시에 할 수 있는 한도입니다. 잠시 후 다시 시도하거나 링크의 조건을 더 간단하게 쓰십시오",
    }
    /// No capability.
    NOT_CAPABILITY = "settings.not-capability" {
        en: "`{word}` in `{key}` of `{object}` is no capability; write `login`, `apiKey`, or both with a comma",
        ko: "`{object}`의 `{key}`에 쓴 `{word}`은(는) 기능이 아닙니다. `login`, `apiKey` 또는 쉼표로 둘 다 쓰십시오",
    }
    /// No shells.
    NOT_SHELLS = "settings.not-shells" {
        en: "`{key}` in `{object}` must be names of programs with commas between, such as `bash,sh`; at most {limit} of them",
        ko: "`{object}`의 `{key}`은(는) `bash,sh`처럼 쉼표로 구분한 프로그램 이름이어야 하며 최대 {limit}개입니다",
    }
    /// An option of `kustomize build` that is not taken.
    BUILD_OPTION = "settings.build-option" {
        en: "`{option}` in `{key}` of `{object}` is not taken; of kustomize's options there are `--enable-helm` and `--load-restrictor` with `LoadRestrictionsNone` or `LoadRestrictionsRootOnly`",
        ko: "`{object}`의 `{key}`에 쓴 `{option}`은(는) 받지 않습니다. 쓸 수 있는 kustomize 옵션은 `--enable-helm`과 `--load-restrictor`(`LoadRestrictionsNone` 또는 `LoadRestrictionsRootOnly`)입니다",
    }
    /// No password hash.
    NOT_HASH = "settings.not-hash" {
        en: "`{key}` in `{object}` must be a bcrypt hash of cost 4 to {cost}; `argocd account bcrypt --password <password>` makes one",
        ko: "`{object}`의 `{key}`은(는) 비용 4~{cost}의 bcrypt 해시여야 합니다. `argocd account bcrypt --password <비밀번호>`로 만들 수 있습니다",
    }
    /// No time.
    NOT_TIME = "settings.not-time" {
        en: "`{key}` in `{object}` must be a time such as `2006-01-02T15:04:05Z`",
        ko: "`{object}`의 `{key}`은(는) `2006-01-02T15:04:05Z` 같은 시각이어야 합니다",
    }
    /// No list of tokens.
    NOT_TOKENS = "settings.not-tokens" {
        en: "`{key}` in `{object}` must be a JSON list of tokens with `id` and `iat`, each id once",
        ko: "`{object}`의 `{key}`은(는) `id`와 `iat`가 있는 토큰의 JSON 목록이어야 하며 id는 겹칠 수 없습니다",
    }
    /// No policy.
    NOT_POLICY = "settings.not-policy" {
        en: "line {line} of `{key}` in `{object}` is no policy; write `p, <subject>, <resource>, <action>, <object>, allow|deny` or `g, <subject>, <role>`",
        ko: "`{object}`의 `{key}` {line}번째 줄은 정책이 아닙니다. `p, <주체>, <리소스>, <동작>, <대상>, allow|deny` 또는 `g, <주체>, <역할>` 형식으로 쓰십시오",
    }
    /// An empty secret would let everybody sign.
    EMPTY_SECRET = "settings.empty-secret" {
        en: "`{key}` in `{object}` must not be empty; take the key away instead",
        ko: "`{object}`의 `{key}`은(는) 비워 둘 수 없습니다. 대신 키를 지우십시오",
    }
    /// An account's name that is too long.
    ACCOUNT_NAME = "settings.account-name" {
        en: "the account name in `{key}` of `{object}` has more than 32 bytes; choose a shorter one than `{name}`",
        ko: "`{object}`의 `{key}`에 있는 계정 이름이 32바이트를 넘습니다. `{name}`보다 짧은 이름을 고르십시오",
    }
    /// The admin's keys have names of their own.
    ADMIN_KEY = "settings.admin-key" {
        en: "`{key}` in `{object}` says nothing of the admin; write `admin.{what}`",
        ko: "`{object}`의 `{key}`은(는) admin 계정에 쓰이지 않습니다. `admin.{what}`을(를) 쓰십시오",
    }
    /// A key of an account that there is not.
    ACCOUNT_MISSING = "settings.account-missing" {
        en: "`{key}` in `{object}` needs the account; set `accounts.{name}` in `argocd-cm` to its capabilities",
        ko: "`{object}`의 `{key}`에는 계정이 필요합니다. `argocd-cm`의 `accounts.{name}`에 기능을 지정하십시오",
    }
    /// A reference that leads nowhere.
    REFERENCE_MISSING = "settings.reference-missing" {
        en: "`{key}` in `{object}` refers to `{reference}`, which is not there; set that key of `argocd-secret`, or of `secret/<name>` for `$<name>:<key>`",
        ko: "`{object}`의 `{key}`이(가) 가리키는 `{reference}`이(가) 없습니다. `argocd-secret`의 키를, `$<이름>:<키>`이면 `secret/<이름>`의 키를 지정하십시오",
    }
    /// Somebody else was quicker.
    CHANGED = "settings.changed" {
        en: "the settings were changed since version {expected}; read them again and repeat the change",
        ko: "설정이 버전 {expected} 이후 바뀌었습니다. 다시 읽고 변경을 되풀이하십시오",
    }
}
