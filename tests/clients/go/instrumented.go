package main

import (
	"context"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	measured "github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx"
)

// openInstrumented opens a pool that our client measures, and its page.
func openInstrumented() (*pgxpool.Pool, http.Handler, error) {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = 5
	config.ConnConfig.RuntimeParams["application_name"] = "orders"
	options := poolexporter.Options{App: "orders", Pool: "main"}
	pool, err := measured.NewWithConfig(context.Background(), config, options)
	return pool, poolexporter.Handler(), err
}
