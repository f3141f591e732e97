package main

import (
	"database/sql"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// openDatabaseSQL opens a pool whose metrics are on the page of the default registry.
func openDatabaseSQL() (*sql.DB, error) {
	config, err := pgx.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "orders"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(5) // without it there is no limit, and utilisation is unknown
	db.SetMaxIdleConns(5) // else 2: what is more is closed at its return
	return db, prometheus.Register(collectors.NewDBStatsCollector(db, "main"))
}
