//go:build unix

package serve

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
)

const (
	look       = 2 * time.Second
	exchange   = 5 * time.Second
	maxHead    = 1 << 14
	maxReaders = 8
)

func init() {
	measure.Default.OnFirst = func(app string) { start(&measure.Default, app) }
}

// start serves a registry on the socket of a slot for as long as the process lives, and binds it
// again when it is lost. A failure is logged once, and tried again.
func start(registry *measure.Registry, app string) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", Page(registry))
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: maxHead,
		ReadTimeout: exchange, WriteTimeout: exchange, IdleTimeout: exchange,
		// Out of descriptors it would write a line a second into the application's log.
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	var held *slot
	logged := ""
	turn := func() (net.Listener, os.FileInfo, error) {
		if held != nil {
			_ = held.lock.Close()
		}
		var err error
		if held, err = takeSlot(directory(), app); err != nil {
			return nil, nil, err
		}
		registry.Name(fmt.Sprintf("%s:%d", measure.Host(), held.number))
		return held.listen()
	}
	// The first time at once: the first page has its name already.
	listener, bound, err := turn()
	go func() {
		for ; ; listener, bound, err = turn() {
			if err == nil {
				logged = ""
				go func() { _ = server.Serve(bounded{listener, make(chan struct{}, maxReaders)}) }()
				for held.inPlace(bound) {
					registry.Refresh()
					time.Sleep(look)
				}
				_ = listener.Close()
			} else if logged != err.Error() {
				logged = err.Error()
				slog.Warn("pool metrics of this process can't be served", "error", err)
			}
			time.Sleep(look)
		}
	}()
}

// bounded lets only so many connections be served at a time.
type bounded struct {
	net.Listener
	places chan struct{}
}

type place struct {
	net.Conn
	leave func()
}

func (b bounded) Accept() (net.Conn, error) {
	for {
		connection, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.places <- struct{}{}:
			return &place{connection, func() { <-b.places }}, nil
		default:
			_ = connection.Close()
		}
	}
}

func (p *place) Close() error {
	err := p.Conn.Close()
	if leave := p.leave; leave != nil {
		p.leave = nil
		leave()
	}
	return err
}
