// Package poolexporter measures PostgreSQL connection pools for pg-pool-exporter: which lines of
// code hold connections, who waits, what is lost. For pgx see the package pgx beside it.
//
// The pools are shown on a unix socket that the exporter finds by itself, and by Handler.
package poolexporter

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/http"

	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/databasesql"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/serve"
)

// Options of a measured pool.
type Options = measure.Options

// OpenDB opens a database/sql pool like sql.OpenDB, and measures it. With pgx as the driver, the
// package pgx beside this one shows more.
func OpenDB(connector driver.Connector, options Options) *sql.DB {
	info := measure.Info{Client: "database/sql"}
	pool := measure.NewPool(options, info, databasesql.Abilities("connect"))
	return databasesql.Open(connector, pool)
}

// Handler serves the pools of this process as Prometheus text.
func Handler() http.Handler { return serve.Page(&measure.Default) }

// LongLived declares what is checked out with this context long-lived: it is never overdue.
func LongLived(ctx context.Context) context.Context { return measure.LongLived(ctx) }
