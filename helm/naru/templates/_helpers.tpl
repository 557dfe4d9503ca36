{{- define "naru.labels" -}}
app.kubernetes.io/name: naru
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{- $own := list "name" "instance" "component" "version" "managed-by" }}
{{- range $label, $_ := . }}
{{- if and (hasPrefix "app.kubernetes.io/" $label) (has (trimPrefix "app.kubernetes.io/" $label) $own) }}
{{- fail (printf "commonLabels sets %s, which is set already" $label) }}
{{- end }}
{{- end }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "naru.selector" -}}
app.kubernetes.io/name: naru
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "naru.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "naru.secret" -}}
{{- required (printf "secrets.%s names no Secret: make one and set it" .name) (index .root.Values.secrets .name) }}
{{- end }}

{{/* What every container has: no root, no writable root file system, no capabilities. */}}
{{- define "naru.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* Every address of the pod's: that of IPv6 takes those of IPv4 as well, but is not there on every node. */}}
{{- define "naru.anywhere" -}}
{{- if .Values.ipv6 }}[::]{{ else }}0.0.0.0{{ end -}}
{{- end }}

{{/* The settings that every service shares. Context: root, component. */}}
{{- define "naru.commonEnv" -}}
- name: NARU_INTERNAL__CA
  value: /etc/naru/internal/ca.crt
- name: NARU_INTERNAL__CERT
  value: /etc/naru/internal/{{ .component }}.crt
- name: NARU_INTERNAL__KEY
  value: /etc/naru/internal/{{ .component }}.key
- name: NARU_METRICS_LISTEN
  value: "{{ include "naru.anywhere" .root }}:9090"
- name: NARU_TELEMETRY__LOG
  value: {{ .root.Values.telemetry.log | quote }}
{{- with .root.Values.telemetry.otlpEndpoint }}
- name: NARU_TELEMETRY__OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A whole number as a variable has it. Helm's are floating-point: a million would become 1e+06. What is none is refused, since it
would become 0, which for a quota means no limit. Context: name, value. */}}
{{- define "naru.number" -}}
{{- $text := toString .value -}}
{{- if or (kindIs "float64" .value) (kindIs "int64" .value) (kindIs "int" .value) -}}
{{- $text = printf "%d" (int64 .value) -}}
{{- if ne (float64 $text) (float64 .value) }}{{ $text = "" }}{{ end -}}
{{- end -}}
{{- if not (regexMatch "^[0-9]+$" $text) }}{{ fail (printf "%s is no whole number" .name) }}{{ end -}}
{{- $text -}}
{{- end }}

{{/* A network as a NetworkPolicy has it: the services take an address alone for the network of that one. */}}
{{- define "naru.network" -}}
{{- if contains "/" . }}{{ . | quote }}{{ else }}{{ printf "%s/%s" . (ternary "128" "32" (contains ":" .)) | quote }}{{ end -}}
{{- end }}

{{/* A table of numbers as one variable has it, {a=1,b=2}. Context: name, values. */}}
{{- define "naru.table" -}}
{{- $entries := list -}}
{{- range $key, $value := .values -}}
{{- $number := include "naru.number" (dict "name" (printf "%s.%s" $.name $key) "value" $value) -}}
{{- $entries = append $entries (printf "%s=%s" $key $number) -}}
{{- end -}}
{{- printf "{%s}" (join "," $entries) -}}
{{- end }}

{{/* The way to Redis, of those that use it. Context: root. */}}
{{- define "naru.redisEnv" -}}
- name: NARU_REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ include "naru.secret" (dict "root" .root "name" "redis") }}, key: url } }
{{- end }}

{{/* A service's variables: the chart's, which are naru.<component>.env, and behind them those of its extraEnv. One that both set is
refused: which of the two counts would be Kubernetes' affair. Context: root, component, and name, its values'. */}}
{{- define "naru.env" -}}
{{- $own := include (printf "naru.%s.env" .component) .root -}}
{{- $names := dict -}}
{{- range fromYamlArray $own }}{{ $_ := set $names .name true }}{{ end -}}
{{- $own -}}
{{- range $extra := (index .root.Values .name).extraEnv -}}
{{- $at := printf "%s.extraEnv" $.name -}}
{{- $variable := required (printf "%s has an entry without a name" $at) $extra.name -}}
{{- if hasKey $names $variable }}{{ fail (printf "%s sets %s, which is set already" $at $variable) }}{{ end -}}
{{- if and (hasKey $extra "value") (not (kindIs "string" $extra.value)) -}}
{{- fail (printf "%s: the value of %s is no string; put it in quotes" $at $variable) -}}
{{- end -}}
{{- $_ := set $names $variable true }}
{{ toYaml (list $extra) }}
{{- end }}
{{- end }}

{{/* Only this component's part of the internal certificates. */}}
{{- define "naru.internalVolume" -}}
- name: internal
  secret:
    secretName: {{ include "naru.secret" (dict "root" .root "name" "internalTls") }}
    defaultMode: 0440
    items:
      - { key: ca.crt, path: ca.crt }
      - { key: {{ .component }}.crt, path: {{ .component }}.crt }
      - { key: {{ .component }}.key, path: {{ .component }}.key }
{{- end }}

{{/* What is set for the pods of a workload: its own, an empty one too, else that for all of them (`pods`); nothing where neither is.
Either may be missing, with nothing behind its name in a values file or with --reuse-values from before there was one. Context: root,
key, and name, its values'. */}}
{{- define "naru.pod" -}}
{{- $own := index .root.Values .name | default dict -}}
{{- $all := .root.Values.pods | default dict -}}
{{- with ternary (index $own .key) (index $all .key) (hasKey $own .key) }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* What a pod is known by. Labels of the chart's are refused: a workload or a policy would lose its pods by another value. Context:
root, component, and name, its values'. */}}
{{- define "naru.podMetadata" -}}
{{- $own := include "naru.selector" . -}}
labels:
  {{- $own | nindent 2 }}
  {{- with include "naru.pod" (dict "root" .root "name" .name "key" "podLabels") }}
  {{- range $label, $_ := fromYaml . }}
  {{- if hasKey (fromYaml $own) $label }}{{ fail (printf "podLabels sets %s, which is set already" $label) }}{{ end }}
  {{- end }}
  {{- . | nindent 2 }}
  {{- end }}
{{- with include "naru.pod" (dict "root" .root "name" .name "key" "podAnnotations") }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where a workload's pods may run, and what they are drawn with. A topologySpreadConstraint without a labelSelector, by which
Kubernetes would count no pods at all, counts those of the workload. Context: root, component, and name, its values'. */}}
{{- define "naru.podSpec" -}}
{{- $spec := dict -}}
{{- with .root.Values.image.pullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- range $key := list "nodeSelector" "affinity" "priorityClassName" "tolerations" "topologySpreadConstraints" -}}
{{- $set := include "naru.pod" (dict "root" $.root "name" $.name "key" $key) -}}
{{- with (printf "is:\n%s" (indent 2 $set) | fromYaml).is }}{{ $_ := set $spec $key . }}{{ end -}}
{{- end -}}
{{- with $spec.topologySpreadConstraints -}}
{{- $counted := dict "labelSelector" (dict "matchLabels" (include "naru.selector" $ | fromYaml)) -}}
{{- $constraints := list -}}
{{- range . -}}
{{- if hasKey . "labelSelector" }}{{ $constraints = append $constraints . }}{{ else -}}
{{- /* A copy, since the other workloads read the same value. */ -}}
{{- $constraints = append $constraints (merge (deepCopy .) (deepCopy $counted)) }}{{ end -}}
{{- end -}}
{{- $_ := set $spec "topologySpreadConstraints" $constraints -}}
{{- end -}}
{{- with $spec }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- define "naru.probes" -}}
livenessProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 10
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 5
{{- end }}
