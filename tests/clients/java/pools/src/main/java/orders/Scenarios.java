package orders;

import io.github.pgpoolexporter.PoolExporter;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Plays the scenarios of tests/test_client_scenarios.py with measured pools: a line a command. */
final class Scenarios {
  /** One that has begun. */
  private record Request(ScenarioPool pool, CompletableFuture<Connection> connection) {}

  private final Map<String, ScenarioPool> pools = new HashMap<>();
  private final Map<String, Request> requests = new HashMap<>();

  public static void main(String[] arguments) {
    var scenarios = new Scenarios();
    System.out.println("ready");
    for (var lines = new Scanner(System.in); lines.hasNextLine(); ) {
      System.out.println(scenarios.answer(lines.nextLine().split(" ")));
    }
    System.exit(0);
  }

  private String answer(String[] words) {
    try {
      obey(words);
      return "done";
    } catch (CompletionException error) {
      return "failed: " + error.getCause().getMessage().replace('\n', ' ');
    } catch (Exception error) {
      return "failed: " + String.valueOf(error.getMessage()).replace('\n', ' ');
    }
  }

  private Request begin(String[] words) throws Exception {
    var pool = pools.get(words[1]);
    pool.patience(Double.parseDouble(words[3]));
    var request = new Request(pool, CompletableFuture.supplyAsync(() -> {
      try {
        return pool.take();
      } catch (SQLException error) {
        throw new CompletionException(error);
      }
    }, task -> new Thread(task).start()));
    requests.put(words[2], request);
    return request;
  }

  private void obey(String[] words) throws Exception {
    var name = words[1];
    switch (words[0]) {
      case "open" -> pools.put(name, ScenarioPool.open(words[2], name));
      case "take" -> begin(words).connection().join();
      case "keep" -> PoolExporter.longLived(begin(words).connection().join());
      case "begin" -> begin(words);
      case "ended" -> {
        if (!requests.get(name).connection().isDone()) {
          throw new IllegalStateException("not yet");
        }
        requests.get(name).connection().join();
      }
      case "give" -> {
        try {
          requests.remove(name).connection().join().close();
        } catch (SQLException error) {
          // It is back all the same: some pools complain of a session that has died.
          System.err.println(error.getMessage());
        }
      }
      case "ask" -> {
        try (var statement = requests.get(name).connection().join().createStatement()) {
          statement.execute(String.join(" ", Arrays.copyOfRange(words, 2, words.length)));
        }
      }
      case "forget" -> requests.remove(name);
      case "use" -> pools.get(name).use(words[2]);
      case "leak" -> pools.get(name).leak(words[2]);
      case "close" -> {
        var pool = pools.remove(name);
        requests.put(words[2], new Request(null, CompletableFuture.supplyAsync(() -> {
          if (pool != null) {
            pool.close();
          }
          return null;
        })));
      }
      case "collect" -> {
        System.gc();
        Thread.sleep(10);
        System.gc();
      }
      default -> throw new IllegalArgumentException(words[0]);
    }
  }
}
