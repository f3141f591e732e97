// An application with a pool, and a page of metrics: `client`, `pgxpool`, `cmackenzie1`,
// `database/sql`, and by OpenTelemetry `otelpgx`, `bridge`, `otelsql`, `uptrace`. It does what the
// lines of its input say; each is answered by a line once it is done: take, give, ask (without
// waiting for the answer), forget, work (a query of three seconds).
package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	acquireTimeout = 3 * time.Second
	longQuery      = "SELECT pg_sleep(3)"
)

// borrow takes a connection from a pool.
type borrow func(context.Context) (borrowed, error)

type borrowed struct {
	giveBack func()
	execute  func(query string) error
}

func fromSQL(db *sql.DB) borrow {
	return func(ctx context.Context) (borrowed, error) {
		conn, err := db.Conn(ctx)
		return borrowed{
			giveBack: func() { _ = conn.Close() },
			execute: func(query string) error {
				_, err := conn.ExecContext(context.Background(), query)
				return err
			},
		}, err
	}
}

func fromPool(pool *pgxpool.Pool) borrow {
	return func(ctx context.Context) (borrowed, error) {
		conn, err := pool.Acquire(ctx)
		return borrowed{
			giveBack: func() { conn.Release() },
			execute: func(query string) error {
				_, err := conn.Exec(context.Background(), query)
				return err
			},
		}, err
	}
}

func open(kind string) (borrow, http.Handler, error) {
	switch kind {
	case "client":
		pool, page, err := openInstrumented()
		return fromPool(pool), page, err
	case "database/sql", "otelsql", "uptrace":
		db, err := openDatabaseSQL()
		if err != nil || kind == "database/sql" {
			return fromSQL(db), promhttp.Handler(), err
		}
		page, err := measureSQL(kind, db)
		return fromSQL(db), page, err
	}
	pool, err := openPgxpool()
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case "otelpgx", "bridge":
		page, err := measurePgxpool(kind, pool)
		return fromPool(pool), page, err
	case "cmackenzie1":
		return fromPool(pool), documentedPage(pool), nil
	}
	return fromPool(pool), promhttp.Handler(), nil
}

func serve(page http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("METRICS_PORT"))
	if err != nil {
		return err
	}
	http.Handle("/metrics", page)
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	return nil
}

func main() {
	borrow, page, err := open(os.Args[1])
	if err == nil {
		err = serve(page)
	}
	if err != nil {
		log.Fatal(err)
	}
	held := make(chan borrowed, 100)
	take := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), acquireTimeout)
		defer cancel()
		one, err := borrow(ctx)
		if err == nil {
			held <- one
		}
		return err
	}
	forget := func() error {
		_, err := borrow(context.Background())
		return err
	}
	work := func() error {
		one, err := borrow(context.Background())
		if err != nil {
			return err
		}
		defer one.giveBack()
		return one.execute(longQuery)
	}
	commands := map[string]func() error{
		"take":   take,
		"give":   func() error { (<-held).giveBack(); return nil },
		"ask":    func() error { go take(); return nil },
		"forget": forget,
		"work":   work,
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := commands[lines.Text()](); err != nil {
			fmt.Println("failed:", err)
		} else {
			fmt.Println("done")
		}
	}
}
