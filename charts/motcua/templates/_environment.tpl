{{- /* What each component is given in its environment. The names are those of services/chassis/platform/settings.py (tests/charts). */ -}}

{{- /* The address of a real national system; empty where the sandbox plays it. */ -}}
{{- define "motcua.vneid" -}}
{{- if not (and .Values.sandbox.enabled (has "vneid" .Values.sandbox.plays)) }}{{ .Values.vneid.url }}{{ end -}}
{{- end -}}
{{- define "motcua.population" -}}
{{- if not (and .Values.sandbox.enabled (has "population" .Values.sandbox.plays)) }}{{ .Values.population.url }}{{ end -}}
{{- end -}}
{{- define "motcua.vnpay" -}}
{{- if not (and .Values.sandbox.enabled (has "vnpay" .Values.sandbox.plays)) }}{{ .Values.vnpay.apiUrl }}{{ end -}}
{{- end -}}

{{- /* By name, the channels that are on: settings, secrets by variable, and where they lead. E-mail has values of its own. */ -}}
{{- define "motcua.channels" -}}
{{- $found := dict -}}
{{- if .Values.mail.enabled -}}
{{- $settings := dict "MOTCUA_MAIL_FROM" .Values.mail.from -}}
{{- $secrets := dict "MOTCUA_SMTP_URL" "smtp-url" -}}
{{- $_ := set $found "mail" (dict "settings" $settings "secrets" $secrets "egress" .Values.networkPolicy.egress.smtp) -}}
{{- end -}}
{{- range $name, $channel := .Values.channels -}}
{{- if $channel.enabled }}{{ $_ := set $found $name $channel }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* Settings that are no secrets, of one component beside those of all: (list $ component), as YAML. */ -}}
{{- define "motcua.settings" -}}
{{- $values := (index . 0).Values -}}
{{- $component := index . 1 -}}
{{- $found := dict -}}
{{- if include "motcua.among" (list (include "motcua.keepFiles" .) $component) -}}
{{- $_ := set $found "MOTCUA_BLOBS" $values.blobs.url -}}
{{- with $values.blobs.endpoint }}{{ $_ := set $found "AWS_ENDPOINT_URL" . }}{{ end -}}
{{- with $values.blobs.region }}{{ $_ := set $found "AWS_REGION" . }}{{ end -}}
{{- end -}}
{{- if has $component (list "identity" "sandbox") -}}
{{- $_ := set $found "MOTCUA_VNEID_CLIENT_ID" $values.vneid.clientId -}}
{{- end -}}
{{- if eq $component "identity" -}}
{{- with include "motcua.vneid" (index . 0) }}{{ $_ := set $found "MOTCUA_VNEID_URL" . }}{{ end -}}
{{- with $values.vneid.hosts }}{{ $_ := set $found "MOTCUA_VNEID_HOSTS" (join " " .) }}{{ end -}}
{{- with $values.vneid.trustedClients }}{{ $_ := set $found "MOTCUA_VNEID_TRUSTED_CLIENTS" (join " " .) }}{{ end -}}
{{- with include "motcua.population" (index . 0) }}{{ $_ := set $found "MOTCUA_POPULATION_URL" . }}{{ end -}}
{{- else if eq $component "payment" -}}
{{- if include "motcua.vnpay" (index . 0) -}}
{{- $_ := set $found "MOTCUA_VNPAY_URL" $values.vnpay.url -}}
{{- $_ := set $found "MOTCUA_VNPAY_API_URL" $values.vnpay.apiUrl -}}
{{- end -}}
{{- else if eq $component "dossier" -}}
{{- with $values.scanner.url }}{{ $_ := set $found "MOTCUA_CLAMD_URL" . }}{{ end -}}
{{- else if eq $component "notification" -}}
{{- range include "motcua.channels" (index . 0) | fromYaml }}{{ $found = merge $found .settings }}{{ end -}}
{{- else if eq $component "ledger" -}}
{{- $_ := set $found "MOTCUA_LEDGER_ORIGIN" (default (print $values.host "/ledger") $values.ledger.origin) -}}
{{- $_ := set $found "MOTCUA_LEDGER_WITNESS_NAME" (default (print $values.host "/witness") $values.ledger.witnessName) -}}
{{- $_ := set $found "MOTCUA_LEDGER_CHECKPOINT_SECONDS" (toString $values.ledger.checkpointSeconds) -}}
{{- $witnesses := list -}}
{{- range $values.ledger.witnesses }}{{ $witnesses = append $witnesses (print .key " " .url) }}{{ end -}}
{{- with $witnesses }}{{ $_ := set $found "MOTCUA_LEDGER_WITNESSES" (join "," .) }}{{ end -}}
{{- with $values.ledger.witnessed }}{{ $_ := set $found "MOTCUA_LEDGER_WITNESSED" (join "," .) }}{{ end -}}
{{- end -}}
{{- if has $component (list "payment" "sandbox") -}}
{{- $_ := set $found "MOTCUA_VNPAY_TERMINAL" $values.vnpay.terminal -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* Which key of the Secret becomes which variable, and nobody else's: (list $ component), as YAML. */ -}}
{{- define "motcua.secretKeys" -}}
{{- $values := (index . 0).Values -}}
{{- $component := index . 1 -}}
{{- $found := dict "MOTCUA_SERVICE_SECRET" "service-secret" -}}
{{- $_ := set $found "MOTCUA_DATABASE" (print "database-" (ternary "identity" $component (eq $component "sandbox"))) -}}
{{- if not (or $values.eventStore.url $values.trial.kurrentdb.enabled) }}{{ $_ := set $found "MOTCUA_EVENT_STORE" "event-store" }}{{ end -}}
{{- if has $component (list "identity" "sandbox") -}}
{{- $_ := set $found "MOTCUA_MASTER_KEY" "master-key" -}}
{{- if $values.masterKeyRotation }}{{ $_ := set $found "MOTCUA_MASTER_KEY_PREVIOUS" "master-key-previous" }}{{ end -}}
{{- end -}}
{{- /* What the sandbox plays has secrets that follow from the service secret. */ -}}
{{- if eq $component "identity" -}}
{{- if include "motcua.vneid" (index . 0) }}{{ $_ := set $found "MOTCUA_VNEID_CLIENT_SECRET" "vneid-client-secret" }}{{ end -}}
{{- if include "motcua.population" (index . 0) }}{{ $_ := set $found "MOTCUA_POPULATION_SECRET" "population-secret" }}{{ end -}}
{{- else if eq $component "payment" -}}
{{- if include "motcua.vnpay" (index . 0) }}{{ $_ := set $found "MOTCUA_VNPAY_SECRET" "vnpay-secret" }}{{ end -}}
{{- else if eq $component "notification" -}}
{{- range include "motcua.channels" (index . 0) | fromYaml }}{{ $found = merge $found .secrets }}{{ end -}}
{{- else if eq $component "status" -}}
{{- $_ := set $found "MOTCUA_QR_KEY" "qr-key" -}}
{{- else if eq $component "ledger" -}}
{{- $_ := set $found "MOTCUA_LEDGER_KEY" "ledger-key" -}}
{{- $_ := set $found "MOTCUA_WITNESS_KEY" "witness-key" -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* All keys of the Secret that this release reads, in order, as YAML. */ -}}
{{- define "motcua.allKeys" -}}
{{- $found := dict -}}
{{- range splitList "," (include "motcua.parts" .) -}}
{{- if ne . "edge" -}}
{{- range include "motcua.secretKeys" (list $ .) | fromYaml }}{{ $_ := set $found . true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if include "motcua.backups" . | fromYaml }}{{ range include "motcua.backupKeys" . | fromYaml }}{{ $_ := set $found . true }}{{ end }}{{ end -}}
{{- if .Values.trial.postgresql.enabled -}}
{{- range keys $found }}{{ if hasPrefix "database-" . }}{{ $_ := unset $found . }}{{ end }}{{ end -}}
{{- $_ := set $found "postgresql-password" true -}}
{{- end -}}
{{- keys $found | sortAlpha | toYaml -}}
{{- end -}}

{{- /* Keys of the Secret as variables, and settings: (list $ settings keys), both maps. */ -}}
{{- define "motcua.env" -}}
{{- $root := index . 0 -}}
{{- range $name, $key := index . 2 }}
{{- if and $root.Values.trial.postgresql.enabled (eq $name "MOTCUA_DATABASE") }}
- name: POSTGRESQL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.secret.name }}, key: postgresql-password}
- name: MOTCUA_DATABASE
  value: postgresql+psycopg://motcua:$(POSTGRESQL_PASSWORD)@{{ include "motcua.name" (list $root "postgresql") }}:5432/motcua
{{- else }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.secret.name }}, key: {{ $key }}}
{{- end }}
{{- end }}
{{- range $name, $value := index . 1 }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- /* What all share, as YAML. Jobs are given it without the ConfigMap, which is not there yet when hooks run. */ -}}
{{- define "motcua.shared" -}}
{{- $values := .Values -}}
{{- $found := dict "MOTCUA_SITE" $values.site "MOTCUA_PUBLIC_URL" (include "motcua.url" .) "MOTCUA_DATA" "/tmp/motcua" -}}
{{- $_ := set $found "MOTCUA_LOG_LEVEL" $values.telemetry.logLevel -}}
{{- $_ := set $found "MOTCUA_SANDBOX" (toString $values.sandbox.enabled) -}}
{{- if $values.eventStore.url -}}
{{- $_ := set $found "MOTCUA_EVENT_STORE" $values.eventStore.url -}}
{{- else if $values.trial.kurrentdb.enabled -}}
{{- $_ := set $found "MOTCUA_EVENT_STORE" (printf "kurrentdb://%s:2113?tls=false" (include "motcua.name" (list . "kurrentdb"))) -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* What the services share besides, as YAML. */ -}}
{{- define "motcua.sharedByServices" -}}
{{- $values := .Values -}}
{{- $found := include "motcua.shared" . | fromYaml -}}
{{- $_ := set $found "MOTCUA_HOST" "0.0.0.0" -}}
{{- $_ := set $found "MOTCUA_GRPC_PORT" "50051" -}}
{{- $_ := set $found "MOTCUA_HTTP_PORT" "8081" -}}
{{- $_ := set $found "MOTCUA_IDENTITY_ADDRESS" (print (include "motcua.name" (list . "identity")) ":50051") -}}
{{- $_ := set $found "MOTCUA_IN_FLIGHT" (toString $values.limits.inFlight) -}}
{{- $_ := set $found "MOTCUA_STREAMS" (toString $values.limits.streams) -}}
{{- $_ := set $found "MOTCUA_STREAMS_PER_ADDRESS" (toString $values.limits.streamsPerAddress) -}}
{{- $_ := set $found "MOTCUA_KEY_CACHE_SECONDS" (toString $values.limits.keyCacheSeconds) -}}
{{- $_ := set $found "MOTCUA_UPLOADS_KEPT_DAYS" (toString $values.limits.uploadsKeptDays) -}}
{{- $_ := set $found "MOTCUA_TRACE_SAMPLED" (toString $values.telemetry.sampled) -}}
{{- with $values.telemetry.endpoint }}{{ $_ := set $found "OTEL_EXPORTER_OTLP_ENDPOINT" . }}{{ end -}}
{{- if $values.mutualTls.enabled -}}
{{- $_ := set $found "MOTCUA_TLS_CERTIFICATE" "/etc/motcua/tls/tls.crt" -}}
{{- $_ := set $found "MOTCUA_TLS_KEY" "/etc/motcua/tls/tls.key" -}}
{{- $_ := set $found "MOTCUA_TLS_AUTHORITY" "/etc/motcua/tls/ca.crt" -}}
{{- end -}}
{{- with $values.submission.receptionTerms }}{{ $_ := set $found "MOTCUA_RECEPTION_TERMS" . }}{{ end -}}
{{- if and $values.submission.cutover (not $values.sandbox.enabled) -}}
{{- $_ := set $found "MOTCUA_SUBMISSION_CUTOVER" (include "motcua.day" $values.submission.cutover) -}}
{{- $_ := set $found "MOTCUA_SUBMISSION_ADDRESS" $values.submission.address -}}
{{- end -}}
{{- if $values.sandbox.enabled }}{{ $_ := set $found "MOTCUA_SANDBOX_UNTIL" (include "motcua.day" $values.sandbox.until) }}{{ end -}}
{{- /* In pods, services listen to others; routes and policies keep a trial to those who may be administrators of it. */ -}}
{{- if $values.sandbox.enabled }}{{ $_ := set $found "MOTCUA_SANDBOX_ANYBODY_IS_ADMINISTRATOR" "true" }}{{ end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* The volumes of a component that are more than /tmp, and where they are mounted: (list $ component), a list as YAML. */ -}}
{{- define "motcua.volumes" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values -}}
{{- $component := index . 1 -}}
{{- $found := list -}}
{{- if and $values.blobs.claim (include "motcua.among" (list (include "motcua.keepFiles" .) $component)) -}}
{{- $claim := dict "claimName" $values.blobs.claim -}}
{{- $found = append $found (dict "path" "/var/lib/motcua/blobs" "volume" (dict "name" "blobs" "persistentVolumeClaim" $claim)) -}}
{{- end -}}
{{- if and $values.eventStore.caSecret (ne $component "edge") (ne $component "migrate") (ne $component "test") -}}
{{- $secret := dict "secretName" $values.eventStore.caSecret -}}
{{- $found = append $found (dict "path" "/etc/motcua/event-store" "volume" (dict "name" "event-store" "secret" $secret)) -}}
{{- end -}}
{{- if and $values.database.caSecret (ne $component "edge") (ne $component "catalogue-load") (ne $component "test") -}}
{{- $secret := dict "secretName" $values.database.caSecret -}}
{{- $found = append $found (dict "path" "/etc/motcua/database" "volume" (dict "name" "database" "secret" $secret)) -}}
{{- end -}}
{{- if has $component (splitList "," (include "motcua.parts" $root)) -}}
{{- if $values.mutualTls.enabled -}}
{{- $secret := dict "secretName" (include "motcua.name" (list $root (print $component "-certificate"))) -}}
{{- $found = append $found (dict "path" "/etc/motcua/tls" "volume" (dict "name" "certificate" "secret" $secret)) -}}
{{- end -}}
{{- end -}}
{{- if eq $component "edge" -}}
{{- $config := dict "name" (include "motcua.name" (list $root "edge-config")) -}}
{{- $found = append $found (dict "path" "/etc/motcua/edge" "volume" (dict "name" "config" "configMap" $config)) -}}
{{- with $values.edge.tlsSecret -}}
{{- $found = append $found (dict "path" "/etc/motcua/edge-tls" "volume" (dict "name" "tls" "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- with $values.edge.clientAuthoritySecret -}}
{{- $found = append $found (dict "path" "/etc/motcua/clients" "volume" (dict "name" "clients" "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* (list $ component) */ -}}
{{- define "motcua.mounts" -}}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- range include "motcua.volumes" . | fromYamlArray }}
  - {name: {{ .volume.name }}, mountPath: {{ .path }}{{ if ne .volume.name "blobs" }}, readOnly: true{{ end }}}
  {{- end }}
{{- end -}}

{{- /* (list $ component scratch); scratch is the size of an ephemeral volume at /tmp, or of an emptyDir. */ -}}
{{- define "motcua.podVolumes" -}}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ index . 2 }}}
  {{- range include "motcua.volumes" . | fromYamlArray }}
  - {{ toYaml .volume | nindent 4 | trim }}
  {{- end }}
{{- end -}}
