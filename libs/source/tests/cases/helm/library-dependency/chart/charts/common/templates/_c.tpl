{{- define "common.data" -}}
from: {{ .Chart.Name }}
lib: {{ .Values.common.note | quote }}
{{- end -}}
