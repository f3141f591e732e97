// An application with a pool, `client`, `pgxpool`, `cmackenzie1` or `database/sql`, and a page of
// metrics. It does what the lines of its input say; each is answered by a line once it is done: take,
// give, ask (without waiting for the answer), forget.
package main

import (
	"bufio"
	"context"
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

const acquireTimeout = 3 * time.Second

// borrow takes a connection from a pool; giveBack returns it.
type borrow func(context.Context) (giveBack func(), err error)

func open(kind string) (borrow, http.Handler, error) {
	page := promhttp.Handler()
	if kind == "database/sql" {
		db, err := openDatabaseSQL()
		return func(ctx context.Context) (func(), error) {
			conn, err := db.Conn(ctx)
			return func() { _ = conn.Close() }, err
		}, page, err
	}
	var pool *pgxpool.Pool
	var err error
	if kind == "client" {
		pool, page, err = openInstrumented()
	} else if pool, err = openPgxpool(); err == nil && kind == "cmackenzie1" {
		page = documentedPage(pool)
	}
	return func(ctx context.Context) (func(), error) {
		conn, err := pool.Acquire(ctx)
		return func() { conn.Release() }, err
	}, page, err
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
	held := make(chan func(), 100)
	take := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), acquireTimeout)
		defer cancel()
		giveBack, err := borrow(ctx)
		if err == nil {
			held <- giveBack
		}
		return err
	}
	forget := func() error {
		_, err := borrow(context.Background())
		return err
	}
	commands := map[string]func() error{
		"take":   take,
		"give":   func() error { (<-held)(); return nil },
		"ask":    func() error { go take(); return nil },
		"forget": forget,
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
