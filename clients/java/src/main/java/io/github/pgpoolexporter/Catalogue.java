package io.github.pgpoolexporter;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The exporter's metrics of pools, in the order of its catalogue. */
public final class Catalogue {
  /** One of them; labels begin with app, pool and process, bounds are a histogram's, in seconds. */
  public record Metric(
      String name, String type, List<String> labels, List<Double> bounds, String help) {}

  /** A series at one reading; of a histogram the value is its sum, and buckets are cumulated. */
  public record Series(Metric metric, List<String> values, double value, long[] buckets) {}

  public static final List<Metric> METRICS = read();
  static final Map<String, Metric> BY_NAME =
      METRICS.stream()
          .collect(Collectors.toMap(m -> m.name().substring("pg_pool_".length()), Function.identity()));

  private Catalogue() {}

  private static List<Metric> read() {
    try (var file = Catalogue.class.getResourceAsStream("catalogue.tsv");
        var lines = new BufferedReader(new InputStreamReader(file, StandardCharsets.UTF_8))) {
      return lines.lines().map(line -> metric(line.split("\t", -1))).toList();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static Metric metric(String[] cells) {
    var bounds = words(cells[3]).map(Double::valueOf).toList();
    return new Metric(cells[0], cells[1], words(cells[2]).toList(), bounds, cells[4]);
  }

  private static Stream<String> words(String text) {
    return Stream.of(text.split(" ")).filter(word -> !word.isEmpty());
  }
}
