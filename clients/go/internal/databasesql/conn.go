// Package databasesql measures pools of database/sql, by wrapping what the driver makes.
package databasesql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"weak"

	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/measure"
)

// Abilities are what can be measured with a driver that tells these kinds of timeouts. database/sql
// shows nothing of a request before it has a connection.
func Abilities(timeouts ...string) measure.Abilities {
	return measure.Abilities{Drops: true, Near: 11, Timeouts: timeouts}
}

// Open opens a database/sql pool like sql.OpenDB, and measures it.
func Open(driverConnector driver.Connector, pool *measure.Pool) *sql.DB {
	ours := &connector{Connector: driverConnector, pool: pool}
	db := sql.OpenDB(ours)
	reference := weak.Make(db)
	pool.Look = func() (measure.State, bool) {
		db := reference.Value()
		if db == nil || ours.closed.Load() {
			return measure.State{}, false
		}
		stats := db.Stats()
		state := measure.State{
			Idle: float64(stats.Idle), Max: float64(stats.MaxOpenConnections), Min: measure.Unknown,
			Queued: float64(stats.WaitCount), AcquireWait: stats.WaitDuration.Seconds(),
		}
		if stats.MaxOpenConnections <= 0 {
			state.Max = math.NaN() // unlimited
		}
		return state, true
	}
	measure.Default.Add(pool)
	return db
}

// connector makes measured connections.
type connector struct {
	driver.Connector
	pool   *measure.Pool
	closed atomic.Bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		c.pool.NotConnected(err)
		return nil, err
	}
	measured := &conn{Conn: opened, pool: c.pool}
	c.pool.Connected(measured, nil)
	c.pool.Refresh()
	if !inBackground() {
		measured.use(ctx)
	}
	return measured, nil
}

// Close is called by sql.DB.Close.
func (c *connector) Close() error {
	c.closed.Store(true)
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// inBackground says whether database/sql opens a connection for nobody, or for whoever waits: that
// one is checked out by its first use.
func inBackground() bool {
	var counters [16]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "sql.(*DB).openNewConnection") {
			return true
		}
		if !more {
			return false
		}
	}
}

// conn notes checkouts and returns, and does as the driver's connection. database/sql uses it from
// one goroutine at a time. What the driver can't do it answers as database/sql does for itself.
type conn struct {
	driver.Conn
	pool  *measure.Pool
	isOut bool
	inTx  bool
}

func (c *conn) use(ctx context.Context) {
	if !c.isOut {
		c.isOut = true
		c.pool.CheckedOut(c, measure.IsLongLived(ctx))
	}
}

func (c *conn) comesBack() {
	if c.isOut {
		c.isOut = false
		c.pool.Returned(c)
	}
}

// ResetSession is called as a connection is checked out that has been used before.
func (c *conn) ResetSession(ctx context.Context) error {
	if driven, ok := c.Conn.(driver.SessionResetter); ok {
		if err := driven.ResetSession(ctx); err != nil {
			if errors.Is(err, driver.ErrBadConn) {
				c.pool.Lost()
				return err
			}
			c.use(ctx) // it is used in spite of it
			return err
		}
	}
	c.use(ctx)
	return nil
}

// IsValid is called as a connection goes back.
func (c *conn) IsValid() bool {
	c.comesBack()
	driven, ok := c.Conn.(driver.Validator)
	valid := !ok || driven.IsValid()
	if !valid {
		c.pool.Lost()
	}
	return valid
}

// Close is called instead of IsValid for a connection that has failed.
func (c *conn) Close() error {
	if c.isOut {
		c.pool.Lost()
		c.comesBack()
	}
	c.pool.Gone(c)
	return c.Conn.Close()
}

func (c *conn) Ping(ctx context.Context) error {
	c.use(ctx)
	if driven, ok := c.Conn.(driver.Pinger); ok {
		return driven.Ping(ctx)
	}
	return nil
}

func (c *conn) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	c.use(ctx)
	if driven, ok := c.Conn.(driver.ExecerContext); ok {
		return driven.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (c *conn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	c.use(ctx)
	driven, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	rows, err := driven.QueryContext(ctx, query, args)
	// A transaction's rows hold no slot: it does.
	if err != nil || c.inTx {
		return rows, err
	}
	return watch(rows, c), nil
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.use(ctx)
	if driven, ok := c.Conn.(driver.ConnPrepareContext); ok {
		return driven.PrepareContext(ctx, query)
	}
	return c.Conn.Prepare(query)
}

func (c *conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.use(ctx)
	var begun driver.Tx
	var err error
	if driven, ok := c.Conn.(driver.ConnBeginTx); ok {
		begun, err = driven.BeginTx(ctx, options)
	} else if options != (driver.TxOptions{}) {
		return nil, errors.New("the driver knows no isolation level and no read-only transaction")
	} else {
		begun, err = c.Conn.Begin() //nolint:staticcheck // all that the driver has
	}
	if err != nil {
		return nil, err
	}
	c.inTx = true
	return tx{begun, c}, nil
}

func (c *conn) CheckNamedValue(value *driver.NamedValue) error {
	if driven, ok := c.Conn.(driver.NamedValueChecker); ok {
		return driven.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

type tx struct {
	driver.Tx
	conn *conn
}

func (t tx) Commit() error {
	t.conn.inTx = false
	return t.Tx.Commit()
}

func (t tx) Rollback() error {
	t.conn.inTx = false
	return t.Tx.Rollback()
}
