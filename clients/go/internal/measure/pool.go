// Package measure counts what happens to a pool: requests, checkouts, returns, and what is lost.
package measure

import (
	"math"
	"sync"
	"time"
)

// Unknown is a figure that a library can't report. It has no series.
var Unknown = math.NaN()

// Options of a measured pool. What is left out comes from the environment, see the README.
type Options struct {
	// App is the application; else $PG_POOL_EXPORTER_APP, else the program's name.
	App string
	// Pool names the pool; else "main".
	Pool string
	// Server is its name in the exporter's configuration, where host and port don't identify it.
	Server string
	// LeakAfter is the age at which a checkout is overdue; else $PG_POOL_EXPORTER_LEAK_AFTER, 60 s.
	LeakAfter time.Duration
	// SiteSampling looks for the line of code of one checkout in so many; the others are "unknown".
	// 0 and 1 look for each.
	SiteSampling int
}

// Info says which library a pool is of, and where its sessions lead. Empty is unknown.
type Info struct{ Client, Version, Host, Port, Database, User, Application string }

// State is what the library itself knows of its pool at one reading; seconds.
type State struct {
	Idle, Max, Min, Queued, AcquireWait float64
}

// Abilities say what can be measured of a kind of pool.
type Abilities struct {
	// Requests: when a request begins and how it ends. Else only checkouts are known.
	Requests bool
	// Near is how many frames most applications have between their code and a checkout, at most 16.
	Near int
	// Drops: whether a connection that is dropped can be seen.
	Drops bool
	// Timeouts are the kinds that it can tell.
	Timeouts []string
}

type checkout struct {
	site      uintptr
	longLived bool
}

// session is a connection of the pool: idle, or checked out.
type session struct {
	checkout
	isOut bool
	since time.Duration
}

// Pool is one measured pool. Its lock is held for well below a microsecond.
type Pool struct {
	Abilities
	// Look returns the library's state, and false once the pool is closed or gone.
	Look      func() (State, bool)
	app, name string
	server    string
	leakAfter time.Duration
	sampling  int
	instances map[string]float64

	mu       sync.Mutex
	info     Info
	limit    float64
	requests Request // the ring of those that have not ended, the oldest first
	inFlight int
	sessions map[any]*session
	out      int
	seen     int // checkouts, for sampling

	acquire, hold                     *histogram
	demand                            demand
	failed, queued, connects          float64
	connectErrors, lost               float64
	timeouts                          map[string]float64
	leaked                            float64
	leakedSites                       map[string]float64
	leakedSince, saturated, fullSince time.Duration
	isFull                            bool
}

// NewPool returns a pool that nothing has happened to. It is shown once it is in a registry.
func NewPool(options Options, info Info, able Abilities) *Pool {
	p := &Pool{
		Abilities: able, info: info, limit: math.Inf(1), server: options.Server,
		app: options.App, name: options.Pool, leakAfter: options.LeakAfter,
		sampling: max(options.SiteSampling, 1), instances: map[string]float64{},
		sessions: map[any]*session{}, timeouts: map[string]float64{}, leakedSites: map[string]float64{},
		acquire: newHistogram("acquire_seconds"), hold: newHistogram("hold_seconds"),
		demand: newDemand(now()),
	}
	p.requests.next, p.requests.previous = &p.requests, &p.requests
	for _, kind := range able.Timeouts {
		p.timeouts[kind] = 0
	}
	return p
}

// Refresh looks at the library's state. An application can change the limit at any time.
func (p *Pool) Refresh() (State, bool) {
	state, open := p.Look()
	if open {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.limit = state.Max; math.IsNaN(p.limit) {
			p.limit = math.Inf(1)
		}
		p.turn(now())
	}
	return state, open
}

// Request is one request for a connection, from Ask until it is Got or Failed.
type Request struct {
	pool           *Pool
	asked          time.Duration
	checkout       checkout
	next, previous *Request
}

// Ask records that somebody asks for a connection. Where the library has an open connection for
// each, that is every slot taken, it has to wait.
func (p *Pool) Ask(longLived bool) *Request {
	r := &Request{pool: p, checkout: checkout{longLived: longLived, site: p.site()}}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.asked = now()
	if float64(p.out+p.inFlight)+p.leaked >= p.limit {
		p.queued++
	}
	p.inFlight++
	last := p.requests.previous
	r.previous, r.next, last.next, p.requests.previous = last, &p.requests, r, r
	p.turn(r.asked)
	return r
}

// Got records that the request got this connection.
func (r *Request) Got(connection any) {
	p := r.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(r)
	t := now()
	p.acquire.add(t - r.asked)
	p.checkedOut(connection, r.checkout, t)
}

// Failed records that the request ended without a connection, by a timeout or otherwise.
func (r *Request) Failed(timeout bool) {
	p := r.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(r)
	p.turn(now())
	p.failed++
	if timeout {
		p.timeouts["pool"]++
	}
}

func (p *Pool) end(r *Request) {
	r.previous.next, r.next.previous = r.next, r.previous
	p.inFlight--
}

// CheckedOut records a checkout of which the request is not known.
func (p *Pool) CheckedOut(connection any, longLived bool) {
	site := p.site()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acquire.count++
	p.checkedOut(connection, checkout{site, longLived}, now())
}

func (p *Pool) checkedOut(connection any, c checkout, t time.Duration) {
	s := p.session(connection)
	s.checkout, s.isOut, s.since = c, true, t
	p.out++
	p.turn(t)
}

func (p *Pool) session(connection any) *session {
	s, known := p.sessions[connection]
	if !known {
		s = &session{}
		p.sessions[connection] = s
	}
	return s
}

// Returned records that a connection goes back. One that isn't out is left alone.
func (p *Pool) Returned(connection any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.sessions[connection]
	if !known || !s.isOut {
		return
	}
	t := now()
	p.hold.add(t - s.since)
	s.isOut, s.since = false, t
	p.out--
	p.turn(t)
}

// Dropped records that nobody can return this connection any more: its slot is lost.
func (p *Pool) Dropped(connection any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, known := p.sessions[connection]; known && s.isOut {
		delete(p.sessions, connection)
		p.out--
		p.leaked++
		p.leakedSince += s.since
		p.leakedSites[describe(s.site)]++
	}
}

// Gone records that the pool has closed a connection.
func (p *Pool) Gone(connection any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, known := p.sessions[connection]; known && !s.isOut {
		delete(p.sessions, connection)
	}
}

// Connected records a new session, idle so far, and where it leads if that is known.
func (p *Pool) Connected(connection any, info *Info) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connects++
	p.session(connection).since = now()
	if info != nil {
		p.info = *info
	}
}

// NotConnected records that an attempt to open a session has failed.
func (p *Pool) NotConnected(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connectErrors++
	if IsTimeout(err) {
		p.timeouts["connect"]++
	}
}

// Lost counts a session that was found dead.
func (p *Pool) Lost() {
	p.mu.Lock()
	p.lost++
	p.mu.Unlock()
}

// TimedOut counts a timeout that the server reports, of a kind that the pool can tell.
func (p *Pool) TimedOut(kind string) {
	p.mu.Lock()
	if _, known := p.timeouts[kind]; known {
		p.timeouts[kind]++
	}
	p.mu.Unlock()
}

// waiting requests are the latest of those that have not ended: whoever came first has a slot.
func (p *Pool) waiting() float64 {
	beyond := float64(p.out+p.inFlight) + p.leaked - p.limit
	return min(max(0, beyond), float64(p.inFlight))
}

// turn notes the demand from now on, and the moment at which the last connection is taken, or the
// first is free again.
func (p *Pool) turn(t time.Duration) {
	p.demand.turn(float64(p.out)+p.leaked+p.waiting(), t)
	if full := float64(p.out)+p.leaked >= p.limit; full != p.isFull {
		if p.isFull {
			p.saturated += t - p.fullSince
		}
		p.isFull, p.fullSince = full, t
	}
}

// site is the line of code that leads to the caller; 0 for one that sampling leaves out.
func (p *Pool) site() uintptr {
	if p.sampling > 1 {
		p.mu.Lock()
		p.seen++
		skipped := p.seen%p.sampling != 0
		p.mu.Unlock()
		if skipped {
			return 0
		}
	}
	return callingSite(p.Near)
}

var started = time.Now()

func now() time.Duration { return time.Since(started) }
