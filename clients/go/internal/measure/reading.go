package measure

import (
	"cmp"
	_ "embed"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Metric is one of the exporter's metrics of pools.
type Metric struct {
	Name, Type, Help string
	// Labels begin with app, pool and process.
	Labels []string
	Bounds []float64
}

// Series is one series at one reading. Buckets are cumulated and belong to a histogram, whose sum is
// Value; they have one entry a bound, and a last one for all.
type Series struct {
	*Metric
	Values  []string
	Value   float64
	Buckets []uint64
}

//go:embed catalogue.tsv
var catalogue string

// Metrics are those of the exporter's catalogue, in its order.
var Metrics = func() (metrics []*Metric) {
	for line := range strings.Lines(catalogue) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		m := &Metric{Name: cells[0], Type: cells[1], Help: cells[4], Labels: strings.Fields(cells[2])}
		for _, bound := range strings.Fields(cells[3]) {
			value, _ := strconv.ParseFloat(bound, 64)
			m.Bounds = append(m.Bounds, value)
		}
		metrics = append(metrics, m)
	}
	return metrics
}()

var byName = func() map[string]*Metric {
	named := map[string]*Metric{}
	for _, m := range Metrics {
		named[strings.TrimPrefix(m.Name, "pg_pool_")] = m
	}
	return named
}()

// Lines of code that get a name of their own; the others are added up as "other".
const maxSites = 30

type histogram struct {
	bounds []time.Duration
	counts []uint64
	count  uint64
	sum    time.Duration
}

func newHistogram(name string) *histogram {
	h := &histogram{}
	for _, bound := range byName[name].Bounds {
		h.bounds = append(h.bounds, time.Duration(bound*float64(time.Second)))
	}
	h.counts = make([]uint64, len(h.bounds)+1)
	return h
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i]++
	h.count++
	h.sum += d
}

func (h *histogram) cumulated() []uint64 {
	all, sum := make([]uint64, len(h.counts)), uint64(0)
	for i, count := range h.counts {
		sum += count
		all[i] = sum
	}
	return all
}

// reader collects the series of one pool.
type reader struct {
	labels []string
	series []Series
}

// add has no series for an unknown value.
func (r *reader) add(name string, value float64, labels ...string) {
	if !math.IsNaN(value) {
		values := slices.Concat(r.labels, labels)
		r.series = append(r.series, Series{Metric: byName[name], Values: values, Value: value})
	}
}

func (r *reader) bySite(name string, counts map[string]float64) {
	sites := make([]string, 0, len(counts))
	for site := range counts {
		sites = append(sites, site)
	}
	slices.SortFunc(sites, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	others := 0.0
	for i, site := range sites {
		if i < maxSites {
			r.add(name, counts[site], site)
		} else {
			others += counts[site]
		}
	}
	if others > 0 {
		r.add(name, others, "other")
	}
}

func (r *reader) histogram(name string, sum float64, cumulated []uint64) {
	values := slices.Clone(r.labels)
	r.series = append(r.series, Series{byName[name], values, sum, cumulated})
}

// read returns the pool's series; of a closed pool its counters.
func (p *Pool) read(process string) []Series {
	state, open := p.Refresh()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := now()
	r := &reader{labels: []string{p.app, p.name, process}}
	if open {
		p.readState(r, state, t)
	} else {
		r.add("connections", 0, "idle")
		r.add("connections", 0, "active")
	}
	p.readCounters(r, state, t)
	info := p.info
	r.add("info", 1, info.Client, info.Version, "", "instrumented", strconv.Itoa(os.Getpid()),
		info.Host, info.Port, p.server, info.Database, info.User, info.Application)
	return r.series
}

func (p *Pool) readState(r *reader, state State, t time.Duration) {
	oldestActive, oldestIdle, longLived := Unknown, Unknown, 0.0
	overdue := map[string]float64{}
	for _, s := range p.sessions {
		age := t - s.since
		if !s.isOut {
			oldestIdle = older(oldestIdle, age)
			continue
		}
		oldestActive = older(oldestActive, age)
		if s.longLived {
			longLived++
		} else if age >= p.leakAfter {
			overdue[describe(s.site)]++
		}
	}
	r.add("connections", state.Idle, "idle")
	r.add("connections", float64(p.out)+p.leaked, "active")
	r.add("max_connections", state.Max)
	r.add("min_connections", state.Min)
	r.add("oldest_idle_seconds", oldestIdle)
	r.add("oldest_active_seconds", oldestActive)
	r.add("long_lived_connections", longLived)
	r.bySite("overdue_connections", overdue)
	if p.Drops {
		r.bySite("leaked_slots", p.leakedSites)
	}
	if p.Requests {
		waiting := p.waiting()
		r.add("waiting_requests", waiting)
		first := p.requests.previous
		for i := 1.0; i < waiting; i++ {
			first = first.previous
		}
		if waiting > 0 {
			r.add("oldest_waiting_seconds", (t - first.asked).Seconds())
		}
	}
}

func older(oldest float64, age time.Duration) float64 {
	if age.Seconds() <= oldest {
		return oldest
	}
	return age.Seconds()
}

func (p *Pool) readCounters(r *reader, state State, t time.Duration) {
	active := p.hold.sum.Seconds() + p.leaked*t.Seconds() - p.leakedSince.Seconds()
	for _, s := range p.sessions {
		if s.isOut {
			active += (t - s.since).Seconds()
		}
	}
	r.add("active_connection_seconds_total", active)
	if !math.IsInf(p.limit, 1) {
		saturated := p.saturated
		if p.isFull {
			saturated += t - p.fullSince
		}
		r.add("saturated_seconds_total", saturated.Seconds())
	}
	if p.Requests {
		r.add("requests_total", float64(p.acquire.count)+p.failed+float64(p.inFlight))
		r.add("queued_requests_total", p.queued)
		r.add("acquire_wait_seconds_total", p.acquire.sum.Seconds())
		r.histogram("acquire_seconds", p.acquire.sum.Seconds(), p.acquire.cumulated())
		r.histogram("demand_connections", p.demand.sum, p.demand.cumulated())
	} else {
		r.add("queued_requests_total", state.Queued)
		r.add("acquire_wait_seconds_total", state.AcquireWait)
	}
	for _, kind := range p.Timeouts {
		r.add("timeouts_total", p.timeouts[kind], kind)
	}
	r.histogram("hold_seconds", p.hold.sum.Seconds(), p.hold.cumulated())
	r.add("acquired_total", float64(p.acquire.count))
	r.add("held_seconds_total", p.hold.sum.Seconds())
	r.add("returned_total", float64(p.hold.count))
	r.add("connects_total", p.connects)
	r.add("connect_errors_total", p.connectErrors)
	r.add("lost_connections_total", p.lost)
	if p.Drops {
		r.add("leaked_connections_total", p.leaked)
	}
	r.add("leak_threshold_seconds", p.leakAfter.Seconds())
	r.bySite("instances_total", p.instances)
}
