{{- define "personaplug.name" -}}
{{ printf "%s-personaplug" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "personaplug.selector" -}}
app.kubernetes.io/name: personaplug
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "personaplug.labels" -}}
{{ include "personaplug.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
