{{- define "stubborn.icon" }}icon: 󰀀{{ end }}
