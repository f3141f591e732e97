package main

import (
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// documentedPage serves a pool under the names that github.com/cmackenzie1/pgxpool-prometheus
// documents: a stand-in for that package, for module proxies that don't have it. The values are
// pgxpool's own.
func documentedPage(pool *pgxpool.Pool) http.Handler {
	registry := prometheus.NewRegistry()
	labels := prometheus.Labels{"db": "main"}
	gauge := func(name string, value func(*pgxpool.Stat) int32) {
		registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "pgx_pool_" + name, ConstLabels: labels},
			func() float64 { return float64(value(pool.Stat())) }))
	}
	counter := func(name string, value func(*pgxpool.Stat) int64) {
		registry.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: "pgx_pool_" + name, ConstLabels: labels},
			func() float64 { return float64(value(pool.Stat())) }))
	}
	gauge("acquire_connections", (*pgxpool.Stat).AcquiredConns)
	gauge("constructing_connections", (*pgxpool.Stat).ConstructingConns)
	gauge("idle_connections", (*pgxpool.Stat).IdleConns)
	gauge("max_connections", (*pgxpool.Stat).MaxConns)
	gauge("total_connections", (*pgxpool.Stat).TotalConns)
	counter("canceled_acquire_count", (*pgxpool.Stat).CanceledAcquireCount)
	counter("empty_acquire_count", (*pgxpool.Stat).EmptyAcquireCount)
	counter("max_idle_destroy_count", (*pgxpool.Stat).MaxIdleDestroyCount)
	counter("max_lifetime_destroy_count", (*pgxpool.Stat).MaxLifetimeDestroyCount)
	counter("new_connections_count", (*pgxpool.Stat).NewConnsCount)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
