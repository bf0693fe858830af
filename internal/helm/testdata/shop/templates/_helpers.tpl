{{- define "shop.name" -}}
{{ .Release.Name }}-{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}
{{- define "shop.labels" -}}
app: {{ include "shop.name" . }}
{{ if .Chart.AppVersion -}}
version: {{ .Chart.AppVersion | quote }}
{{- end }}
zone: {{ .Values.global.zone }}
{{- end -}}
{{- define "shop.image" -}}
{{- $image := .Values.image -}}
{{- printf "%s/%s:%s" $image.registry $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- define "shop.render" -}}
{{- if typeIs "string" .value }}{{ tpl .value .context }}{{ else }}{{ tpl (.value | toYaml) .context }}{{ end -}}
{{- end -}}
