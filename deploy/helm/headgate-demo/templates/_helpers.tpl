{{- define "headgate-demo.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "headgate-demo.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "headgate-demo.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What every pod needs to be admitted where Pod Security is "restricted". */}}
{{- define "headgate-demo.pod" -}}
automountServiceAccountToken: false # headgate talks to Postgres only
enableServiceLinks: false # else a Service named "database" sets DATABASE_PORT=tcp://…
securityContext:
  runAsNonRoot: true
  runAsUser: 1000 # a number: the kubelet cannot tell whether a user's name means root
  runAsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "headgate-demo.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "headgate-demo.database" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.secret }}
      key: {{ .Values.database.key }}
{{- end }}

{{/* The environment of the container that migrates. */}}
{{- define "headgate-demo.migrateEnv" -}}
{{ include "headgate-demo.database" . }}
{{- with .Values.database.migrateKey }}
- name: HEADGATE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.database.secret }}
      key: {{ . }}
{{- end }}
{{- range $name, $value := .Values.migrate.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
