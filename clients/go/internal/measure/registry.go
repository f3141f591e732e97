package measure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Registry has the measured pools of a process. Pools of one application differ by their names.
type Registry struct {
	// OnFirst is called with the application's name when the first pool is added.
	OnFirst func(app string)
	mu      sync.Mutex
	pools   []*Pool
	process string
}

// Default is the registry of this process.
var Default Registry

// Add shows the pool from now on, with the counters of a closed one of its name. A name that is
// taken gets a number.
func (r *Registry) Add(p *Pool) {
	p.defaults()
	site := describe(callingSite(mostNear))
	r.mu.Lock()
	wanted := p.name
	for number := 2; ; number++ {
		i := r.find(p.app, p.name)
		if i < 0 {
			r.pools = append(r.pools, p)
			break
		}
		if _, open := r.pools[i].Look(); !open {
			p.adopt(r.pools[i])
			r.pools[i] = p
			break
		}
		p.name = fmt.Sprintf("%s-%d", wanted, number)
	}
	p.instances[site]++
	first := len(r.pools) == 1 && r.process == ""
	r.mu.Unlock()
	if first && r.OnFirst != nil {
		r.OnFirst(p.app)
	}
}

func (r *Registry) find(app, name string) int {
	for i, p := range r.pools {
		if p.app == app && p.name == name {
			return i
		}
	}
	return -1
}

// Name sets the name of the process; else it is `host:pid-PID`.
func (r *Registry) Name(process string) {
	r.mu.Lock()
	r.process = process
	r.mu.Unlock()
}

// Refresh looks at the state of all pools, see Pool.Refresh.
func (r *Registry) Refresh() {
	pools, _ := r.snapshot()
	for _, p := range pools {
		p.Refresh()
	}
}

func (r *Registry) snapshot() ([]*Pool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.pools), r.process
}

// Read returns the series of all pools.
func (r *Registry) Read() []Series {
	pools, process := r.snapshot()
	if process == "" {
		process = fmt.Sprintf("%s:pid-%d", Host(), os.Getpid())
	}
	var series []Series
	for _, p := range pools {
		series = append(series, p.read(process)...)
	}
	return series
}

// Host is the host's name, as other parts of its monitoring know it.
func Host() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// adopt takes over the counters of a closed pool, as far as they go on.
func (p *Pool) adopt(former *Pool) {
	former.mu.Lock()
	defer former.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acquire, p.hold, p.instances = former.acquire, former.hold, former.instances
	p.demand.adopt(former.demand)
	p.failed, p.queued = p.failed+former.failed, p.queued+former.queued
	p.connects, p.lost = p.connects+former.connects, p.lost+former.lost
	p.connectErrors, p.saturated = p.connectErrors+former.connectErrors, former.saturated
	for kind, count := range former.timeouts {
		p.timeouts[kind] += count
	}
}

// defaults fills in what the options leave out.
func (p *Pool) defaults() {
	if p.app == "" {
		p.app = os.Getenv("PG_POOL_EXPORTER_APP")
	}
	if p.app == "" {
		p.app = filepath.Base(os.Args[0])
	}
	if p.name == "" {
		p.name = "main"
	}
	if p.server == "" {
		p.server = os.Getenv("PG_POOL_EXPORTER_SERVER")
	}
	if p.leakAfter <= 0 {
		p.leakAfter = leakAfterOfEnvironment()
	}
}

const defaultLeakAfter = 60 * time.Second

var (
	duration = regexp.MustCompile(`^(\d+(?:\.\d+)?)(ms|s|m|h|d)$`)
	units    = map[string]float64{"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
)

func leakAfterOfEnvironment() time.Duration {
	const name = "PG_POOL_EXPORTER_LEAK_AFTER"
	text := os.Getenv(name)
	if text == "" {
		return defaultLeakAfter
	}
	if found := duration.FindStringSubmatch(text); found != nil {
		number, _ := strconv.ParseFloat(found[1], 64)
		if seconds := number * units[found[2]]; seconds > 0 {
			return time.Duration(seconds * float64(time.Second))
		}
	}
	// A slip in a threshold must not cost all that is measured.
	slog.Warn("threshold ignored: it must be a duration such as 90s, more than 0", "variable", name)
	return defaultLeakAfter
}

// IsTimeout tells a deadline from other failures.
func IsTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

type longLivedKey struct{}

// LongLived marks a context, see IsLongLived.
func LongLived(ctx context.Context) context.Context {
	return context.WithValue(ctx, longLivedKey{}, true)
}

// IsLongLived says whether a checkout with this context is declared long-lived.
func IsLongLived(ctx context.Context) bool { return ctx.Value(longLivedKey{}) != nil }
