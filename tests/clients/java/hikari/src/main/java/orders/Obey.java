package orders;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.ConcurrentLinkedQueue;
import javax.sql.DataSource;

/**
 * Does to a pool (`client`, `micrometer`, `tracker` or `mbeans`) what the lines of its input say; each is
 * answered by a line once it is done: take, give, ask (without waiting for the answer), forget, work (a
 * query of three seconds).
 */
final class Obey {
  private final DataSource pool;
  private final Queue<Connection> held = new ConcurrentLinkedQueue<>();

  private Obey(DataSource pool) {
    this.pool = pool;
  }

  public static void main(String[] arguments) throws IOException {
    var port = Integer.parseInt(System.getenv("METRICS_PORT"));
    var address = new InetSocketAddress("127.0.0.1", port);
    DataSource pool = switch (arguments[0]) {
      case "client" -> MeasuredPool.open(address);
      case "micrometer" -> MicrometerPool.open(address);
      case "tracker" -> TrackedPool.open(address);
      case "mbeans" -> MBeanPool.open();
      default -> throw new IllegalArgumentException(arguments[0]);
    };
    var application = new Obey(pool);
    System.out.println("ready");
    for (var lines = new Scanner(System.in); lines.hasNextLine(); ) {
      System.out.println(application.answer(lines.nextLine()));
    }
    System.exit(0);
  }

  private String answer(String command) {
    try {
      switch (command) {
        case "take" -> take();
        case "give" -> held.remove().close();
        case "ask" -> new Thread(this::ask).start();
        case "forget" -> pool.getConnection();
        case "work" -> work();
        default -> throw new IllegalArgumentException(command);
      }
      return "done";
    } catch (SQLException error) {
      return "failed: " + error.getMessage();
    }
  }

  private void take() throws SQLException {
    held.add(pool.getConnection());
  }

  private void work() throws SQLException {
    try (var connection = pool.getConnection(); var statement = connection.createStatement()) {
      statement.execute("SELECT pg_sleep(3)");
    }
  }

  private void ask() {
    try {
      take();
    } catch (SQLException error) {
      System.err.println(error.getMessage());
    }
  }
}
