package orders;

import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** HikariCP with Micrometer, and a page of its metrics. */
final class MicrometerPool {
  static HikariDataSource open(InetSocketAddress address) throws IOException {
    var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.addDataSourceProperty("ApplicationName", "orders");
    config.setPoolName("main"); // else HikariPool-1, which depends on the order of creation
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(3000);
    config.setLeakDetectionThreshold(60_000); // logs the stack of who holds a connection longer
    config.setMetricRegistry(registry);
    var pool = new HikariDataSource(config);

    var server = HttpServer.create(address, 0);
    server.createContext("/metrics", exchange -> {
      var page = registry.scrape().getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "text/plain; version=0.0.4");
      exchange.sendResponseHeaders(200, page.length);
      exchange.getResponseBody().write(page);
      exchange.close();
    });
    server.start();
    return pool;
  }
}
