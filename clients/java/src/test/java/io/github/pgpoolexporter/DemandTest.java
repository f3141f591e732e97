package io.github.pgpoolexporter;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class DemandTest {
  private static final long SECOND = 1_000_000_000;

  @Test
  void theDemandIsTheTimeAtEachLevelInWholeSeconds() {
    var demand = new Demand(0);
    demand.turn(1, 2 * SECOND); // nothing was in demand until now
    demand.turn(7, 5 * SECOND);
    demand.turn(500, 5 * SECOND + SECOND / 2);
    demand.turn(0, 7 * SECOND + SECOND / 2);
    var all = demand.cumulated();
    assertEquals(5, all[0]);
    assertEquals(5, all[6], "at most 8");
    assertEquals(7, all[all.length - 1]);
    assertEquals(3 + 7 * 0.5 + 1000, demand.sum());
    var next = new Demand(20 * SECOND);
    next.adopt(demand);
    next.turn(0, 21 * SECOND);
    assertEquals(8, next.cumulated()[all.length - 1]);
  }
}
