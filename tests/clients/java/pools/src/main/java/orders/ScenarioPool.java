package orders;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.agroal.api.AgroalDataSource;
import io.agroal.api.configuration.AgroalConnectionPoolConfiguration.ConnectionValidator;
import io.agroal.api.configuration.supplier.AgroalDataSourceConfigurationSupplier;
import io.github.pgpoolexporter.Options;
import io.github.pgpoolexporter.PoolExporter;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.BasicDataSource;

/** A pool of a kind, used as an application uses it. */
final class ScenarioPool {
  private static final int SIZE = 2;
  private static final String HOUSEKEEPING = "com.zaxxer.hikari.housekeeping.periodMs";
  private static final Duration LEAK_AFTER = Duration.ofNanos(1);

  // A reference that lasts: what nothing refers to is dropped, as soon as Java collects it.
  private static final List<Connection> KEPT = new ArrayList<>();

  /** How long a request waits. Most libraries have it for the pool, not for the request. */
  private interface Patience {
    void set(Duration patience) throws Exception;
  }

  private final DataSource pool;
  private final AutoCloseable closing;
  private final Patience patience;

  private ScenarioPool(DataSource pool, String name, AutoCloseable closing, Patience patience) {
    this.pool = PoolExporter.measure(pool, Options.of("shop", name).withLeakAfter(LEAK_AFTER));
    this.closing = closing;
    this.patience = patience;
  }

  static ScenarioPool open(String kind, String name) throws SQLException {
    var url = System.getenv("JDBC_URL");
    switch (kind) {
      case "hikaricp" -> {
        var config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(SIZE);
        config.setMinimumIdle(0);
        var pool = new HikariDataSource(config);
        return new ScenarioPool(pool, name, pool, time -> {
          pool.setConnectionTimeout(Math.max(time.toMillis(), 250));
          Thread.sleep(5 * Long.getLong(HOUSEKEEPING)); // only then does the pool look at it
        });
      }
      case "tomcat-jdbc" -> {
        var pool = new org.apache.tomcat.jdbc.pool.DataSource();
        pool.setDriverClassName("org.postgresql.Driver");
        pool.setUrl(url);
        pool.setMaxActive(SIZE);
        pool.setInitialSize(0);
        pool.setMinIdle(0);
        return new ScenarioPool(
            pool, name, pool::close, time -> pool.setMaxWait((int) time.toMillis()));
      }
      case "dbcp2" -> {
        var pool = new BasicDataSource();
        pool.setUrl(url);
        pool.setMaxTotal(SIZE);
        return new ScenarioPool(pool, name, pool, pool::setMaxWait);
      }
      case "agroal" -> {
        var configuration = new AgroalDataSourceConfigurationSupplier()
            .metricsEnabled() // else it counts nothing, and its idle connections are unknown
            .connectionPoolConfiguration(of -> of.maxSize(SIZE).validateOnBorrow(true)
                .connectionValidator(ConnectionValidator.defaultValidator())
                .connectionFactoryConfiguration(to -> to.jdbcUrl(url)));
        var pool = AgroalDataSource.from(configuration);
        pool.getConnection().close(); // the first takes long, and no request waits for it
        return new ScenarioPool(pool, name, pool, time -> pool.getConfiguration()
            .connectionPoolConfiguration().setAcquisitionTimeout(time));
      }
      default -> throw new IllegalArgumentException(kind);
    }
  }

  void patience(double seconds) throws Exception {
    patience.set(Duration.ofMillis((long) (seconds * 1000)));
  }

  Connection take() throws SQLException {
    return pool.getConnection(); // checked out here
  }

  void use(String kind) throws SQLException {
    try (var connection = pool.getConnection(); var statement = connection.createStatement()) {
      switch (kind) {
        case "statement" -> statement.execute("select 1");
        case "rows" -> {
          try (var rows = statement.executeQuery("select generate_series(1, 10)")) {
            rows.next(); // and returns early
          }
        }
        case "transaction" -> {
          connection.setAutoCommit(false);
          statement.execute("select 1");
          connection.commit();
        }
        case "failure" -> throw new IllegalStateException("oops");
        default -> throw new IllegalArgumentException(kind);
      }
    }
  }

  void leak(String kind) throws SQLException {
    switch (kind) {
      case "forgotten" -> KEPT.add(pool.getConnection()); // forgotten here
      case "failure" -> {
        var connection = pool.getConnection(); // failure here
        KEPT.add(connection);
        try (var statement = connection.createStatement()) {
          statement.execute("select 1/0");
          connection.close();
        } catch (SQLException error) {
          return;
        }
      }
      case "return" -> {
        var connection = pool.getConnection(); // return here
        KEPT.add(connection);
        if (connection.isValid(1)) {
          return;
        }
        connection.close();
      }
      case "dropped" -> pool.getConnection(); // dropped here
      default -> throw new IllegalArgumentException(kind);
    }
  }

  void close() {
    try {
      closing.close();
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }
}
