//! Messages about tenants.

messages! {
    /// The name is not a DNS label.
    INVALID_NAME = "tenant.invalid-name" {
        en: "`{name}` is not a tenant name; use 1 to 63 lower-case letters, digits and inner hyphens",
        ko: "`{name}`은(는) 테넌트 이름이 될 수 없습니다. 소문자, 숫자, 중간 하이픈으로 1~63자를 쓰십시오",
    }
    /// The name belongs to the platform or to Kubernetes.
    RESERVED_NAME = "tenant.reserved-name" {
        en: "the tenant name `{name}` is reserved; choose another",
        ko: "테넌트 이름 `{name}`은(는) 예약되어 있습니다. 다른 이름을 고르십시오",
    }
    /// A tenant of that name is there already.
    EXISTS = "tenant.exists" {
        en: "a tenant named `{name}` already exists",
        ko: "`{name}` 테넌트가 이미 있습니다",
    }
    /// No tenant has that name.
    NOT_FOUND = "tenant.not-found" {
        en: "there is no tenant named `{name}`",
        ko: "`{name}` 테넌트가 없습니다",
    }
    /// A host is taken by another tenant.
    HOST_TAKEN = "tenant.host-taken" {
        en: "the host `{host}` is already in use; give the tenant another",
        ko: "호스트 `{host}`은(는) 이미 쓰이고 있습니다. 다른 호스트를 지정하십시오",
    }
    /// A namespace is taken by another tenant.
    NAMESPACE_TAKEN = "tenant.namespace-taken" {
        en: "the namespace `{namespace}` is already in use; choose another tenant name, or release the namespace from the tenant that has it",
        ko: "네임스페이스 `{namespace}`은(는) 이미 쓰이고 있습니다. 다른 테넌트 이름을 고르거나, 그 네임스페이스를 가진 테넌트에서 해제하십시오",
    }
    /// Nobody gets in.
    SUSPENDED = "tenant.suspended" {
        en: "this tenant is suspended; ask the operator to resume it",
        ko: "이 테넌트는 정지되었습니다. 운영자에게 재개를 요청하십시오",
    }
    /// Nobody gets in any more.
    DELETING = "tenant.deleting" {
        en: "this tenant is being deleted",
        ko: "이 테넌트는 삭제되고 있습니다",
    }
    /// The operator's own tenant is neither suspended nor deleted.
    OPERATORS_OWN = "tenant.operators-own" {
        en: "the operator's own tenant can be neither suspended nor deleted",
        ko: "운영자 자신의 테넌트는 정지하거나 삭제할 수 없습니다",
    }
    /// Deletion needs a word about the export.
    EXPORT_FIRST = "tenant.export-first" {
        en: "nothing of `{name}` can be had again once it is deleted; export it and set export_acknowledged, or set without_export",
        ko: "`{name}`을(를) 삭제하면 되돌릴 수 없습니다. 내보낸 뒤 export_acknowledged를 지정하거나 without_export를 지정하십시오",
    }
    /// Something of the tenant still goes.
    STILL_GOING = "tenant.still-going" {
        en: "`{name}` is not deleted yet: {left}; call again",
        ko: "`{name}`의 삭제가 아직 끝나지 않았습니다: {left}. 다시 호출하십시오",
    }
    /// A namespace whose name is another tenant's.
    NAMESPACE_RESERVED = "tenant.namespace-reserved" {
        en: "the namespace `{namespace}` has another tenant's name; choose another",
        ko: "네임스페이스 `{namespace}`은(는) 다른 테넌트의 이름입니다. 다른 이름을 고르십시오",
    }
    /// A namespace that cannot be a tenant's.
    NAMESPACE_INVALID = "tenant.namespace-invalid" {
        en: "`{namespace}` is not a namespace that a tenant can have; use a DNS label that is not reserved",
        ko: "`{namespace}`은(는) 테넌트가 가질 수 없는 네임스페이스입니다. 예약되지 않은 DNS 레이블을 쓰십시오",
    }
    /// The tenant has no such namespace.
    NAMESPACE_ABSENT = "tenant.namespace-absent" {
        en: "the namespace `{namespace}` is not mapped to this tenant",
        ko: "네임스페이스 `{namespace}`은(는) 이 테넌트의 것이 아닙니다",
    }
    /// The tenant's own namespace stays with it.
    NAMESPACE_HOME = "tenant.namespace-home" {
        en: "the namespace `{namespace}` is the tenant's own and goes only with it",
        ko: "네임스페이스 `{namespace}`은(는) 테넌트 자신의 것이므로 테넌트와 함께만 없어집니다",
    }
    /// An application still uses it.
    NAMESPACE_USED = "tenant.namespace-used" {
        en: "an application still goes to the namespace `{namespace}` or has objects there; delete or move it first",
        ko: "아직 애플리케이션이 네임스페이스 `{namespace}`을(를) 쓰고 있습니다. 먼저 그 애플리케이션을 삭제하거나 옮기십시오",
    }
    /// As many as are allowed.
    QUOTA_REACHED = "tenant.quota-reached" {
        en: "quota of {quota} reached: {used} of {allowed} in use; delete some, or ask the operator for more",
        ko: "{quota} 할당량에 도달했습니다: {allowed}개 중 {used}개 사용 중. 일부를 삭제하거나 운영자에게 늘려 달라고 요청하십시오",
    }
    /// As much as is allowed in a minute.
    RATE_REACHED = "tenant.rate-reached" {
        en: "quota of {quota} reached: {used} of {allowed} in this minute; try again in {seconds} s",
        ko: "{quota} 할당량에 도달했습니다: 1분에 {allowed}개 중 {used}개 사용. {seconds}초 뒤에 다시 시도하십시오",
    }
    /// No quota has that name.
    QUOTA_UNKNOWN = "tenant.quota-unknown" {
        en: "there is no quota `{quota}`; there are: {known}",
        ko: "`{quota}` 할당량은 없습니다. 있는 것: {known}",
    }
    /// A record could not be written, so nothing was done.
    NOT_RECORDED = "tenant.not-recorded" {
        en: "the call could not be written into the audit record, so nothing was done; try again",
        ko: "호출을 감사 기록에 남길 수 없어 아무것도 하지 않았습니다. 다시 시도하십시오",
    }
    /// A field of a query is not what it should be.
    QUERY_INVALID = "tenant.query-invalid" {
        en: "{field} is not understood: `{value}`",
        ko: "{field}을(를) 이해할 수 없습니다: `{value}`",
    }
}
