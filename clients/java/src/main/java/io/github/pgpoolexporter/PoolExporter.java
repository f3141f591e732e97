package io.github.pgpoolexporter;

import io.github.pgpoolexporter.Catalogue.Series;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.channels.ServerSocketChannel;
import java.sql.Connection;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Pattern;
import javax.sql.DataSource;

/**
 * Measures connection pools for pg-pool-exporter: who waits, what is lost, and which line of code holds
 * a connection. The pools are shown on a unix socket that the exporter finds by itself.
 */
public final class PoolExporter {
  static final Logger LOG = Logger.getLogger(PoolExporter.class.getPackageName());
  private static final double LEAK_AFTER_SECONDS = 60;
  private static final Pattern DURATION = Pattern.compile("(\\d+(?:\\.\\d+)?)(ms|s|m|h|d)");
  private static final Map<String, Double> UNITS =
      Map.of("ms", 0.001, "s", 1.0, "m", 60.0, "h", 3600.0, "d", 86400.0);

  private static final List<MeasuredPool> POOLS = new ArrayList<>();
  private static final List<Runnable> LOOKERS = new CopyOnWriteArrayList<>();
  private static SocketServer socket;

  private PoolExporter() {}

  /** Measures a pool, any {@code DataSource}: give what it returns to the application. */
  public static DataSource measure(DataSource source, Options options) {
    if (source instanceof MeasuredDataSource) {
      return source;
    }
    var library = new Library(source);
    var pool = new Pool(options.siteSampling());
    var server = or(options.server(), environment("PG_POOL_EXPORTER_SERVER"));
    var measured = new MeasuredPool(app(options), or(options.pool(), or(library.text("name"), "main")),
        server, leakAfter(options), pool, library);
    pool.instances.put(Sites.describe(Sites.calling()), 1.0);
    add(measured);
    measured.refresh();
    return new MeasuredDataSource(source, measured);
  }

  private static synchronized void add(MeasuredPool measured) {
    var wanted = measured.name;
    for (var number = 2; ; number++) {
      var i = find(measured);
      if (i < 0) {
        POOLS.add(measured);
        break;
      }
      if (!POOLS.get(i).library.isOpen()) {
        var own = measured.pool.instances;
        measured.pool.adopt(POOLS.get(i).pool);
        own.forEach((site, count) -> measured.pool.instances.merge(site, count, Double::sum));
        POOLS.set(i, measured);
        break;
      }
      measured.name = wanted + "-" + number;
    }
    if (socket == null) {
      socket = new SocketServer(measured.app);
      socket.start();
    }
  }

  private static int find(MeasuredPool wanted) {
    for (var i = 0; i < POOLS.size(); i++) {
      if (POOLS.get(i).app.equals(wanted.app) && POOLS.get(i).name.equals(wanted.name)) {
        return i;
      }
    }
    return -1;
  }

  private static synchronized List<MeasuredPool> pools() {
    return List.copyOf(POOLS);
  }

  /** Declares a connection that is checked out long-lived: it is never overdue. Returns it. */
  public static Connection longLived(Connection connection) {
    MeasuredDataSource.exempt(connection);
    return connection;
  }

  /** The metrics of this process as Prometheus text. */
  public static String metrics() {
    return Page.text(series());
  }

  /** The series of all pools of this process. */
  public static List<Series> series() {
    SocketServer served;
    synchronized (PoolExporter.class) {
      served = socket;
    }
    var process = served == null ? host() : served.process();
    return pools().stream().flatMap(pool -> pool.read(process).stream()).toList();
  }

  /** Whether this is a pool whose figures are known: HikariCP's, Agroal's, Tomcat's, DBCP2's. */
  public static boolean isPool(DataSource source) {
    return new Library(source).isKnown();
  }

  /** The library's own name for a pool, else another one. */
  public static String nameOf(DataSource source, String otherwise) {
    return or(new Library(source).text("name"), otherwise);
  }

  /** Has something done now, and each time that the pools are looked at: every two seconds. */
  public static void onLook(Runnable task) {
    task.run();
    LOOKERS.add(task);
  }

  static void look() {
    pools().forEach(MeasuredPool::refresh);
    LOOKERS.forEach(Runnable::run);
  }

  /** Serves the metrics on a port, in daemon threads. The caller may close what is returned. */
  public static AutoCloseable serve(InetSocketAddress address) throws IOException {
    var listening = ServerSocketChannel.open().bind(address);
    Supplier<String> page = PoolExporter::metrics;
    new Page.Server(listening, page).start();
    return listening;
  }

  static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException error) {
      return "localhost";
    }
  }

  private static String app(Options options) {
    var command = or(System.getProperty("sun.java.command", ""), "java").split(" ")[0];
    var last = command.substring(command.lastIndexOf('/') + 1).replaceAll("\\.jar$", "");
    return or(options.app(), or(environment("PG_POOL_EXPORTER_APP"), last));
  }

  /** Seconds. A slip in the environment costs nothing but a warning. */
  private static double leakAfter(Options options) {
    if (options.leakAfter() != null) {
      return options.leakAfter().toNanos() / 1e9;
    }
    var given = environment("PG_POOL_EXPORTER_LEAK_AFTER");
    var found = DURATION.matcher(given);
    if (found.matches()) {
      var seconds = Double.parseDouble(found.group(1)) * UNITS.get(found.group(2));
      if (seconds > 0) {
        return seconds;
      }
    }
    if (!given.isEmpty()) {
      LOG.log(Level.WARNING, "PG_POOL_EXPORTER_LEAK_AFTER is ignored: it must be a duration such "
          + "as 90s, more than 0");
    }
    return LEAK_AFTER_SECONDS;
  }

  static String environment(String name) {
    return or(System.getenv(name), "");
  }

  private static String or(String given, String otherwise) {
    return given == null || given.isEmpty() ? otherwise : given;
  }
}
