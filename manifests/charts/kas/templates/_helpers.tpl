{{- define "kas.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}

{{- define "kas.selector" -}}
app.kubernetes.io/name: kas
app.kubernetes.io/instance: {{ include "kas.name" . }}
{{- end -}}

{{- define "kas.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "kas.selector" . | nindent 2 }}
{{- end -}}

{{- define "kas.imageTagged" -}}
{{- if or (contains "@" .Values.image) (contains ":" (last (splitList "/" .Values.image))) -}}yes{{- end -}}
{{- end -}}

{{- define "kas.image" -}}
{{- if include "kas.imageTagged" . -}}
{{ .Values.image }}
{{- else -}}
{{ .Values.image }}:{{ .Values.version | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* kas.yaml: what the chart knows, and over it what the user has set. */}}
{{- define "kas.settings" -}}
{{- $listener := dict "websocket_address" "0.0.0.0:8150" "grpc_address" "0.0.0.0:8152" -}}
{{- $api := dict "address" "0.0.0.0:8153" -}}
{{- if .Values.tls.existingSecret -}}
{{- $files := dict "certificate_file" "/etc/kas/tls/tls.crt" "key_file" "/etc/kas/tls/tls.key" -}}
{{- $listener = merge $listener $files -}}
{{- $api = merge $api $files -}}
{{- end -}}
{{- with .Values.externalUrl -}}
{{- $_ := set $api "external_url" . -}}
{{- end -}}
{{- $git := dict "url_template" .Values.git.urlTemplate -}}
{{- with .Values.git.credential -}}
{{- if .existingSecret -}}
{{- $_ := set $git "credential" (dict "kind" .kind "username" .username "token_file" "/etc/kas/git/token") -}}
{{- end -}}
{{- end -}}
{{- $settings := dict "data_dir" "/var/lib/kas" "agent_listener" $listener "api" $api "git" $git -}}
{{- $_ := set $settings "observability" (dict "address" "0.0.0.0:8151") -}}
{{- $_ := set $settings "logging" (dict "level" .Values.logLevel "format" "json") -}}
{{- if .Values.webhook.existingSecret -}}
{{- $_ := set $settings "webhooks" (dict "gitlab" (dict "secret_token_file" "/etc/kas/webhook/token")) -}}
{{- end -}}
{{- with .Values.database.url -}}
{{- $_ := set $settings "database" . -}}
{{- end -}}
{{- if .Values.database.existingSecret -}}
{{- $_ := set $settings "database_password_file" "/etc/kas/database/password" -}}
{{- end -}}
{{- with .Values.redis.url -}}
{{- $_ := set $settings "redis" . -}}
{{- end -}}
{{- if .Values.redis.existingSecret -}}
{{- $_ := set $settings "redis_password_file" "/etc/kas/redis/password" -}}
{{- end -}}
{{- $install := dict -}}
{{- with .Values.install.kasAddress -}}
{{- $_ := set $install "kas_address" . -}}
{{- end -}}
{{- with .Values.install.image -}}
{{- $_ := set $install "image" . -}}
{{- end -}}
{{- if $install -}}
{{- $_ := set $settings "install" $install -}}
{{- end -}}
{{ mergeOverwrite $settings (deepCopy .Values.settings) | toYaml }}
{{- end -}}

{{/* How long agents may take to move to other pods, as kas will have it: the environment goes before its settings. */}}
{{- define "kas.drainPeriod" -}}
{{- $listener := .Values.settings.agent_listener | default dict -}}
{{- get .Values.env "KAS_AGENT_LISTENER__DRAIN_PERIOD" | default (get $listener "drain_period") | default "15s" -}}
{{- end -}}

{{/* Whole seconds, rounded up, of a duration as it is set: 1m30s. */}}
{{- define "kas.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 -}}
{{- $sum = addf $sum (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{ ceil $sum | int }}
{{- end -}}

{{/* Whether there may be more than one pod. */}}
{{- define "kas.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}yes{{- end -}}
{{- end -}}

{{- define "kas.check" -}}
{{- if and (include "kas.several" .) (not .Values.database.url) -}}
{{- fail "replicas: SQLite is one pod's: set database.url to postgresql://… for more than one" -}}
{{- end -}}
{{- if and (include "kas.several" .) (not .Values.redis.url) -}}
{{- fail "replicas: several pods are one through Redis: set redis.url to redis://… for more than one" -}}
{{- end -}}
{{- if and .Values.redis.url (not .Values.database.url) -}}
{{- fail "redis.url: is for several pods on one PostgreSQL: set database.url, or leave it out" -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/@]*:[^/@]*@" .Values.redis.url -}}
{{- fail "redis.url: it holds a password, and it would stand in a ConfigMap: put it into redis.existingSecret" -}}
{{- end -}}
{{- $here := regexMatch "^rediss?://([^/@]*@)?(localhost|127[.][0-9.]+)(:[0-9]+)?(/|$)" .Values.redis.url -}}
{{- $certified := contains "ssl_certfile=" .Values.redis.url -}}
{{- if and .Values.redis.url (not (or .Values.redis.existingSecret .Values.settings.redis_password_file $here $certified)) -}}
{{- fail "redis.existingSecret: others may reach Redis without a password; give it one, and name a Secret that holds it" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/@]*:[^/@]*@" .Values.database.url -}}
{{- fail "database.url: it holds a password, and it would stand in a ConfigMap: put it into database.existingSecret" -}}
{{- end -}}
{{- if not (regexMatch "^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$" (include "kas.drainPeriod" .)) -}}
{{- fail "settings.agent_listener.drain_period: expected a duration such as 15s or 1m30s" -}}
{{- end -}}
{{- if and .Values.version (include "kas.imageTagged" .) -}}
{{- fail "version: the image already says which version; leave one of them out" -}}
{{- end -}}
{{- if and .Values.git.credential.existingSecret (ne .Values.git.credential.kind "access_token") (not .Values.git.credential.username) -}}
{{- fail "git.credential.username: needed for deploy_token and basic" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not (or .Values.ingress.agentHost .Values.ingress.apiHost)) -}}
{{- fail "ingress: needs agentHost, apiHost or both" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (eq .Values.ingress.agentHost .Values.ingress.apiHost) -}}
{{- fail "ingress: agents and the API cannot share a host: both begin at /" -}}
{{- end -}}
{{- end -}}
