package io.github.pgpoolexporter;

/**
 * How long the demand of a pool, connections checked out and requests that wait, was at each level;
 * in nanoseconds.
 */
final class Demand {
  private final double[] bounds =
      Catalogue.BY_NAME.get("demand_connections").bounds().stream().mapToDouble(one -> one).toArray();
  private final long[] spent = new long[bounds.length + 1]; // the last is above all bounds
  private double sum;
  private double level;
  private long since;

  Demand(long now) {
    since = now;
  }

  /** Adds the time since the last turn, and notes the level from now on. */
  void turn(double next, long now) {
    var i = 0;
    while (i < bounds.length && level > bounds[i]) {
      i++;
    }
    spent[i] += now - since;
    sum += level * (now - since);
    level = next;
    since = now;
  }

  /** Takes over the time of a closed pool. */
  void adopt(Demand former) {
    sum += former.sum;
    for (var i = 0; i < spent.length; i++) {
      spent[i] += former.spent[i];
    }
  }

  /** Connections times seconds. */
  double sum() {
    return sum / 1e9;
  }

  /** Whole seconds, cumulated: none ever falls. */
  long[] cumulated() {
    var all = spent.clone();
    for (var i = 1; i < all.length; i++) {
      all[i] += all[i - 1];
    }
    for (var i = 0; i < all.length; i++) {
      all[i] /= 1_000_000_000;
    }
    return all;
  }
}
