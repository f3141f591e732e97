package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	measured "github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx"
)

func open(kind, name, url string) (pool, error) {
	options := poolexporter.Options{App: "shop", Pool: name, LeakAfter: time.Nanosecond}
	if kind == "pgxpool" {
		config, err := pgxpool.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		config.MaxConns = size
		opened, err := measured.NewWithConfig(context.Background(), config, options)
		return pgxPool{opened}, err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	opened := measured.OpenDB(*config, options)
	opened.SetMaxOpenConns(size)
	opened.SetMaxIdleConns(size)
	return sqlPool{opened}, nil
}

type pgxPool struct{ *pgxpool.Pool }

type pgxConn struct{ *pgxpool.Conn }

func (p pgxPool) take(ctx context.Context) (held, error) {
	conn, err := p.Acquire(ctx) // checked out here
	if err != nil {
		return nil, err
	}
	return pgxConn{conn}, nil
}

func (p pgxPool) use(kind string) error {
	ctx := context.Background()
	switch kind {
	case "statement":
		_, err := p.Exec(ctx, "select 1")
		return err
	case "rows":
		rows, err := p.Query(ctx, "select generate_series(1, 10)")
		if err != nil {
			return err
		}
		defer rows.Close()
		rows.Next() // and returns early
		return rows.Err()
	case "transaction":
		return pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select 1")
			return err
		})
	case "failure":
		return pgx.BeginFunc(ctx, p, func(pgx.Tx) error { return errOops })
	}
	panic(kind)
}

func (p pgxPool) leak(kind string) {
	ctx := context.Background()
	switch kind {
	case "forgotten":
		_, _ = p.Acquire(ctx) // forgotten here
	case "failure":
		func() {
			defer func() { _ = recover() }()
			conn, _ := p.Acquire(ctx) // failure here
			if conn != nil {
				panic(errOops)
			}
			conn.Release()
		}()
	case "return":
		func() {
			conn, _ := p.Acquire(ctx) // return here
			if conn != nil {
				return
			}
			conn.Release()
		}()
	case "rows":
		_, _ = p.Query(ctx, "select generate_series(1, 10)") // rows here
	}
}

func (p pgxPool) close() { p.Close() }

func (c pgxConn) ask(statement string) error {
	_, err := c.Exec(context.Background(), statement)
	return err
}

func (c pgxConn) give() { c.Release() }

type sqlPool struct{ *sql.DB }

type sqlConn struct{ *sql.Conn }

func (p sqlPool) take(ctx context.Context) (held, error) {
	conn, err := p.Conn(ctx) // checked out here
	if err != nil {
		return nil, err
	}
	return sqlConn{conn}, nil
}

func (p sqlPool) use(kind string) error {
	ctx := context.Background()
	switch kind {
	case "statement":
		_, err := p.ExecContext(ctx, "select 1")
		return err
	case "rows":
		rows, err := p.QueryContext(ctx, "select generate_series(1, 10)")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		rows.Next() // and returns early
		return rows.Err()
	case "transaction", "failure":
		tx, err := p.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if kind == "failure" {
			return errOops
		}
		rows, err := tx.QueryContext(ctx, "select 1")
		if err != nil {
			return err
		}
		_ = rows.Close()
		return tx.Commit()
	}
	panic(kind)
}

func (p sqlPool) leak(kind string) {
	ctx := context.Background()
	switch kind {
	case "forgotten":
		_, _ = p.Conn(ctx) // forgotten here
	case "failure":
		func() {
			defer func() { _ = recover() }()
			tx, _ := p.BeginTx(ctx, nil) // failure here
			if tx != nil {
				panic(errOops)
			}
			_ = tx.Commit()
		}()
	case "return":
		func() {
			conn, _ := p.Conn(ctx) // return here
			if conn != nil {
				return
			}
			_ = conn.Close()
		}()
	case "rows":
		_, _ = p.QueryContext(ctx, "select generate_series(1, 10)") // rows here
	}
}

func (p sqlPool) close() { _ = p.Close() }

func (c sqlConn) ask(statement string) error {
	_, err := c.ExecContext(context.Background(), statement)
	return err
}

func (c sqlConn) give() { _ = c.Close() }
