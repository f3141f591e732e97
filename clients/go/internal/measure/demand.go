package measure

import "time"

// demand adds up how long the demand of a pool, connections checked out and requests that wait, was
// at each level.
type demand struct {
	bounds []float64
	spent  []time.Duration // by bound; the last is above all of them
	sum    float64         // connections times seconds
	level  float64
	since  time.Duration
}

func newDemand(t time.Duration) demand {
	bounds := byName["demand_connections"].Bounds
	return demand{bounds: bounds, spent: make([]time.Duration, len(bounds)+1), since: t}
}

// turn adds the time since the last turn, and notes the level from now on.
func (d *demand) turn(level float64, t time.Duration) {
	i := 0
	for i < len(d.bounds) && d.level > d.bounds[i] {
		i++
	}
	d.spent[i] += t - d.since
	d.sum += d.level * (t - d.since).Seconds()
	d.level, d.since = level, t
}

// adopt takes over the time of a closed pool.
func (d *demand) adopt(former demand) {
	d.sum += former.sum
	for i, spent := range former.spent {
		d.spent[i] += spent
	}
}

// cumulated returns whole seconds: no bucket ever falls.
func (d *demand) cumulated() []uint64 {
	all, sum := make([]uint64, len(d.spent)), time.Duration(0)
	for i, spent := range d.spent {
		sum += spent
		all[i] = uint64(sum / time.Second)
	}
	return all
}
