{{- define "pg-pool-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pg-pool-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "pg-pool-exporter.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pg-pool-exporter.selector" -}}
app.kubernetes.io/name: {{ include "pg-pool-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pg-pool-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "pg-pool-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pg-pool-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pg-pool-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pg-pool-exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* "true" where an application of the configuration is found through the API server. */ -}}
{{- define "pg-pool-exporter.discovers" -}}
{{- range .Values.config.apps }}{{ if .kubernetes_sd }}true{{ end }}{{ end -}}
{{- end -}}

{{- /* The namespaces whose pods are watched, as a list in JSON. It fails where rights are missing:
       what another API server allows is not the chart's. */ -}}
{{- define "pg-pool-exporter.namespaces" -}}
{{- $given := default list .Values.rbac.namespaces -}}
{{- $names := $given -}}
{{- range .Values.config.apps }}{{ range .kubernetes_sd }}
{{- if not (or .api_server $.Values.rbac.clusterWide) }}
{{- if not .namespaces }}
{{- fail "config.apps[].kubernetes_sd without namespaces watches all of them: name some, or set rbac.clusterWide=true" }}
{{- end }}
{{- range .namespaces }}
{{- if and $given (not (has . $given)) }}
{{- fail (printf "config.apps[].kubernetes_sd watches the namespace %s, which rbac.namespaces does not name: add it there, or leave rbac.namespaces empty" .) }}
{{- end }}
{{- end }}
{{- $names = concat $names .namespaces }}
{{- end }}
{{- end }}{{ end -}}
{{- uniq $names | toJson -}}
{{- end -}}

{{- /* A probe of `path`, which only connects where the path may ask for credentials. */ -}}
{{- define "pg-pool-exporter.probe" -}}
{{- if .webConfig.existingSecret }}
tcpSocket:
  port: metrics
{{- else }}
httpGet:
  path: {{ .path }}
  port: metrics
{{- end }}
{{ toYaml .settings }}
{{- end -}}

{{- /* An endpoint of a monitor. */ -}}
{{- define "pg-pool-exporter.endpoint" -}}
- port: metrics
  interval: {{ .interval }}
  scrapeTimeout: {{ .scrapeTimeout }}
  scheme: {{ .scheme }}
  {{- with .tlsConfig }}
  tlsConfig: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .basicAuth }}
  basicAuth: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
