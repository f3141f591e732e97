package pgx_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	measured "github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx"
)

// A server of the test's own: see README.md. Without one the tests that need it fail, not pass.
func address(t testing.TB) string {
	t.Helper()
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		t.Fatal("DATABASE_URL must name a PostgreSQL server")
	}
	t.Setenv("PG_POOL_EXPORTER_SOCKET_DIR", t.TempDir())
	return url
}

func page() string {
	answer := httptest.NewRecorder()
	poolexporter.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// shows fails unless the series of a pool is on the page with this value.
func shows(t *testing.T, pool, name, value string) {
	t.Helper()
	name, more, _ := strings.Cut(name, "{")
	for line := range strings.Lines(page()) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, `pool="`+pool+`"`) &&
			strings.Contains(line, strings.TrimSuffix(more, "}")) {
			if got := strings.TrimSpace(line[strings.LastIndex(line, "}")+1:]); got != value {
				t.Errorf("%s is %s, not %s", name, got, value)
			}
			return
		}
	}
	t.Errorf("no %s{%s of pool %s in\n%s", name, more, pool, page())
}

func open(
	t testing.TB, options poolexporter.Options, change func(*pgxpool.Config),
) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(address(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 2
	if change != nil {
		change(config)
	}
	pool, err := measured.NewWithConfig(context.Background(), config, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestAForgottenConnectionIsNamedWithItsLine(t *testing.T) {
	pool := open(t, poolexporter.Options{Pool: "forgotten", LeakAfter: time.Nanosecond}, nil)
	conn, err := pool.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	shows(t, "forgotten", `pg_pool_overdue_connections{site="pgx/pool_test.go:`, "1")
	conn.Release()
	if strings.Contains(page(), `pg_pool_overdue_connections{app="pgx.test",pool="forgotten"`) {
		t.Error("it is overdue after its return")
	}
	shows(t, "forgotten", "pg_pool_returned_total", "1")
}

// counted is an application's own tracer.
type counted struct{ queries, acquired int }

func (c *counted) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	c.queries++
	return ctx
}
func (c *counted) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counted) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	c.acquired++
	return context.WithValue(ctx, c, "kept")
}
func (c *counted) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func TestTheApplicationsOwnTracerAndHooksGoOn(t *testing.T) {
	own, closed := &counted{}, 0
	pool := open(t, poolexporter.Options{Pool: "traced"}, func(config *pgxpool.Config) {
		config.ConnConfig.Tracer = own
		config.BeforeClose = func(*pgx.Conn) { closed++ }
	})
	if _, err := pool.Exec(context.Background(), "select 1"); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if own.queries != 1 || own.acquired != 1 || closed != 1 {
		t.Errorf("the application's tracer saw %+v and %d closed", own, closed)
	}
	shows(t, "traced", "pg_pool_acquired_total", "1")
}

func TestANameThatIsTakenGetsANumber(t *testing.T) {
	for range 2 {
		open(t, poolexporter.Options{Pool: "twin"}, nil)
	}
	shows(t, "twin", "pg_pool_max_connections", "2")
	shows(t, "twin-2", "pg_pool_max_connections", "2")
}

func TestTheCountersOfAClosedDatabaseGoOnUnderItsName(t *testing.T) {
	config, err := pgx.ParseConfig(address(t))
	if err != nil {
		t.Fatal(err)
	}
	for number := 1; number <= 2; number++ {
		db := measured.OpenDB(*config, poolexporter.Options{Pool: "again"})
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		shows(t, "again", "pg_pool_acquired_total", fmt.Sprint(number))
		_ = db.Close()
		shows(t, "again", "pg_pool_acquired_total", fmt.Sprint(number))
	}
	shows(t, "again", "pg_pool_instances_total", "2")
}

func TestRowsOfADatabaseKeepTheirTypes(t *testing.T) {
	config, err := pgx.ParseConfig(address(t))
	if err != nil {
		t.Fatal(err)
	}
	ours := measured.OpenDB(*config, poolexporter.Options{Pool: "typed"})
	plain := stdlib.OpenDB(*config)
	defer func() { _, _ = ours.Close(), plain.Close() }()
	const query = "select 1::int4, 'a'::varchar(7), 1.5::numeric(9,3), now()"
	var found [2]string
	for i, db := range []*sql.DB{ours, plain} {
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		types, _ := rows.ColumnTypes()
		for _, column := range types {
			length, _ := column.Length()
			precision, scale, _ := column.DecimalSize()
			found[i] += fmt.Sprintln(column.DatabaseTypeName(), column.ScanType(), length, precision, scale)
		}
		_ = rows.Close()
	}
	if found[0] != found[1] {
		t.Errorf("types are\n%s instead of\n%s", found[0], found[1])
	}
}
