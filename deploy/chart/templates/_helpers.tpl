{{- define "podgraft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for every name that is made of it, and a name for a Service: no dots, and a letter first, which releases may do without. */}}
{{- define "podgraft.fullname" -}}
{{- $name := include "podgraft.name" . }}
{{- $full := printf "%s-%s" .Release.Name $name }}
{{- if .Values.fullnameOverride }}
{{- $full = .Values.fullnameOverride }}
{{- else if regexMatch "^[0-9]" .Release.Name }}
{{- $full = printf "%s-%s" $name .Release.Name }}
{{- else if contains $name .Release.Name }}
{{- $full = .Release.Name }}
{{- end }}
{{- $full | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "podgraft.selector" -}}
app.kubernetes.io/name: {{ include "podgraft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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
{{- if eq (int .Values.service.port) (int .Values.ports.admin) }}
{{- fail "service.port and ports.admin are the same: the Service has both" }}
{{- end }}
{{- $leaf := include "podgraft.seconds" .Values.certificates.leafLifetime | default "7776000" | int64 }}
{{- $authority := include "podgraft.seconds" .Values.certificates.caLifetime | default "157680000" | int64 }}
{{- if lt $leaf 10 }}
{{- fail "certificates.leafLifetime must be at least 10s" }}
{{- end }}
{{- if lt $authority $leaf }}
{{- fail "certificates.caLifetime must be at least certificates.leafLifetime: no certificate outlives its CA" }}
{{- end }}
{{- if and .Values.guarantee.presets (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail "guarantee.presets needs Kubernetes 1.30: older ones have no ValidatingAdmissionPolicy" }}
{{- end }}
{{- end }}

{{- /* A duration such as 1h30m in whole seconds; nothing for nothing. */}}
{{- define "podgraft.seconds" -}}
{{- if . }}
{{- $seconds := int64 0 }}
{{- range regexFindAll "[0-9]+(h|ms|m|s)" . -1 }}
{{- $unit := get (dict "h" 3600 "m" 60 "s" 1 "ms" 0) (regexFind "[a-z]+" .) }}
{{- $seconds = add $seconds (mul (regexFind "[0-9]+" . | int64) $unit) }}
{{- end }}
{{- $seconds }}
{{- end }}
{{- end }}

{{- /* Which namespaces it is asked about: matchExpressions. */}}
{{- define "podgraft.reach" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
    {{- include "podgraft.exempt" . | nindent 4 }}
{{- if eq .Values.webhook.reach "OptInNamespace" }}
- {key: podgraft.dev/inject, operator: In, values: [enabled]}
{{- else }}
- {key: podgraft.dev/inject, operator: NotIn, values: [disabled]}
{{- end }}
{{- with .Values.webhook.namespaceExpressions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Static Pods' pictures are left alone. */}}
{{- define "podgraft.not-a-mirror-pod" -}}
- name: not-a-mirror-pod
  expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
{{- end }}
