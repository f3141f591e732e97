package orders;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.metrics.prometheus.PrometheusMetricsTrackerFactory;
import io.prometheus.client.exporter.HTTPServer;
import java.io.IOException;
import java.net.InetSocketAddress;

/** HikariCP with its own Prometheus tracker, and a page of its metrics. */
final class TrackedPool {
  static HikariDataSource open(InetSocketAddress address) throws IOException {
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.addDataSourceProperty("ApplicationName", "orders");
    config.setPoolName("main");
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(3000);
    config.setLeakDetectionThreshold(60_000); // logs the stack of who holds a connection longer
    config.setMetricsTrackerFactory(new PrometheusMetricsTrackerFactory());
    var pool = new HikariDataSource(config);
    new HTTPServer.Builder().withInetSocketAddress(address).withDaemonThreads(true).build();
    return pool;
  }
}
