//! Messages about the policy of rights.

messages! {
    /// A line begins with something else than `p` or `g`.
    LINE_KIND = "rbac.line-kind" {
        en: "a line of the policy begins with `p` or `g`, not `{kind}`",
        ko: "정책의 각 줄은 `{kind}`이(가) 아니라 `p` 또는 `g`로 시작해야 합니다",
    }
    /// A rule has too few or too many fields.
    RULE_SHAPE = "rbac.rule-shape" {
        en: "`{line}` is not a rule; write `p, subject, resource, action, object, allow` (or `deny`)",
        ko: "`{line}`은(는) 규칙이 아닙니다. `p, 주체, 리소스, 동작, 대상, allow`(또는 `deny`) 형식으로 쓰십시오",
    }
    /// A grouping has too few or too many fields.
    GROUPING_SHAPE = "rbac.grouping-shape" {
        en: "`{line}` gives nobody a role; write `g, account or group, role`",
        ko: "`{line}`은(는) 역할을 주는 줄이 아닙니다. `g, 계정 또는 그룹, 역할` 형식으로 쓰십시오",
    }
    /// A subject, group or role is empty.
    EMPTY_SUBJECT = "rbac.empty-subject" {
        en: "the line names nobody; write an account, a group or a role where the field is empty",
        ko: "이 줄에는 주체가 없습니다. 빈 필드에 계정, 그룹 또는 역할을 쓰십시오",
    }
    /// A quote never ends.
    QUOTES = "rbac.quotes" {
        en: "a quote in `{line}` does not end at the end of its field; close it, and write a quote inside as \"\"",
        ko: "`{line}`의 따옴표가 필드 끝에서 닫히지 않습니다. 따옴표를 닫고, 안쪽의 따옴표는 \"\"로 쓰십시오",
    }
    /// A word that is neither allow nor deny.
    EFFECT = "rbac.effect" {
        en: "the rule neither allows nor denies; end it with `allow` or `deny`",
        ko: "이 규칙은 허용도 거부도 하지 않습니다. `allow` 또는 `deny`로 끝내십시오",
    }
    /// There is no such resource.
    RESOURCE = "rbac.resource" {
        en: "there is no resource `{resource}`, so the rule never counts; choose one of {known}",
        ko: "`{resource}` 리소스는 없으므로 이 규칙은 적용되지 않습니다. {known} 중에서 고르십시오",
    }
    /// There is no such action.
    ACTION = "rbac.action" {
        en: "there is no action `{action}`, so the rule never counts; choose one of {known}",
        ko: "`{action}` 동작은 없으므로 이 규칙은 적용되지 않습니다. {known} 중에서 고르십시오",
    }
    /// An application's object lacks its project.
    OBJECT = "rbac.object" {
        en: "the object `{object}` names no project, so the rule never counts; write `<project>/<application>`, for example `{object}/*`",
        ko: "대상 `{object}`에 프로젝트가 없어 이 규칙은 적용되지 않습니다. `<프로젝트>/<애플리케이션>`으로, 예를 들어 `{object}/*`처럼 쓰십시오",
    }
    /// The policy is longer than one may be.
    TOO_LONG = "rbac.too-long" {
        en: "the policy is longer than {most}; put what projects give into their roles, and people into groups",
        ko: "정책이 {most}보다 깁니다. 프로젝트의 권한은 프로젝트 역할에, 사람은 그룹에 넣으십시오",
    }
    /// More problems than are told.
    MORE = "rbac.more" {
        en: "and {count} more problems; correct those that are told, and have the policy checked again",
        ko: "문제가 {count}개 더 있습니다. 표시된 문제를 고친 뒤 정책을 다시 확인하십시오",
    }
    /// A field is no glob.
    PATTERN = "rbac.pattern" {
        en: "`{field}` is not a pattern: a bracket or brace stays open, or it is too long; close it, or write \\ before it. Until then the rule allows nothing, and one that denies denies everything",
        ko: "`{field}`은(는) 패턴이 아닙니다. 괄호가 닫히지 않았거나 너무 깁니다. 닫거나 앞에 \\를 쓰십시오. 그때까지 허용 규칙은 아무것도 허용하지 않고, 거부 규칙은 모두 거부합니다",
    }
    /// A field is no regular expression.
    EXPRESSION = "rbac.expression" {
        en: "`{field}` is not a regular expression, is too large, or comes after {most} others; correct it, or set policy.matchMode to glob. Until then the rule allows nothing, and one that denies denies everything",
        ko: "`{field}`은(는) 정규식이 아니거나, 너무 크거나, 이미 {most}개가 앞에 있습니다. 고치거나 policy.matchMode를 glob으로 지정하십시오. 그때까지 허용 규칙은 아무것도 허용하지 않고, 거부 규칙은 모두 거부합니다",
    }
    /// Another word than glob or regex.
    MATCH_MODE = "rbac.match-mode" {
        en: "policy.matchMode `{mode}` is not known and counts as `glob`; write `glob` or `regex`",
        ko: "policy.matchMode `{mode}`은(는) 알 수 없어 `glob`으로 처리됩니다. `glob` 또는 `regex`로 쓰십시오",
    }
    /// The scopes are no list.
    SCOPES = "rbac.scopes" {
        en: "scopes `{scopes}` is not a list; write for example `[groups, email]`",
        ko: "scopes `{scopes}`은(는) 목록이 아닙니다. 예를 들어 `[groups, email]`처럼 쓰십시오",
    }
}
