{{- define "podgraft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for every name that is made of it. */}}
{{- define "podgraft.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "podgraft.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "podgraft.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "podgraft.selector" -}}
app.kubernetes.io/name: {{ include "podgraft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "podgraft.labels" -}}
{{ include "podgraft.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "podgraft.account" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "podgraft.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the account, or let serviceAccount.create make one" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "podgraft.secret" -}}
{{- default (printf "%s-tls" (include "podgraft.fullname" .)) .Values.certificates.secretName }}
{{- end }}

{{- /* The Lease by which the writer of managed certificates is elected. */}}
{{- define "podgraft.lease" -}}
{{- include "podgraft.secret" . }}
{{- end }}

{{- define "podgraft.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Namespaces whose Pods are left alone: the API server does not ask about them, and Podgraft skips them. A YAML list. */}}
{{- define "podgraft.exempt" -}}
{{- concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.webhook.excludeNamespaces | uniq | toYaml }}
{{- end }}

{{- /* Annotations of both registrations. */}}
{{- define "podgraft.registration.annotations" -}}
{{- $annotations := dict }}
{{- if .Values.certificates.certManager.enabled }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "podgraft.fullname" .)) }}
{{- end }}
{{- with merge (deepCopy .Values.webhook.annotations) $annotations }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- /* No caBundle, ever: whoever keeps the certificates owns that field, and an upgrade must not take it away. */}}
{{- define "podgraft.registration.client" -}}
service:
  name: {{ include "podgraft.fullname" .root }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: {{ .root.Values.service.port }}
{{- end }}

{{- /* What a schema cannot see. */}}
{{- define "podgraft.check" -}}
{{- $leave := add .Values.shutdownDelaySeconds .Values.drainTimeoutSeconds }}
{{- if le (int64 .Values.terminationGracePeriodSeconds) $leave }}
{{- fail (printf "terminationGracePeriodSeconds is %d: it must be more than shutdownDelaySeconds and drainTimeoutSeconds together, which are %d" (int64 .Values.terminationGracePeriodSeconds) $leave) }}
{{- end }}
{{- if and .Values.certificates.certManager.enabled (eq .Values.certificates.mode "managed") }}
{{- fail "certificates.certManager.enabled needs certificates.mode secret or files: with managed, Podgraft itself keeps the certificates" }}
{{- end }}
{{- if eq (int .Values.ports.webhook) (int .Values.ports.admin) }}
{{- fail "ports.webhook and ports.admin are the same" }}
{{- end }}
{{- end }}
