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
  {{- $image := include "motcua.serviceImage" (list $root (trimPrefix "migrate-" (index . 1))) | fromYaml }}
  image: {{ include "motcua.image" (list $image $root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $image.pullPolicy }}
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
# What failed stays to be read, and is printed where Helm knows how.
helm.sh/hook-delete-policy: before-hook-creation
helm.sh/hook-output-log-policy: hook-failed
{{- end -}}

{{- define "motcua.backupKeys" -}}
{{- $keys := dict "MOTCUA_DATABASE" "database-backup" -}}
{{- if not (or .Values.eventStore.url .Values.trial.kurrentdb.enabled) }}{{ $_ := set $keys "MOTCUA_EVENT_STORE" "event-store" }}{{ end -}}
{{- toYaml $keys -}}
{{- end -}}

{{- /* The CronJobs of backups by component, as YAML: whole ones that are checked, and quick ones between them. */ -}}
{{- define "motcua.backups" -}}
{{- $found := dict -}}
{{- $trial := .Values.sandbox.enabled -}}
{{- with .Values.backup -}}
{{- /* A trial's data do not lie among the site's. */ -}}
{{- if and .enabled (or (not $trial) .ofTrial) -}}
{{- $_ := set $found "backup" (dict "schedule" .schedule "options" list) -}}
{{- with .between }}{{ $_ := set $found "backup-between" (dict "schedule" . "options" (list "--no-check")) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* What must be there before a release, and is not made by it: keys by Secret/<name> and ConfigMap/<name>, as YAML. */ -}}
{{- define "motcua.needed" -}}
{{- $found := dict -}}
{{- $_ := set $found (print "Secret/" .Values.secret.name) (include "motcua.allKeys" . | fromYamlArray) -}}
{{- range list .Values.eventStore.caSecret .Values.database.caSecret .Values.edge.clientAuthoritySecret | compact | uniq -}}
{{- $_ := set $found (print "Secret/" .) (list "ca.crt") -}}
{{- end -}}
{{- $backup := ternary .Values.backup.secret "" (not (empty (include "motcua.backups" . | fromYaml))) -}}
{{- range list .Values.blobs.secret $backup | compact | uniq -}}
{{- $_ := set $found (print "Secret/" .) (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY") -}}
{{- end -}}
{{- if and .Values.edge.tlsSecret (not .Values.edge.issuer.name) -}}
{{- $_ := set $found (print "Secret/" .Values.edge.tlsSecret) (list "tls.crt" "tls.key") -}}
{{- end -}}
{{- if and .Values.mutualTls.enabled (not (include "motcua.siteIssuer" .)) -}}
{{- range splitList "," (include "motcua.parts" .) -}}
{{- $_ := set $found (print "Secret/" (include "motcua.name" (list $ (print . "-certificate")))) (list "tls.crt" "tls.key" "ca.crt") -}}
{{- end -}}
{{- end -}}
{{- range .Values.catalogue.configMaps -}}
{{- $_ := set $found (print "ConfigMap/" .) (list "catalogue.yaml") -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* A key that is empty is missing, too. */ -}}
{{- define "motcua.look" -}}
cd /needed; for one in "$@"; do [ -s "$one" ] || { echo "missing in namespace {{ .Release.Namespace }}: ${one%/*}, key ${one##*/}"; missing=1; }; done; [ -z "$missing" ] || { echo "Nothing was changed. Make them (kubectl create secret generic, configmap) and type the same command again."; exit 1; }
{{- end -}}
