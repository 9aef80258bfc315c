{{- /* Names are <release>-<component>; a ConfigMap's, Secret's or claim's has a suffix that nothing else has. */ -}}

{{- /* (list $ component) */ -}}
{{- define "motcua.name" -}}
{{- $name := printf "%s-%s" (index . 0).Release.Name (index . 1) -}}
{{- if gt (len $name) 63 }}{{ fail (printf "the release's name is too long: %s has more than 63 letters" $name) }}{{ end -}}
{{- $name -}}
{{- end -}}

{{- define "motcua.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "motcua.labels" -}}
{{- $root := index . 0 -}}
{{ include "motcua.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: motcua
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "motcua.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "motcua.name" . }}
namespace: {{ $root.Release.Namespace }}
labels: {{- include "motcua.labels" . | nindent 2 }}
{{- end -}}

{{- /* (list image defaultTag) */ -}}
{{- define "motcua.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default (index . 1) }}{{ end -}}
{{- end -}}

{{- /* (list onto over): over's values replace onto's, maps key by key; unlike mergeOverwrite, false and [] replace too. */ -}}
{{- define "motcua.overlay" -}}
{{- $onto := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- $old := get $onto $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $old) -}}
{{- include "motcua.overlay" (list $old $value) -}}
{{- else -}}
{{- $_ := set $onto $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* (list $ service): the defaults with the service's own values over them, as YAML. */ -}}
{{- define "motcua.service" -}}
{{- $merged := deepCopy (index . 0).Values.defaults -}}
{{- include "motcua.overlay" (list $merged (index (index . 0).Values.services (index . 1))) -}}
{{- toYaml $merged -}}
{{- end -}}

{{- /* The parts of a pod that every component has: (list $ component image) */ -}}
{{- define "motcua.pod" -}}
{{- $component := list (index . 0) (index . 1) -}}
{{- $image := index . 2 -}}
serviceAccountName: {{ include "motcua.name" $component }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "motcua.selector" $component | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{- define "motcua.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
lifecycle:
  preStop:
    # Until every caller has heard that this pod is leaving.
    sleep: {seconds: 10}
{{- end -}}

{{- /* ServiceAccount, PodDisruptionBudget and HorizontalPodAutoscaler: (list $ component autoscaling) */ -}}
{{- define "motcua.around" -}}
{{- $component := list (index . 0) (index . 1) -}}
{{- $autoscaling := index . 2 -}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{- include "motcua.metadata" $component | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "motcua.metadata" $component | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "motcua.selector" $component | nindent 6 }}
{{- if $autoscaling.enabled }}
{{- if gt (int $autoscaling.min) (int $autoscaling.max) }}
{{- fail (printf "%s: autoscaling.min (%v) is more than autoscaling.max (%v)" (index . 1) $autoscaling.min $autoscaling.max) }}
{{- end }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{- include "motcua.metadata" $component | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "motcua.name" $component }}
  minReplicas: {{ $autoscaling.min }}
  maxReplicas: {{ $autoscaling.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $autoscaling.cpu }}}
{{- end }}
{{- end -}}
