package orders;

import com.sun.net.httpserver.HttpServer;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** A page of what a registry has. */
final class MetricsPage {
  static void serve(PrometheusMeterRegistry registry, InetSocketAddress address)
      throws IOException {
    var server = HttpServer.create(address, 0);
    server.createContext("/metrics", exchange -> {
      var page = registry.scrape().getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "text/plain; version=0.0.4");
      exchange.sendResponseHeaders(200, page.length);
      exchange.getResponseBody().write(page);
      exchange.close();
    });
    server.start();
  }
}
