//! Messages about who may do what.

messages! {
    /// The caller lacks the right, or the thing is not there: one answer for both.
    DENIED = "access.denied" {
        en: "permission denied",
        ko: "권한이 없습니다",
    }
    /// A JSON value of a request has another type than its field.
    JSON_SHAPE = "access.json-shape" {
        en: "`{field}` of the request must be {expected}, but is {found}; correct that field",
        ko: "요청의 `{field}` 값이 잘못되었습니다(필요: {expected}, 실제: {found}). 해당 필드를 고치십시오",
    }
    /// A field that a request has not.
    JSON_FIELD = "access.json-field" {
        en: "the request has no field `{field}`; correct or remove it, nothing was done (there are: {known})",
        ko: "요청에 `{field}` 필드가 없습니다. 고치거나 빼십시오. 아무것도 실행하지 않았습니다(있는 필드: {known})",
    }
    /// A field that a request has not, near one that it has.
    JSON_FIELD_SIMILAR = "access.json-field-similar" {
        en: "the request has no field `{field}`; did you mean `{near}`? Nothing was done",
        ko: "요청에 `{field}` 필드가 없습니다. `{near}`을(를) 쓰려 했습니까? 아무것도 실행하지 않았습니다",
    }
    /// A request that cannot be read as what its route takes.
    NOT_A_MESSAGE = "access.not-a-message" {
        en: "the request cannot be read as a {name}; send what this route takes",
        ko: "요청을 {name}(으)로 읽을 수 없습니다. 이 경로가 받는 형식으로 보내십시오",
    }
}
