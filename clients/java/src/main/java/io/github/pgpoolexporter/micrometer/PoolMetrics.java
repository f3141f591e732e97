package io.github.pgpoolexporter.micrometer;

import io.github.pgpoolexporter.Catalogue.Series;
import io.github.pgpoolexporter.PoolExporter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Shows the measured pools in a Micrometer registry, under the exporter's names. Without histograms,
 * which Micrometer takes only as they are observed, and without {@code pg_pool_info}, a name that
 * Prometheus's library for Java reserves. A new series appears within two seconds.
 */
public final class PoolMetrics implements MeterBinder {
  private record Key(String name, List<String> values) {}

  /** Figures of one scrape are read together; those of the last one would show what has ended. */
  private static final long READ_NANOS = 50_000_000;

  private final Map<Key, Meter> meters = new HashMap<>();
  private volatile Map<Key, Double> values = Map.of();
  private volatile long read;

  @Override
  public void bindTo(MeterRegistry registry) {
    PoolExporter.onLook(() -> update(registry));
  }

  private synchronized void update(MeterRegistry registry) {
    var shown = read();
    meters.entrySet().removeIf(one -> {
      var gone = !shown.containsKey(one.getKey());
      if (gone) {
        registry.remove(one.getValue());
      }
      return gone;
    });
    shown.forEach((key, series) ->
        meters.computeIfAbsent(key, unknown -> register(registry, key, series)));
  }

  private Map<Key, Series> read() {
    var shown = PoolExporter.series().stream()
        .filter(series -> series.buckets() == null && !series.metric().name().endsWith("_info"))
        .collect(Collectors.toMap(PoolMetrics::key, series -> series));
    values = shown.entrySet().stream()
        .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().value()));
    read = System.nanoTime();
    return shown;
  }

  private static Key key(Series series) {
    return new Key(series.metric().name(), series.values());
  }

  private Meter register(MeterRegistry registry, Key key, Series series) {
    var metric = series.metric();
    var name = metric.name().replaceFirst("_total$", "").replace('_', '.');
    var tags = IntStream.range(0, metric.labels().size())
        .mapToObj(i -> Tag.of(metric.labels().get(i), series.values().get(i))).toList();
    if (metric.type().equals("counter")) {
      return FunctionCounter.builder(name, this, own -> own.value(key))
          .tags(tags).description(metric.help()).register(registry);
    }
    return Gauge.builder(name, this, own -> own.value(key))
        .tags(tags).description(metric.help()).strongReference(true).register(registry);
  }

  private double value(Key key) {
    if (System.nanoTime() - read > READ_NANOS) {
      read();
    }
    return values.getOrDefault(key, Double.NaN);
  }
}
