package main

import (
	"context"
	"os"
	"runtime/pprof"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// checkouts has the stack of each connection that is checked out: with net/http/pprof imported,
// /debug/pprof/pgxpool.checkouts?debug=1 shows them.
var checkouts = pprof.NewProfile("pgxpool.checkouts")

// openPgxpool opens a pool whose metrics are on the page of the default registry.
func openPgxpool() (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	config.MaxConns = 5
	config.ConnConfig.RuntimeParams["application_name"] = "orders"
	config.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		checkouts.Add(conn, 2)
		return true, nil
	}
	config.AfterRelease = func(conn *pgx.Conn) bool { checkouts.Remove(conn); return true }
	config.BeforeClose = func(conn *pgx.Conn) { checkouts.Remove(conn) }
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{"pool": "main"}
	return pool, prometheus.Register(pgxpoolprometheus.NewCollector(pool, labels))
}
