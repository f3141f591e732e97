// Package prometheus shows the measured pools in a registry of client_golang.
package prometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
)

type collector struct {
	descriptions map[*measure.Metric]*prometheus.Desc
}

// NewCollector returns a collector of all pools of this process.
func NewCollector() prometheus.Collector {
	c := collector{map[*measure.Metric]*prometheus.Desc{}}
	for _, m := range measure.Metrics {
		c.descriptions[m] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return c
}

func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, description := range c.descriptions {
		out <- description
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, series := range measure.Default.Read() {
		description := c.descriptions[series.Metric]
		if series.Buckets != nil {
			buckets := map[float64]uint64{}
			for i, bound := range series.Bounds {
				buckets[bound] = series.Buckets[i]
			}
			out <- prometheus.MustNewConstHistogram(description,
				series.Buckets[len(series.Bounds)], series.Value, buckets, series.Values...)
			continue
		}
		kind := prometheus.GaugeValue
		if series.Type == "counter" {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(description, kind, series.Value, series.Values...)
	}
}
