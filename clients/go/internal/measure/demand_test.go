package measure

import (
	"slices"
	"testing"
	"time"
)

func TestTheDemandIsTheTimeAtEachLevel(t *testing.T) {
	d := newDemand(0)
	d.turn(1, 2*time.Second) // nothing was in demand until now
	d.turn(7, 5*time.Second)
	d.turn(500, 5500*time.Millisecond)
	d.turn(0, 7500*time.Millisecond)
	all := d.cumulated()
	// At most 1 for 5 s, 8 for 5.5 s, and without a bound for 7.5 s.
	if found := []uint64{all[0], all[5], all[6], all[len(all)-1]}; !slices.Equal(found, []uint64{5, 5, 5, 7}) {
		t.Errorf("whole seconds are %v", found)
	}
	if d.sum != 1*3+7*0.5+500*2 {
		t.Errorf("the demand integrated is %v", d.sum)
	}
	next := newDemand(20 * time.Second)
	next.adopt(d)
	next.turn(0, 21*time.Second)
	if all := next.cumulated(); all[len(all)-1] != 8 {
		t.Errorf("a successor has measured %v s", all[len(all)-1])
	}
}
