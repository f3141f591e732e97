package orders;

import io.quarkus.runtime.QuarkusApplication;
import io.quarkus.runtime.annotations.QuarkusMain;
import io.vertx.sqlclient.Pool;
import jakarta.inject.Inject;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.ConcurrentLinkedQueue;
import javax.sql.DataSource;

/**
 * Nothing about metrics: Quarkus does it all, for its two pools. It obeys its input, like orders.Obey
 * beside it, with the one that its argument names: `jdbc` or `reactive`.
 */
@QuarkusMain
public class Application implements QuarkusApplication {
  /** Gives connections, which are returned when they are closed. */
  private interface Lender {
    AutoCloseable take() throws Exception;
  }

  @Inject DataSource jdbc;
  @Inject Pool reactive;

  private final Queue<AutoCloseable> held = new ConcurrentLinkedQueue<>();
  private Lender pool;

  @Override
  public int run(String... arguments) {
    pool = arguments[0].equals("jdbc") ? jdbc::getConnection : this::takeReactive;
    System.out.println("ready");
    for (var lines = new Scanner(System.in); lines.hasNextLine(); ) {
      System.out.println(answer(lines.nextLine()));
    }
    return 0;
  }

  private AutoCloseable takeReactive() throws Exception {
    var connection = ReactivePool.end(reactive.getConnection());
    return () -> ReactivePool.end(connection.close());
  }

  private String answer(String command) {
    try {
      switch (command) {
        case "take" -> held.add(pool.take());
        case "give" -> held.remove().close();
        case "ask" -> new Thread(() -> answer("take")).start();
        case "forget" -> pool.take();
        default -> throw new IllegalArgumentException(command);
      }
      return "done";
    } catch (Exception error) {
      return "failed: " + error.getMessage();
    }
  }
}
