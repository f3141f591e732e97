package pgx_test

import (
	"context"
	"database/sql"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	measured "github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx"
)

// A checkout and its return, without a statement: bare, measured, and measured with the line of
// code of one in a million, so that the last two differ by what the line costs.

// reportCPU reports the process's CPU time, which a busy machine distorts less than the time.
func reportCPU(b *testing.B) func() {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	return func() {
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		used := after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()
		b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	}
}

func benchmarkPool(b *testing.B, open func(*pgxpool.Config) (*pgxpool.Pool, error)) {
	config, err := pgxpool.ParseConfig(address(b))
	if err != nil {
		b.Fatal(err)
	}
	pool, err := open(config)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	ctx := context.Background()
	defer reportCPU(b)()
	for b.Loop() {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			b.Fatal(err)
		}
		conn.Release()
	}
}

func measuredPool(sampling int) func(*pgxpool.Config) (*pgxpool.Pool, error) {
	return func(config *pgxpool.Config) (*pgxpool.Pool, error) {
		options := poolexporter.Options{Pool: "bench", SiteSampling: sampling}
		return measured.NewWithConfig(context.Background(), config, options)
	}
}

func BenchmarkPgxpool(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		benchmarkPool(b, func(config *pgxpool.Config) (*pgxpool.Pool, error) {
			return pgxpool.NewWithConfig(context.Background(), config)
		})
	})
	b.Run("measured", func(b *testing.B) { benchmarkPool(b, measuredPool(1)) })
	b.Run("measured-without-sites", func(b *testing.B) { benchmarkPool(b, measuredPool(1_000_000)) })
}

func benchmarkDB(b *testing.B, open func(pgx.ConnConfig) *sql.DB) {
	config, err := pgx.ParseConfig(address(b))
	if err != nil {
		b.Fatal(err)
	}
	db := open(*config)
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	defer reportCPU(b)()
	for b.Loop() {
		conn, err := db.Conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}

func measuredDB(sampling int) func(pgx.ConnConfig) *sql.DB {
	return func(config pgx.ConnConfig) *sql.DB {
		options := poolexporter.Options{Pool: "bench-sql", SiteSampling: sampling}
		return measured.OpenDB(config, options)
	}
}

func BenchmarkDatabaseSQL(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		benchmarkDB(b, func(config pgx.ConnConfig) *sql.DB { return stdlib.OpenDB(config) })
	})
	b.Run("measured", func(b *testing.B) { benchmarkDB(b, measuredDB(1)) })
	b.Run("measured-without-sites", func(b *testing.B) { benchmarkDB(b, measuredDB(1_000_000)) })
}
