package orders;

import java.sql.Connection;
import java.sql.SQLException;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.ConcurrentLinkedQueue;
import javax.sql.DataSource;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Nothing about metrics: Spring Boot does it all. It obeys its input, like orders.Obey beside it. */
@SpringBootApplication
class Application implements CommandLineRunner {
  private final DataSource pool;
  private final Queue<Connection> held = new ConcurrentLinkedQueue<>();

  Application(DataSource pool) {
    this.pool = pool;
  }

  public static void main(String[] arguments) {
    SpringApplication.run(Application.class, arguments);
  }

  @Override
  public void run(String... arguments) throws SQLException {
    System.out.println("ready");
    for (var lines = new Scanner(System.in); lines.hasNextLine(); ) {
      switch (lines.nextLine()) {
        case "take" -> System.out.println(take());
        case "ask" -> {
          new Thread(this::take).start();
          System.out.println("done");
        }
        case "give" -> {
          held.remove().close();
          System.out.println("done");
        }
        case "forget" -> {
          pool.getConnection();
          System.out.println("done");
        }
        case "work" -> {
          work();
          System.out.println("done");
        }
      }
    }
    System.exit(0);
  }

  private void work() throws SQLException {
    try (var connection = pool.getConnection(); var statement = connection.createStatement()) {
      statement.execute("SELECT pg_sleep(3)");
    }
  }

  private String take() {
    try {
      held.add(pool.getConnection());
      return "done";
    } catch (SQLException error) {
      return "failed: " + error.getMessage();
    }
  }
}
