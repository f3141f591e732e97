package orders;

import io.agroal.springframework.boot.metrics.AgroalDataSourcePoolMetrics;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.commonspool2.CommonsObjectPool2Metrics;
import io.r2dbc.pool.ConnectionPool;
import io.r2dbc.pool.ConnectionPoolConfiguration;
import io.r2dbc.spi.ConnectionFactories;
import io.r2dbc.spi.ConnectionFactoryOptions;
import io.r2dbc.spi.Option;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import javax.sql.DataSource;
import org.springframework.boot.jdbc.metadata.CommonsDbcp2DataSourcePoolMetadata;
import org.springframework.boot.jdbc.metadata.DataSourcePoolMetadata;
import org.springframework.boot.jdbc.metadata.TomcatDataSourcePoolMetadata;
import org.springframework.boot.jdbc.metrics.DataSourcePoolMetrics;
import org.springframework.boot.r2dbc.metrics.ConnectionPoolMetrics;
import reactor.core.publisher.Mono;

/** Pools with the metrics that Spring Boot and Micrometer give them, by their own classes. */
final class SpringPools {
  static Lender agroal(MeterRegistry registry) throws SQLException {
    var pool = JdbcPools.agroal();
    new AgroalDataSourcePoolMetrics("main", pool).bindTo(registry);
    return pool::getConnection;
  }

  static Lender tomcat(MeterRegistry registry) {
    var pool = JdbcPools.tomcat();
    bind(pool, new TomcatDataSourcePoolMetadata(pool), registry);
    return pool::getConnection;
  }

  static Lender dbcp2(MeterRegistry registry) {
    var pool = JdbcPools.dbcp2();
    bind(pool, new CommonsDbcp2DataSourcePoolMetadata(pool), registry);
    return pool::getConnection;
  }

  /** Micrometer finds the pool by its MBean. */
  static Lender commonsPool2(MeterRegistry registry) {
    var pool = JdbcPools.pooling();
    new CommonsObjectPool2Metrics().bindTo(registry);
    return pool::getConnection;
  }

  static Lender r2dbc(MeterRegistry registry) {
    var server = ConnectionFactoryOptions.parse("r2dbc:" + System.getenv("DATABASE_URL"));
    var factory = ConnectionFactories.get(server.mutate()
        .option(Option.valueOf("applicationName"), "orders").build());
    // The first one takes long, and no request waits for it.
    Mono.from(factory.create()).flatMap(one -> Mono.from(one.close())).block();
    var pool = new ConnectionPool(ConnectionPoolConfiguration.builder(factory)
        .initialSize(0).maxSize(5).maxAcquireTime(Duration.ofSeconds(3)).build());
    new ConnectionPoolMetrics(pool, "main", List.of()).bindTo(registry);
    return () -> {
      var connection = pool.create().block();
      return () -> Mono.from(connection.close()).block();
    };
  }

  private static void bind(
      DataSource pool, DataSourcePoolMetadata metadata, MeterRegistry registry) {
    new DataSourcePoolMetrics(pool, ignored -> metadata, "main", List.of()).bindTo(registry);
  }
}
