// Package pgx measures pools of pgx: pgxpool, and database/sql with pgx as its driver.
package pgx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"weak"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/databasesql"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
)

var serverTimeouts = []string{
	"statement", "lock", "idle_in_transaction", "idle_session", "transaction",
}

// What the server says when it ends a session, by SQLSTATE.
var endOfSession = map[string]string{
	"25P03": "idle_in_transaction", "25P04": "transaction", "57P05": "idle_session",
}

// NewWithConfig makes a pool like pgxpool.NewWithConfig, and measures it.
func NewWithConfig(
	ctx context.Context, config *pgxpool.Config, options poolexporter.Options,
) (*pgxpool.Pool, error) {
	measured := measure.NewPool(options, infoOf("pgxpool", config.ConnConfig), measure.Abilities{
		Requests: true, Near: 6,
		Timeouts: append([]string{"pool", "connect"}, serverTimeouts...),
	})
	config = config.Copy()
	trace(config.ConnConfig, &tracer{statements{measured}})
	theirs := config.BeforeClose
	config.BeforeClose = func(conn *pgx.Conn) {
		measured.Gone(conn)
		if theirs != nil {
			theirs(conn)
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Weak: whoever measures a pool doesn't keep it.
	reference, smallest := weak.Make(pool), float64(config.MinConns)
	measured.Look = func() (measure.State, bool) {
		pool := reference.Value()
		if pool == nil {
			return measure.State{}, false
		}
		stat := pool.Stat()
		return measure.State{
			Idle: float64(stat.IdleConns()), Max: float64(stat.MaxConns()), Min: smallest,
		}, true
	}
	measured.Refresh()
	measure.Default.Add(measured)
	return pool, nil
}

// OpenDB opens a database/sql pool like stdlib.OpenDB, and measures it.
func OpenDB(
	config pgx.ConnConfig, options poolexporter.Options, more ...stdlib.OptionOpenDB,
) *sql.DB {
	able := databasesql.Abilities(append([]string{"connect"}, serverTimeouts...)...)
	measured := measure.NewPool(options, infoOf("database/sql", &config), able)
	trace(&config, &statements{measured})
	return databasesql.Open(stdlib.GetConnector(config, more...), measured)
}

// trace adds a tracer to the application's own.
func trace(config *pgx.ConnConfig, ours pgx.QueryTracer) {
	if config.Tracer != nil {
		ours = multitracer.New(config.Tracer, ours)
	}
	config.Tracer = ours
}

func infoOf(client string, config *pgx.ConnConfig) measure.Info {
	return measure.Info{
		Client: client, Version: version(), Host: config.Host, Port: fmt.Sprint(config.Port),
		Database: config.Database, User: config.User,
		Application: config.RuntimeParams["application_name"],
	}
}

func version() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/jackc/pgx/v5" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return ""
}

// statements counts the server's timeouts.
type statements struct{ pool *measure.Pool }

// tracer follows requests, checkouts, sessions and statements.
type tracer struct{ statements }

// request carries a request through the library in the context, in one allocation.
type request struct {
	context.Context
	*measure.Request
}

type requestKey struct{}

func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

func (t *tracer) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	return &request{ctx, t.pool.Ask(measure.IsLongLived(ctx))}
}

func (t *tracer) TraceAcquireEnd(
	ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData,
) {
	r, ok := ctx.Value(requestKey{}).(*request)
	switch {
	case !ok:
	case data.Err != nil:
		r.Failed(measure.IsTimeout(data.Err))
	default:
		r.Got(data.Conn)
	}
}

func (t *tracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	t.pool.Returned(data.Conn)
	if data.Conn.IsClosed() {
		t.pool.Lost()
	}
}

func (t *tracer) TraceConnectStart(
	ctx context.Context, _ pgx.TraceConnectStartData,
) context.Context {
	return ctx
}

func (t *tracer) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	if data.Err != nil {
		t.pool.NotConnected(data.Err)
		return
	}
	info := infoOf("pgxpool", data.Conn.Config())
	info.Application = data.Conn.PgConn().ParameterStatus("application_name")
	t.pool.Connected(data.Conn, &info)
}

func (t *statements) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	return ctx
}

func (t *statements) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	var server *pgconn.PgError
	if data.Err == nil || !errors.As(data.Err, &server) {
		return
	}
	kind := endOfSession[server.Code]
	// A timeout and a cancellation, or NOWAIT, share a SQLSTATE: the routine tells, in any language.
	switch {
	case server.Code == "57014" && strings.Contains(server.Message, "statement timeout"):
		kind = "statement"
	case server.Code == "55P03" && server.Routine == "ProcessInterrupts":
		kind = "lock"
	}
	if kind != "" {
		t.pool.TimedOut(kind)
	}
}
