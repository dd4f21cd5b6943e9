{{/* The same objects as `kas generate` makes: kas/install is what they are compared with in tests/integration/helm. */}}

{{- define "agentk.name" -}}
{{ .Values.namePrefix }}gitlab-agent
{{- end -}}

{{- define "agentk.selector" -}}
app.kubernetes.io/name: gitlab-agent
app.kubernetes.io/instance: {{ include "agentk.name" . }}
{{- end -}}

{{- define "agentk.labels" -}}
{{ include "agentk.selector" . }}
app.kubernetes.io/component: agentk
{{- end -}}

{{- define "agentk.tokenSecret" -}}
{{ .Values.existingSecret | default (printf "%s-token" (include "agentk.name" .)) }}
{{- end -}}

{{/* The image says its version itself, as a tag or digest. */}}
{{- define "agentk.imageTagged" -}}
{{- if or (contains "@" .Values.image) (contains ":" (last (splitList "/" .Values.image))) -}}yes{{- end -}}
{{- end -}}

{{- define "agentk.image" -}}
{{- if include "agentk.imageTagged" . -}}
{{ .Values.image }}
{{- else -}}
{{ .Values.image }}:{{ .Values.agentVersion | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Kubernetes replaces $(NAME) in arguments and variables; what is given reaches agentk as it is. */}}
{{- define "agentk.literal" -}}
{{ replace "$(" "$$(" . | toJson }}
{{- end -}}

{{- define "agentk.kasPort" -}}
{{- $url := urlParse (trim .Values.kasAddress) -}}
{{- $given := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ $given | default (get (dict "ws" "80" "wss" "443" "grpc" "8152" "grpcs" "8152") $url.scheme) }}
{{- end -}}

{{/* What is right by itself and not together, and what Helm would quote if it were in values.schema.json. */}}
{{- define "agentk.check" -}}
{{- if not .Values.kasAddress -}}
{{- fail "kasAddress: needed: where agents reach kas, such as wss://kas.example.com" -}}
{{- end -}}
{{- if and .Values.token .Values.existingSecret -}}
{{- fail "token: is given beside existingSecret: leave one of them out" -}}
{{- end -}}
{{- if not (or .Values.token .Values.existingSecret) -}}
{{- fail "token: needed: the line that `kas token create` printed, or existingSecret" -}}
{{- end -}}
{{- if or (regexMatch "\\s" (trim .Values.token)) (regexMatch "^(kasapi-|glpat-|gldt-|glrt-|-----BEGIN|Z2xhZ2VudC)" (trim .Values.token)) -}}
{{- fail "token: is not the line that `kas token create` printed, whole and in one line" -}}
{{- end -}}
{{- if contains "PRIVATE KEY" .Values.caCert -}}
{{- fail "caCert: it holds a private key, and a ConfigMap is no place for one: give only certificates" -}}
{{- end -}}
{{- if and .Values.caCert (not (contains "-----BEGIN CERTIFICATE-----" .Values.caCert)) -}}
{{- fail "caCert: it holds no certificates in PEM form (-----BEGIN CERTIFICATE-----)" -}}
{{- end -}}
{{- if and .Values.agentVersion (include "agentk.imageTagged" .) -}}
{{- fail "agentVersion: the image already says which version; leave one of them out" -}}
{{- end -}}
{{- end -}}
