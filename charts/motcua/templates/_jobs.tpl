{{- /* A Job's pod: (list $ component containers scratch account restart) */ -}}
{{- define "motcua.jobPod" -}}
{{- $root := index . 0 -}}
{{- $component := list $root (index . 1) -}}
{{- $pod := deepCopy $root.Values.pod -}}
{{- include "motcua.overlay" (list $pod $root.Values.jobs.pod) -}}
metadata:
  labels: {{- include "motcua.podLabels" (list $root (index . 1) $pod) | nindent 4 }}
  {{- with $pod.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "motcua.pod" (list $root (index . 1) $root.Values.image $pod (include "motcua.name" (list $root (index . 3)))) | nindent 2 }}
  restartPolicy: Never
  {{- include "motcua.podSecurity" 10001 | nindent 2 }}
  {{- index . 2 | nindent 2 }}
{{- end -}}

{{- /* (list $ name command env resources component) */ -}}
{{- define "motcua.jobContainer" -}}
{{- $root := index . 0 -}}
- name: {{ index . 1 }}
  image: {{ include "motcua.image" (list $root.Values.image $root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: {{ index . 2 | toJson }}
  {{- include "motcua.containerSecurity" . | nindent 2 }}
  {{- with index . 6 }}
  envFrom:
    - secretRef: {name: {{ . }}}
  {{- end }}
  env: {{- index . 3 | trim | nindent 4 }}
  resources: {{- toYaml (index . 4) | nindent 4 }}
{{- end -}}

{{- /* One container after the other: (list containers volumes) */ -}}
{{- define "motcua.inOrder" -}}
{{- with initial (index . 0) -}}
initContainers: {{- join "\n" . | nindent 2 }}
{{ end -}}
containers: {{- last (index . 0) | nindent 2 }}
{{ index . 1 }}
{{- end -}}

{{- define "motcua.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
# What failed stays to be read.
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

{{- define "motcua.backupKeys" -}}
{{- $keys := dict "MOTCUA_DATABASE" "database-backup" -}}
{{- if not (or .Values.eventStore.url .Values.trial.kurrentdb.enabled) }}{{ $_ := set $keys "MOTCUA_EVENT_STORE" "event-store" }}{{ end -}}
{{- toYaml $keys -}}
{{- end -}}

{{- /* The CronJobs of backups by component, as YAML: whole ones that are checked, and quick ones between them. */ -}}
{{- define "motcua.backups" -}}
{{- $found := dict -}}
{{- with .Values.backup -}}
{{- if .enabled -}}
{{- $_ := set $found "backup" (dict "schedule" .schedule "options" list) -}}
{{- with .between }}{{ $_ := set $found "backup-between" (dict "schedule" . "options" (list "--no-check")) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
