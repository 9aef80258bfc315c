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

{{- /* What was typed as a whole number, as it was typed: Helm makes a float of those in files. */ -}}
{{- define "motcua.text" -}}
{{- if kindIs "float64" . }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- /* A day, also one that was written without quotes. */ -}}
{{- define "motcua.day" -}}
{{- trimSuffix "T00:00:00Z" . -}}
{{- end -}}

{{- /* (list image defaultTag) */ -}}
{{- define "motcua.image" -}}
{{- $image := index . 0 -}}
{{- $tag := include "motcua.text" $image.tag -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ default (index . 1) $tag }}{{ end -}}
{{- end -}}

{{- /* The image of a service, as YAML: its own over that of all. A tag of its own is not held back by the digest of all. (list $ service) */ -}}
{{- define "motcua.serviceImage" -}}
{{- $root := index . 0 -}}
{{- $image := deepCopy $root.Values.image -}}
{{- $own := dig (index . 1) "image" dict $root.Values.services -}}
{{- if and $own.tag (not $own.digest) }}{{ $_ := set $image "digest" "" }}{{ end -}}
{{- include "motcua.overlay" (list $image $own) -}}
{{- toYaml $image -}}
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


{{- /* (list $ part): a part's values: a service's own over the defaults, the edge's, the sandbox's; as YAML. */ -}}
{{- define "motcua.part" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $merged := dict -}}
{{- if eq $part "edge" -}}
{{- $merged = deepCopy $root.Values.edge -}}
{{- $_ := set $merged "progressDeadlineSeconds" $root.Values.defaults.progressDeadlineSeconds -}}
{{- else if eq $part "sandbox" -}}
{{- $none := dict "enabled" false -}}
{{- $merged = merge (dict "replicas" 1 "autoscaling" $none "resources" $root.Values.sandbox.resources) (deepCopy $root.Values.defaults) -}}
{{- else -}}
{{- $merged = deepCopy $root.Values.defaults -}}
{{- include "motcua.overlay" (list $merged (index $root.Values.services $part)) -}}
{{- end -}}
{{- $pod := deepCopy $root.Values.pod -}}
{{- include "motcua.overlay" (list $pod $merged.pod) -}}
{{- $_ := set $merged "pod" $pod -}}
{{- toYaml $merged -}}
{{- end -}}

{{- /* The names of the Deployments, with commas: the services, the edge, in a trial the sandbox. */ -}}
{{- define "motcua.parts" -}}
{{- $parts := append (keys .Values.services | sortAlpha) "edge" -}}
{{- if .Values.sandbox.enabled }}{{ $parts = append $parts "sandbox" }}{{ end -}}
{{- join "," $parts -}}
{{- end -}}

{{- /* Whose officials the sandbox appoints. */ -}}
{{- define "motcua.province" -}}
{{- $given := include "motcua.text" .Values.sandbox.province -}}
{{- if $given }}{{ printf "%02d" (atoi $given) }}{{ else }}{{ trimPrefix "vn-" .Values.site }}{{ end -}}
{{- end -}}

{{- define "motcua.url" -}}
{{- default (print "https://" .Values.host) .Values.publicUrl -}}
{{- end -}}

{{- /* Whether a list, given as `a b c`, has a name: (list "a b c" name) */ -}}
{{- define "motcua.among" -}}
{{- if has (index . 1) (splitList " " (index . 0)) }}yes{{ end -}}
{{- end -}}

{{- /* Of services/registry.py (tests/setup/test_services.py): who has pages, who asks identity for persons' keys, who keeps files. */ -}}
{{- define "motcua.havePages" -}}identity ledger payment status{{- end -}}
{{- define "motcua.askKeys" -}}dossier ledger notification payment warehouse{{- end -}}
{{- define "motcua.keepFiles" -}}backup backup-between dossier ledger warehouse{{- end -}}

{{- /* The labels and the annotations of a pod: (list $ component pod) */ -}}
{{- define "motcua.podLabels" -}}
{{ include "motcua.labels" . }}
{{- with (index . 2).labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What every pod has: (list $ component image pod account) */ -}}
{{- define "motcua.pod" -}}
{{- $component := list (index . 0) (index . 1) -}}
{{- $image := index . 2 -}}
{{- $pod := index . 3 -}}
serviceAccountName: {{ index . 4 }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "motcua.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "motcua.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "motcua.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "motcua.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{- /* (list $ component annotations) */ -}}
{{- define "motcua.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "motcua.metadata" . | nindent 2 }}
  {{- with index . 2 }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{- /*
PodDisruptionBudget and HorizontalPodAutoscaler: (list $ component autoscaling replicas). Where the number is fixed, least and most are
that number: no Deployment says its replicas, so that the field is the autoscaler's alone whatever is switched on or off, and neither an
upgrade nor `kubectl scale` takes it from the other.
*/ -}}
{{- define "motcua.scaling" -}}
{{- $component := list (index . 0) (index . 1) -}}
{{- $autoscaling := index . 2 -}}
{{- $least := ternary $autoscaling.min (index . 3) $autoscaling.enabled -}}
{{- $most := ternary $autoscaling.max (index . 3) $autoscaling.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "motcua.metadata" $component | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "motcua.selector" $component | nindent 6 }}
{{- if gt (int $least) (int $most) }}
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
  minReplicas: {{ $least }}
  maxReplicas: {{ $most }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $autoscaling.cpu }}}
    {{- if $autoscaling.inFlight }}
    - type: Pods
      pods:
        metric: {name: motcua_rpc_in_flight}
        target: {type: AverageValue, averageValue: {{ $autoscaling.inFlight | quote }}}
    {{- end }}
  behavior:
    # A pod that starts reads the law and catches up: what was added stays for a while.
    scaleDown: {stabilizationWindowSeconds: 600}
{{- end -}}

{{- /* The one authority that signs the parts' certificates; empty where you make them. */ -}}
{{- define "motcua.siteIssuer" -}}
{{- if .Values.mutualTls.enabled -}}
{{- if .Values.mutualTls.ownAuthority -}}
{{- dict "name" (include "motcua.name" (list . "site")) "kind" "Issuer" "group" "cert-manager.io" | toYaml -}}
{{- else if .Values.mutualTls.issuer.name -}}
{{- toYaml .Values.mutualTls.issuer -}}
{{- end -}}
{{- end -}}
{{- end -}}
