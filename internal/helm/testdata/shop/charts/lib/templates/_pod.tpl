{{- define "lib.pod" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .root.Release.Name }}-{{ .root.Chart.Name }}
  labels:
    zone: {{ .root.Values.global.zone }}
spec:
  containers:
    - name: cache
      image: {{ .root.Values.image }}
  volumes:
    - name: data
      hostPath:
        path: {{ .volume.hostPath }}
{{- end -}}
