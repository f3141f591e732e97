package orders;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.net.InetSocketAddress;
import java.sql.Connection;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Does to a pool (its argument) what the lines of its input say; each is answered by a line once it
 * is done: take, give, ask (without waiting for the answer), forget, work (a query of three seconds,
 * with JDBC).
 */
final class Obey {
  /** Opens a pool whose metrics are in a registry. */
  private interface Opening {
    Lender open(MeterRegistry registry) throws Exception;
  }

  private final Lender pool;
  private final Queue<AutoCloseable> held = new ConcurrentLinkedQueue<>();

  private Obey(Lender pool) {
    this.pool = pool;
  }

  public static void main(String[] arguments) throws Exception {
    var port = Integer.parseInt(System.getenv("METRICS_PORT"));
    var application = new Obey(open(arguments[0], new InetSocketAddress("127.0.0.1", port)));
    System.out.println("ready");
    for (var lines = new Scanner(System.in); lines.hasNextLine(); ) {
      System.out.println(application.answer(lines.nextLine()));
    }
    System.exit(0);
  }

  private static Lender open(String kind, InetSocketAddress address) throws Exception {
    return switch (kind) {
      case "client" -> MeasuredPool.open(address)::getConnection;
      case "micrometer" -> MicrometerPool.open(address)::getConnection;
      case "tracker" -> TrackedPool.open(address)::getConnection;
      case "mbeans" -> MBeanPool.open()::getConnection;
      case "spring-agroal" -> shown(SpringPools::agroal, address);
      case "spring-tomcat" -> shown(SpringPools::tomcat, address);
      case "spring-dbcp2" -> shown(SpringPools::dbcp2, address);
      case "spring-r2dbc" -> shown(SpringPools::r2dbc, address);
      case "commons-pool2" -> shown(SpringPools::commonsPool2, address);
      case "vertx" -> shown(VertxPool::open, address);
      // An agent shows these.
      case "c3p0" -> JdbcPools.c3p0()::getConnection;
      case "dbcp2" -> JdbcPools.registeredDbcp2()::getConnection;
      case "hikari" -> JdbcPools.hikari()::getConnection;
      case "tomcat" -> JdbcPools.tomcat()::getConnection;
      default -> throw new IllegalArgumentException(kind);
    };
  }

  private static Lender shown(Opening opening, InetSocketAddress address) throws Exception {
    var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    var pool = opening.open(registry);
    MetricsPage.serve(registry, address);
    return pool;
  }

  private String answer(String command) {
    try {
      switch (command) {
        case "take" -> take();
        case "give" -> held.remove().close();
        case "ask" -> new Thread(this::ask).start();
        case "forget" -> pool.take();
        case "work" -> work();
        default -> throw new IllegalArgumentException(command);
      }
      return "done";
    } catch (Exception error) {
      return "failed: " + error.getMessage();
    }
  }

  private void take() throws Exception {
    held.add(pool.take());
  }

  private void work() throws Exception {
    try (var connection = (Connection) pool.take(); var statement = connection.createStatement()) {
      statement.execute("SELECT pg_sleep(3)");
    }
  }

  private void ask() {
    try {
      take();
    } catch (Exception error) {
      System.err.println(error.getMessage());
    }
  }
}
