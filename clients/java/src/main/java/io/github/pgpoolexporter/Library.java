package io.github.pgpoolexporter;

import java.lang.ref.WeakReference;
import java.util.Map;
import javax.sql.DataSource;

/**
 * What a pool library knows of its pool, by the names of its public methods: no library is needed that
 * the application doesn't have. A figure that it doesn't have is NaN.
 */
final class Library {
  private record Names(String client, Map<String, String> methods) {}

  private static final Map<String, Names> KNOWN =
      Map.of(
          "com.zaxxer.hikari.HikariDataSource",
          new Names("hikaricp", Map.of(
              "idle", "getHikariPoolMXBean.getIdleConnections", "max", "getMaximumPoolSize",
              "min", "getMinimumIdle", "name", "getPoolName", "closed", "isClosed")),
          "org.apache.tomcat.jdbc.pool.DataSource",
          new Names("tomcat-jdbc", Map.of(
              "idle", "getIdle", "max", "getMaxActive", "min", "getMinIdle",
              "name", "getName", "closed", "getPool.isClosed")),
          "org.apache.commons.dbcp2.BasicDataSource",
          new Names("dbcp2", Map.of(
              "idle", "getNumIdle", "max", "getMaxTotal", "min", "getMinIdle",
              "closed", "isClosed")),
          "io.agroal.pool.DataSource",
          new Names("agroal", Map.of(
              "idle", "getMetrics.availableCount",
              "counts", "getConfiguration.metricsEnabled",
              "max", "getConfiguration.connectionPoolConfiguration.maxSize",
              "min", "getConfiguration.connectionPoolConfiguration.minSize")));

  // Weak: whoever measures a pool doesn't keep it.
  private final WeakReference<DataSource> source;
  private final Names names;

  Library(DataSource source) {
    this.source = new WeakReference<>(source);
    Names found = null;
    for (Class<?> type = source.getClass(); type != null && found == null; ) {
      found = KNOWN.get(type.getName());
      type = type.getSuperclass();
    }
    names = found == null ? new Names("jdbc", Map.of()) : found;
  }

  boolean isKnown() {
    return !names.methods().isEmpty();
  }

  String client() {
    return names.client();
  }

  /** The version that the library's own file states. */
  String version() {
    var pool = source.get();
    var version = pool == null ? null : pool.getClass().getPackage().getImplementationVersion();
    return version == null ? "" : version;
  }

  /** Whether the pool is there and not closed. */
  boolean isOpen() {
    return source.get() != null && !Boolean.TRUE.equals(value("closed"));
  }

  /** NaN where the library doesn't know, or doesn't count because nobody has told it to. */
  double number(String what) {
    if (what.equals("idle") && Boolean.FALSE.equals(value("counts"))) {
      return Double.NaN;
    }
    var known = value(what) instanceof Number number ? number.doubleValue() : Double.NaN;
    // HikariCP has -1 until the first checkout starts its pool, where nobody has set the figure.
    return known < 0 ? Double.NaN : known;
  }

  /** A text; empty where it is unknown. */
  String text(String what) {
    return value(what) instanceof String text ? text : "";
  }

  private Object value(String what) {
    Object found = source.get();
    var path = names.methods().get(what);
    if (path == null) {
      return null;
    }
    try {
      for (var name : path.split("\\.")) {
        if (found == null) {
          return null;
        }
        var method = found.getClass().getMethod(name);
        method.trySetAccessible();
        found = method.invoke(found);
      }
      return found;
    } catch (ReflectiveOperationException | RuntimeException error) {
      return null;
    }
  }
}
