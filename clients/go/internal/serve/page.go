// Package serve shows the measured pools: as a page, and on a socket that the exporter finds.
package serve

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
)

const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Page is an http.Handler with the series of a registry as Prometheus text.
func Page(registry *measure.Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		page := text(registry.Read())
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(page)
	})
}

func text(all []measure.Series) []byte {
	of := map[*measure.Metric][]measure.Series{}
	for _, series := range all {
		of[series.Metric] = append(of[series.Metric], series)
	}
	var page bytes.Buffer
	for _, metric := range measure.Metrics {
		if len(of[metric]) == 0 {
			continue
		}
		page.WriteString("# HELP " + metric.Name + " " + metric.Help + "\n")
		page.WriteString("# TYPE " + metric.Name + " " + metric.Type + "\n")
		for _, series := range of[metric] {
			write(&page, series)
		}
	}
	return page.Bytes()
}

func write(page *bytes.Buffer, series measure.Series) {
	labels := pairs(series)
	line := func(suffix, labels string, value string) {
		page.WriteString(series.Name + suffix + "{" + labels + "} " + value + "\n")
	}
	if series.Buckets == nil {
		line("", labels, number(series.Value))
		return
	}
	for i, count := range series.Buckets {
		bound := "+Inf"
		if i < len(series.Bounds) {
			bound = number(series.Bounds[i])
			if !strings.Contains(bound, ".") {
				bound += ".0"
			}
		}
		line("_bucket", labels+`,le="`+bound+`"`, strconv.FormatUint(count, 10))
	}
	line("_sum", labels, number(series.Value))
	line("_count", labels, strconv.FormatUint(series.Buckets[len(series.Bounds)], 10))
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// A label without a value is the same as none.
func pairs(series measure.Series) string {
	var parts []string
	for i, name := range series.Labels {
		if value := series.Values[i]; value != "" {
			parts = append(parts, name+`="`+escape.Replace(strings.ToValidUTF8(value, "?"))+`"`)
		}
	}
	return strings.Join(parts, ",")
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }
