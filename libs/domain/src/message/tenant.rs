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
        en: "the namespace `{namespace}` is already in use; choose another tenant name",
        ko: "네임스페이스 `{namespace}`은(는) 이미 쓰이고 있습니다. 다른 테넌트 이름을 고르십시오",
    }
}
