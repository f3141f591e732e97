package io.github.pgpoolexporter;

import java.time.Duration;

/**
 * What an application says of a pool; null, or 0, where it leaves something to the environment.
 *
 * @param app the application; else {@code PG_POOL_EXPORTER_APP}, else the main class
 * @param pool the pool's name; else the library's name for it, else {@code main}
 * @param server its name in the exporter's configuration; else {@code PG_POOL_EXPORTER_SERVER}
 * @param leakAfter age at which a checkout is overdue; else {@code PG_POOL_EXPORTER_LEAK_AFTER}, 60 s
 * @param siteSampling looks for the line of code of one checkout in so many; 0 and 1 of each
 */
public record Options(
    String app, String pool, String server, Duration leakAfter, int siteSampling) {
  public static Options of(String app, String pool) {
    return new Options(app, pool, null, null, 1);
  }

  public Options withServer(String name) {
    return new Options(app, pool, name, leakAfter, siteSampling);
  }

  public Options withLeakAfter(Duration age) {
    return new Options(app, pool, server, age, siteSampling);
  }

  public Options withSiteSampling(int oneIn) {
    return new Options(app, pool, server, leakAfter, oneIn);
  }
}
