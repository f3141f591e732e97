package io.github.pgpoolexporter;

import io.github.pgpoolexporter.Catalogue.Series;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A measured pool with its names, and its series at a reading. */
final class MeasuredPool {
  private static final int MAX_SITES = 30;
  private static final Pattern URL =
      Pattern.compile("jdbc:postgresql://([^/:,]+|\\[[^]]+])(?::(\\d+))?/([^?]*).*");

  final String app;
  String name;
  final Pool pool;
  final Library library;
  private final String server;
  private final double leakAfter;
  // Where its sessions lead; empty is unknown.
  private volatile List<String> leadsTo;

  MeasuredPool(
      String app, String name, String server, double leakAfter, Pool pool, Library library) {
    this.app = app;
    this.name = name;
    this.server = server;
    this.leakAfter = leakAfter;
    this.pool = pool;
    this.library = library;
  }

  /** Learns from the first session where it leads. Asks the driver only, never the server. */
  void learnFrom(Connection connection) {
    if (leadsTo != null) {
      return;
    }
    var found = List.of("", "", "", "", "");
    try {
      var about = connection.getMetaData();
      var url = about.getURL() == null ? null : URL.matcher(about.getURL());
      if (url != null && url.matches()) {
        var port = url.group(2) == null ? "5432" : url.group(2);
        var application = connection.getClientInfo("ApplicationName");
        var user = about.getUserName();
        found = Stream.of(url.group(1), port, url.group(3), user, application)
            .map(text -> text == null ? "" : text).toList();
      }
    } catch (SQLException | RuntimeException error) {
      // Measuring never costs the application anything.
    }
    leadsTo = found;
  }

  /** Looks at the limit, which an application can change at any time. */
  void refresh() {
    var max = library.number("max");
    pool.lock.lock();
    try {
      pool.limit = max > 0 ? max : Double.POSITIVE_INFINITY;
      pool.countDropped();
      pool.turn(System.nanoTime());
    } finally {
      pool.lock.unlock();
    }
  }

  List<Series> read(String process) {
    var reading = new Reading(process);
    var open = library.isOpen();
    var idle = open ? library.number("idle") : 0;
    var min = library.number("min");
    if (open) {
      refresh();
    }
    pool.lock.lock();
    try {
      var now = System.nanoTime();
      if (open) {
        gauges(reading, now, idle, min);
      } else {
        reading.add("connections", 0, "idle");
        reading.add("connections", 0, "active");
      }
      counters(reading, now);
    } finally {
      pool.lock.unlock();
    }
    var to = leadsTo == null ? List.of("", "", "", "", "") : leadsTo;
    var pid = String.valueOf(ProcessHandle.current().pid());
    reading.add("info", 1, library.client(), library.version(), "", "instrumented", pid,
        to.get(0), to.get(1), server, to.get(2), to.get(3), to.get(4));
    return reading.series;
  }

  private void gauges(Reading reading, long now, double idle, double min) {
    var overdue = new HashMap<String, Double>();
    var longLived = 0;
    for (var checkout : pool.out) {
      if (checkout.longLived) {
        longLived++;
      } else if (now - checkout.since >= leakAfter * 1e9) {
        overdue.merge(Sites.describe(checkout.site), 1.0, Double::sum);
      }
    }
    var active = pool.out.size() + pool.leaked;
    reading.add("connections", idle, "idle");
    reading.add("connections", active, "active");
    reading.add("max_connections", Double.isInfinite(pool.limit) ? Double.NaN : pool.limit);
    reading.add("min_connections", min);
    reading.add("oldest_active_seconds", age(now, pool.out.stream().mapToLong(one -> one.since)
        .min().orElse(Long.MIN_VALUE)));
    reading.add("long_lived_connections", longLived);
    reading.bySite("overdue_connections", overdue);
    reading.bySite("leaked_slots", pool.leakedSlots);
    var waiting = pool.waiting();
    reading.add("waiting_requests", waiting);
    if (waiting > 0) {
      var first = pool.requests.stream().skip(pool.requests.size() - (long) waiting).findFirst();
      reading.add("oldest_waiting_seconds", age(now, first.orElseThrow().asked));
    }
  }

  private static double age(long now, long since) {
    return since == Long.MIN_VALUE ? Double.NaN : (now - since) / 1e9;
  }

  private void counters(Reading reading, long now) {
    var running = pool.out.stream().mapToDouble(one -> now - one.since).sum();
    var lost = pool.leaked * now - pool.leakedSince;
    reading.add("active_connection_seconds_total", (pool.hold.sum + running + lost) / 1e9);
    if (!Double.isInfinite(pool.limit)) {
      reading.add("saturated_seconds_total", pool.saturatedUntil(now) / 1e9);
    }
    reading.add("requests_total", pool.acquire.count + pool.failed + pool.requests.size());
    reading.add("queued_requests_total", pool.queued);
    reading.add("timeouts_total", pool.timeouts, "pool");
    reading.histogram("acquire_seconds", pool.acquire);
    reading.histogram("hold_seconds", pool.hold);
    reading.histogram("demand_connections", pool.demand.sum(), pool.demand.cumulated());
    reading.add("acquire_wait_seconds_total", pool.acquire.sum / 1e9);
    reading.add("acquired_total", pool.acquire.count);
    reading.add("held_seconds_total", pool.hold.sum / 1e9);
    reading.add("returned_total", pool.hold.count);
    reading.add("leaked_connections_total", pool.leaked);
    reading.add("leak_threshold_seconds", leakAfter);
    reading.bySite("instances_total", pool.instances);
  }

  /** The series of this pool as they are added up. */
  private final class Reading {
    private final List<String> key;
    private final List<Series> series = new ArrayList<>();

    private Reading(String process) {
      key = List.of(app, name, process);
    }

    /** An unknown value, NaN, has no series. */
    private void add(String metric, double value, String... own) {
      if (!Double.isNaN(value)) {
        var values = Stream.concat(key.stream(), Stream.of(own)).toList();
        series.add(new Series(Catalogue.BY_NAME.get(metric), values, value, null));
      }
    }

    private void histogram(String metric, Pool.Histogram histogram) {
      var buckets = histogram.counts.clone();
      for (var i = 1; i < buckets.length; i++) {
        buckets[i] += buckets[i - 1];
      }
      histogram(metric, histogram.sum / 1e9, buckets);
    }

    private void histogram(String metric, double sum, long[] cumulated) {
      series.add(new Series(Catalogue.BY_NAME.get(metric), key, sum, cumulated));
    }

    /** The lines with the most have a name of their own; the others are added up. */
    private void bySite(String metric, Map<String, Double> counts) {
      Comparator<Map.Entry<String, Double>> most = Map.Entry.comparingByValue();
      var sites = counts.entrySet().stream()
          .sorted(most.reversed().thenComparing(Map.Entry.comparingByKey())).toList();
      sites.stream().limit(MAX_SITES).forEach(site -> add(metric, site.getValue(), site.getKey()));
      if (sites.size() > MAX_SITES) {
        add(metric, sites.stream().skip(MAX_SITES).mapToDouble(Map.Entry::getValue).sum(), "other");
      }
    }
  }
}
