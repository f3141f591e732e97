package orders;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.github.pgpoolexporter.Options;
import io.github.pgpoolexporter.PoolExporter;
import java.sql.SQLException;
import java.util.concurrent.TimeUnit;
import javax.sql.DataSource;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** A checkout and its return: bare, measured, and measured without looking for the line of code. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class CheckoutBenchmark {
  @Param({"bare", "measured", "without lines"})
  public String kind;

  private HikariDataSource own;
  private DataSource pool;

  @Setup
  public void open() {
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    own = new HikariDataSource(config);
    var options = Options.of("orders", "bench");
    pool = switch (kind) {
      case "measured" -> PoolExporter.measure(own, options);
      case "without lines" -> PoolExporter.measure(own, options.withSiteSampling(1_000_000_000));
      default -> own;
    };
  }

  @Benchmark
  public boolean checkout() throws SQLException {
    try (var connection = pool.getConnection()) {
      return connection.isClosed();
    }
  }

  @TearDown
  public void close() {
    own.close();
  }
}
