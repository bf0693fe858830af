{{- define "faulty.loop" }}{{ include "faulty.loop" . }}{{ end }}
