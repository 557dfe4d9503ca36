//! Messages about accounts and their passwords.

messages! {
    /// The first password must be changed before anything else.
    MUST_CHANGE = "account.must-change" {
        en: "the password of `{name}` was set by somebody else and must be changed first; run `argocd account update-password`",
        ko: "`{name}` 계정의 비밀번호는 다른 사람이 정한 것이므로 먼저 바꿔야 합니다. `argocd account update-password`를 실행하십시오",
    }
    /// Too many passwords are being checked.
    BUSY = "account.busy" {
        en: "too many logins at once; try again in a few seconds",
        ko: "동시 로그인이 너무 많습니다. 몇 초 후 다시 시도하십시오",
    }
    /// A first password that stays what it was.
    PASSWORD_SAME = "account.password-same" {
        en: "the new password of `{name}` is the one that somebody else set; choose another",
        ko: "`{name}` 계정의 새 비밀번호가 다른 사람이 정한 비밀번호와 같습니다. 다른 것을 고르십시오",
    }
    /// A password that bcrypt would cut.
    PASSWORD_TOO_LONG = "account.password-too-long" {
        en: "a password may have at most 72 bytes; choose a shorter one",
        ko: "비밀번호는 최대 72바이트입니다. 더 짧은 것을 고르십시오",
    }
    /// A token's time that is none.
    TOKEN_EXPIRY = "account.token-expiry" {
        en: "a token cannot last {seconds} seconds; give at most 100 years, or 0 for no end",
        ko: "토큰 유효 기간으로 {seconds}초는 쓸 수 없습니다. 최대 100년, 또는 끝이 없으면 0을 지정하십시오",
    }
    /// A token's id that is none.
    TOKEN_ID = "account.token-id" {
        en: "a token's id has 1 to 253 letters, digits and any of . _ - :; choose another",
        ko: "토큰 id는 문자, 숫자와 . _ - : 로 1~253자입니다. 다른 것을 고르십시오",
    }
    /// An account that has the operator grant.
    OPERATORS = "account.operators" {
        en: "`{name}` runs the platform: only an operator may change its password, its tokens and its settings; ask one",
        ko: "`{name}` 계정은 플랫폼을 운영합니다. 비밀번호, 토큰, 설정은 운영자만 바꿀 수 있으니 운영자에게 요청하십시오",
    }
}
