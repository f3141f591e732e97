package main

import (
	"database/sql"
	"net/http"

	"github.com/XSAM/otelsql"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	uptrace "github.com/uptrace/opentelemetry-go-extra/otelsql"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// openTelemetryPage serves what is measured by OpenTelemetry, and nothing of the default registry.
func openTelemetryPage(options ...exporter.Option) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(append(options, exporter.WithRegisterer(registry))...)
	if err != nil {
		return nil, err
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}

// measurePgxpool has OpenTelemetry measure a pool: by otelpgx, or by the metrics that
// pgxpoolprometheus registered, as where an application sends all it has by OTLP.
func measurePgxpool(kind string, pool *pgxpool.Pool) (http.Handler, error) {
	if kind == "bridge" {
		return openTelemetryPage(exporter.WithProducer(bridge.NewMetricProducer()))
	}
	page, err := openTelemetryPage()
	if err != nil {
		return nil, err
	}
	return page, otelpgx.RecordStats(pool)
}

// measureSQL has OpenTelemetry measure a pool of database/sql, by uptrace's otelsql or XSAM's.
func measureSQL(kind string, db *sql.DB) (http.Handler, error) {
	page, err := openTelemetryPage()
	if err != nil {
		return nil, err
	}
	if kind == "uptrace" {
		system := attribute.String("db.system", "postgresql")
		uptrace.ReportDBStatsMetrics(db, uptrace.WithAttributes(system), uptrace.WithDBName("main"))
		return page, nil
	}
	return page, otelsql.RegisterDBStatsMetrics(db, otelsql.WithAttributes(
		attribute.String("db.system.name", "postgresql"), attribute.String("db.namespace", "main")))
}
