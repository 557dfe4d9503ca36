//! Messages of the lints.

messages! {
    /// A field that the kind does not have was dropped before applying.
    UNKNOWN_FIELD = "lint.unknown-field" {
        en: "`{field}` is not a field of {kind}, so it has no effect",
        ko: "`{field}`은(는) {kind}에 없는 필드이므로 아무 효과가 없습니다",
    }
    /// A kustomization under a name that no tool reads.
    MISNAMED_KUSTOMIZATION = "lint.misnamed-kustomization" {
        en: "this kustomization has no effect: no tool reads a file of this name; rename it to kustomization.yaml (the folder is deployed as plain files now)",
        ko: "이 kustomization은 효과가 없습니다. 이 이름의 파일은 어떤 도구도 읽지 않으므로 kustomization.yaml로 바꾸십시오 (지금은 폴더의 파일이 그대로 배포됩니다)",
    }
    /// An image override that changes nothing.
    IMAGE_OVERRIDE_UNMATCHED = "lint.image-override-unmatched" {
        en: "the image override for `{name}` matches no image, so its tag never reaches a pod; the images here are {images}",
        ko: "`{name}`에 대한 이미지 재정의가 어떤 이미지와도 맞지 않아 태그가 파드에 적용되지 않습니다. 여기 있는 이미지는 {images}입니다",
    }
    /// An image override where nothing has an image.
    IMAGE_OVERRIDE_WITHOUT_IMAGES = "lint.image-override-without-images" {
        en: "the image override for `{name}` has no effect: there are no images here; delete it, or add what it is for to the resources",
        ko: "여기에는 이미지가 없으므로 `{name}`에 대한 이미지 재정의는 아무 효과가 없습니다. 지우거나 대상이 되는 리소스를 추가하십시오",
    }
    /// A tag that YAML reads as a number.
    TAG_IS_NUMBER = "lint.tag-is-number" {
        en: "the tag {tag} is read as a number and kustomize refuses it; put it in quotes: newTag: \"{tag}\"",
        ko: "태그 {tag}이(가) 숫자로 읽혀 kustomize가 거부합니다. 따옴표로 감싸십시오: newTag: \"{tag}\"",
    }
    /// A placeholder that stayed.
    UNDECLARED_VARIABLE = "lint.undeclared-variable" {
        en: "`{variable}` stays as it is: no variable of that name is replaced in this application's files; write the value, or ask the operator, who alone declares variables (`variables` of the tenant, PUT /api/naru/v1/tenants/NAME); where variables are off, switch them on by the annotation naru.io/variables: enabled",
        ko: "`{variable}`이(가) 그대로 남습니다. 이 애플리케이션의 파일에서 치환되는 변수가 아닙니다. 값을 직접 쓰거나, 변수를 선언할 수 있는 운영자에게 요청하십시오 (테넌트의 `variables`, PUT /api/naru/v1/tenants/NAME). 변수가 꺼져 있으면 naru.io/variables: enabled 어노테이션으로 켜십시오",
    }
    /// A key written twice.
    DUPLICATE_KEY = "lint.duplicate-key" {
        en: "`{key}` is written twice in one mapping; only the last one counts, remove the other",
        ko: "한 매핑에 `{key}`이(가) 두 번 쓰여 마지막 것만 적용됩니다. 하나를 지우십시오",
    }
    /// A glob that cannot be read.
    BAD_PATTERN = "lint.bad-pattern" {
        en: "`{pattern}` is not a valid file pattern and matches nothing; correct spec.source.directory",
        ko: "`{pattern}`은(는) 올바른 파일 패턴이 아니어서 아무것도 맞지 않습니다. spec.source.directory를 고치십시오",
    }
    /// A field that the kind does not have, and one with nearly that name which it has.
    UNKNOWN_FIELD_SIMILAR = "lint.unknown-field-similar" {
        en: "`{field}` is not a field of {kind}, so it has no effect; did you mean `{meant}`?",
        ko: "`{field}`은(는) {kind}에 없는 필드이므로 아무 효과가 없습니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A time written as null.
    NULL_TIMESTAMP = "lint.null-timestamp" {
        en: "`{field}` of {kind} is null and was left out; delete the line",
        ko: "{kind}의 `{field}` 값이 null이어서 제외했습니다. 그 줄을 지우십시오",
    }
    /// Something in Git that the cluster writes.
    SERVER_FIELD = "lint.server-field" {
        en: "`{field}` of {kind} is written by the cluster and was left out; delete it from the file",
        ko: "{kind}의 `{field}`은(는) 클러스터가 쓰는 값이어서 제외했습니다. 파일에서 지우십시오",
    }
    /// More warnings than are shown.
    MORE = "lint.more" {
        en: "and {count} more warnings of this kind",
        ko: "같은 종류의 경고가 {count}개 더 있습니다",
    }
    /// An Ingress names a port that its Service does not have.
    INGRESS_PORT = "lint.ingress-port" {
        en: "the Ingress sends to port {port} of Service `{service}`, which has only {ports}; requests will fail until `{field}` names one of these or the Service gets port {port}",
        ko: "Ingress가 Service `{service}`의 포트 {port}(으)로 보내지만 Service에는 {ports} 포트만 있습니다. `{field}` 값을 그중 하나로 바꾸거나 Service에 포트 {port}을(를) 추가해야 요청이 처리됩니다",
    }
    /// An Ingress names a Service that is nowhere.
    INGRESS_SERVICE = "lint.ingress-service" {
        en: "the Ingress sends to Service `{service}`, which is neither in this application nor in namespace `{namespace}`; correct the name in `{field}`",
        ko: "Ingress가 Service `{service}`(으)로 보내지만 이 애플리케이션에도 네임스페이스 `{namespace}`에도 없습니다. `{field}`의 이름을 고치십시오",
    }
    /// A Service sends to a port that its pods do not open.
    SERVICE_TARGET_PORT = "lint.service-target-port" {
        en: "port {port} of the Service goes to port {target} of the pods of {workload}, whose containers declare only {ports}; set `{field}` to one of these or correct containerPort",
        ko: "Service의 포트 {port}이(가) {workload} 파드의 포트 {target}(으)로 가지만 컨테이너는 {ports}만 선언합니다. `{field}` 값을 그중 하나로 바꾸거나 containerPort를 고치십시오",
    }
    /// A Service selects no pod template of its application.
    SERVICE_SELECTOR = "lint.service-selector" {
        en: "the Service selects pods with {selector}, and no workload of this application in its namespace has these labels; the nearest is {workload} with {labels}",
        ko: "Service가 {selector} 레이블의 파드를 고르지만 이 애플리케이션의 같은 네임스페이스에 그런 레이블을 가진 워크로드가 없습니다. 가장 가까운 것은 {labels} 레이블의 {workload}입니다",
    }
    /// An image tag of digits only.
    DIGIT_TAG = "lint.digit-tag" {
        en: "the tag of image `{image}` is all digits: in a kustomization, newTag must be written in quotes (newTag: \"{tag}\"), or it is read as a number",
        ko: "이미지 `{image}`의 태그가 숫자뿐입니다. kustomization에서는 newTag를 따옴표로 감싸야 합니다 (newTag: \"{tag}\"). 그렇지 않으면 숫자로 읽힙니다",
    }
    /// An image that is none.
    IMAGE_NAME = "lint.image-name" {
        en: "`{image}` is not an image name, so that no node can pull it; write [registry/]name[:tag] with a name in small letters, digits and the signs . _ - / between them",
        ko: "`{image}`은(는) 이미지 이름이 아니어서 어떤 노드도 받을 수 없습니다. [레지스트리/]이름[:태그]로 쓰고, 이름에는 소문자와 숫자, 그 사이의 . _ - / 기호만 쓰십시오",
    }
    /// A folder without a single manifest.
    NO_MANIFESTS = "lint.no-manifests" {
        en: "`{path}` has no manifest, so nothing is deployed from it: files that end in .yaml, .yml, .json or .jsonnet (with disableExtensionFilter: any) and hold objects with a `kind` are read, and here are {files}; correct spec.source.path, or recurse, include, exclude and disableExtensionFilter of spec.source.directory",
        ko: "`{path}`에 매니페스트가 없어 아무것도 배포되지 않습니다. .yaml, .yml, .json, .jsonnet으로 끝나고(disableExtensionFilter를 켜면 모든 파일) `kind`가 있는 오브젝트를 담은 파일을 읽는데 여기에는 {files}이(가) 있습니다. spec.source.path 또는 spec.source.directory의 recurse, include, exclude, disableExtensionFilter를 고치십시오",
    }
    /// A folder that is a chart's but for `Chart.yaml`.
    TEMPLATES_WITHOUT_CHART = "lint.templates-without-chart" {
        en: "`{path}` has `templates` and `{values}` as a Helm chart, but no Chart.yaml, so its files are deployed as they are; add Chart.yaml (written just so), or correct spec.source.path",
        ko: "`{path}`에 Helm 차트처럼 `templates`와 `{values}`이(가) 있지만 Chart.yaml이 없어 파일을 그대로 배포합니다. Chart.yaml(정확히 이 이름)을 추가하거나 spec.source.path를 고치십시오",
    }
    /// A folder that two tools could build.
    CHART_BESIDE_KUSTOMIZATION = "lint.chart-beside-kustomization" {
        en: "`{path}` has both `{chart}` and `{kustomization}`: {tool} builds it, and the other file has no effect; take one of them out, or set an option of the tool that is meant (spec.source.helm or spec.source.kustomize)",
        ko: "`{path}`에 `{chart}`와 `{kustomization}`이(가) 모두 있습니다. {tool}이(가) 빌드하며 다른 파일은 효과가 없습니다. 하나를 빼거나 의도한 도구의 옵션(spec.source.helm 또는 spec.source.kustomize)을 지정하십시오",
    }
    /// Something in a repository's own options that is none.
    OPTIONS_FILE_FIELD = "lint.options-file-field" {
        en: "`{field}` has no effect: what this file may set there is {known}",
        ko: "`{field}`은(는) 효과가 없습니다. 이 파일이 그 자리에 지정할 수 있는 것은 {known}입니다",
    }
    /// Something in a repository's own options that is nearly one.
    OPTIONS_FILE_FIELD_SIMILAR = "lint.options-file-field-similar" {
        en: "`{field}` is no option, so it has no effect; did you mean `{meant}`?",
        ko: "`{field}`은(는) 옵션이 아니므로 효과가 없습니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A hook of no known kind, which nobody applies.
    UNKNOWN_HOOK = "lint.unknown-hook" {
        en: "{kind} `{name}` is never applied: `{word}` is no hook; `{annotation}` takes {known}",
        ko: "{kind} `{name}`은(는) 적용되지 않습니다. `{word}`은(는) 훅이 아닙니다. `{annotation}`에 쓸 수 있는 것은 {known}입니다",
    }
    /// The same, and a hook of nearly that name.
    UNKNOWN_HOOK_SIMILAR = "lint.unknown-hook-similar" {
        en: "{kind} `{name}` is never applied: `{word}` is no hook; did you mean `{meant}`?",
        ko: "{kind} `{name}`은(는) 적용되지 않습니다. `{word}`은(는) 훅이 아닙니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A word of an annotation that is none there.
    UNKNOWN_WORD = "lint.unknown-word" {
        en: "`{word}` has no effect: `{annotation}` takes {known}",
        ko: "`{word}`은(는) 아무 효과가 없습니다. `{annotation}`에 쓸 수 있는 것은 {known}입니다",
    }
    /// The same, and one of nearly that name.
    UNKNOWN_WORD_SIMILAR = "lint.unknown-word-similar" {
        en: "`{word}` has no effect in `{annotation}`; did you mean `{meant}`?",
        ko: "`{annotation}`의 `{word}`은(는) 아무 효과가 없습니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A wave that is no number.
    BAD_WAVE = "lint.bad-wave" {
        en: "`{value}` is no whole number, so the object is in wave {wave}; correct `{annotation}`",
        ko: "`{value}`은(는) 정수가 아니므로 오브젝트가 웨이브 {wave}에 속합니다. `{annotation}` 값을 고치십시오",
    }
    /// A sync option that is none.
    UNKNOWN_OPTION = "lint.unknown-option" {
        en: "`{option}` is no sync option, so it has no effect; there is {known}",
        ko: "`{option}`은(는) 동기화 옵션이 아니므로 아무 효과가 없습니다. 쓸 수 있는 것은 {known}입니다",
    }
    /// A sync option that is nearly one.
    UNKNOWN_OPTION_SIMILAR = "lint.unknown-option-similar" {
        en: "`{option}` is no sync option, so it has no effect; did you mean `{meant}`?",
        ko: "`{option}`은(는) 동기화 옵션이 아니므로 아무 효과가 없습니다. `{meant}`을(를) 쓰려던 것입니까?",
    }
    /// A patch for nothing that there is.
    PATCH_UNMATCHED = "lint.patch-unmatched" {
        en: "the patch for {target} has no effect: nothing here is called so (there is {objects}); correct its target, or take the patch out",
        ko: "{target}에 대한 패치는 효과가 없습니다. 여기에 그런 오브젝트가 없습니다(있는 것: {objects}). target을 고치거나 패치를 빼십시오",
    }
}
