package orders;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.github.pgpoolexporter.MeasuredDataSource;
import io.github.pgpoolexporter.Options;
import io.github.pgpoolexporter.PoolExporter;
import io.github.pgpoolexporter.micrometer.PoolMetrics;
import io.github.pgpoolexporter.spring.PoolExporterAutoConfiguration;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.sql.DataSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.postgresql.PGConnection;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.core.env.MapPropertySource;

/** What an application relies on. The scenarios are in the project's tests, for all pools. */
class ClientTest {
  private static HikariDataSource hikari() {
    var config = new HikariConfig();
    var url = System.getenv("JDBC_URL");
    assertNotNull(url, "JDBC_URL must name a PostgreSQL server");
    config.setJdbcUrl(url);
    config.setMaximumPoolSize(2);
    return new HikariDataSource(config);
  }

  private static String value(String pool, String name, String more) {
    return PoolExporter.metrics().lines()
        .filter(line -> line.startsWith(name + "{") && line.contains("pool=\"" + pool + "\""))
        .filter(line -> line.contains(more))
        .map(line -> line.substring(line.lastIndexOf(' ') + 1))
        .findFirst().orElse("absent");
  }

  @Test
  void aForgottenConnectionIsNamedWithItsLineUntilItIsDeclaredOrComesBack() throws Exception {
    try (var own = hikari()) {
      var options = Options.of("orders", "forgotten").withLeakAfter(Duration.ofNanos(1));
      var pool = PoolExporter.measure(own, options);
      var connection = pool.getConnection();
      var site = "site=\"orders/ClientTest.java:";
      assertEquals("1", value("forgotten", "pg_pool_overdue_connections", site));
      PoolExporter.longLived(connection);
      assertEquals("absent", value("forgotten", "pg_pool_overdue_connections", ""));
      assertEquals("1", value("forgotten", "pg_pool_long_lived_connections", ""));
      connection.close();
      connection.close();
      assertEquals("1", value("forgotten", "pg_pool_returned_total", ""));
      assertTrue(connection.isClosed());
    }
    assertEquals("1", value("forgotten", "pg_pool_returned_total", ""));
    assertEquals("absent", value("forgotten", "pg_pool_max_connections", ""));
  }

  @Test
  void aPoolThatHasNotStartedShowsNoFigureThatItDoesNotKnow() throws Exception {
    try (var own = new HikariDataSource()) {
      own.setJdbcUrl(System.getenv("JDBC_URL"));
      var pool = PoolExporter.measure(own, Options.of("orders", "waiting"));
      assertEquals("absent", value("waiting", "pg_pool_min_connections", ""));
      pool.getConnection().close();
      assertEquals("10", value("waiting", "pg_pool_min_connections", ""));
    }
  }

  @Test
  void whatTheLibraryOffersIsStillThere() throws Exception {
    try (var own = hikari()) {
      var pool = PoolExporter.measure(own, Options.of("orders", "wrapped"));
      assertSame(own, pool.unwrap(HikariDataSource.class));
      assertTrue(pool.isWrapperFor(HikariDataSource.class));
      assertSame(pool, PoolExporter.measure(pool, Options.of("orders", "twice")));
      try (var connection = pool.getConnection()) {
        assertNotNull(connection.unwrap(PGConnection.class));
        assertEquals(connection, connection);
        assertFalse(Map.of(connection, 1).isEmpty());
        var error = assertThrows(SQLException.class,
            () -> connection.createStatement().execute("select 1/0"));
        assertEquals("22012", error.getSQLState());
      }
    }
  }

  /** Java 17 has no virtual threads: `make test-clients JAVA=…` names a newer one. */
  @Test
  @EnabledForJreRange(min = JRE.JAVA_21)
  void virtualThreadsAreMeasuredLikeOthers() throws Exception {
    try (var own = hikari()) {
      var options = Options.of("orders", "threads").withLeakAfter(Duration.ofNanos(1));
      var pool = PoolExporter.measure(own, options);
      var executor = (ExecutorService)
          Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
      var all = new CompletableFuture<?>[200];
      for (var i = 0; i < all.length; i++) {
        all[i] = CompletableFuture.runAsync(() -> {
          try (Connection connection = pool.getConnection()) {
            connection.isValid(1);
          } catch (SQLException error) {
            throw new IllegalStateException(error);
          }
        }, executor);
      }
      CompletableFuture.allOf(all).get();
      assertEquals("200", value("threads", "pg_pool_acquired_total", ""));
      assertEquals("200", value("threads", "pg_pool_returned_total", ""));
      assertEquals("0", value("threads", "pg_pool_connections", "state=\"active\""));
      var kept = executor.submit(() -> pool.getConnection()).get();
      var site = "site=\"orders/ClientTest.java:";
      assertEquals("1", value("threads", "pg_pool_overdue_connections", site));
      kept.close();
      executor.shutdown();
    }
  }

  @Test
  void springMeasuresEachPoolAndMicrometerShowsIt() throws Exception {
    try (var context = new AnnotationConfigApplicationContext()) {
      context.getEnvironment().getPropertySources().addFirst(
          new MapPropertySource("test", Map.of("spring.application.name", "shop")));
      context.registerBean("main", DataSource.class, ClientTest::hikari);
      context.register(PoolExporterAutoConfiguration.class);
      context.refresh();
      var source = context.getBean(DataSource.class);
      assertInstanceOf(MeasuredDataSource.class, source);
      source.getConnection().close();
      var name = source.unwrap(HikariDataSource.class).getPoolName();
      assertTrue(value(name, "pg_pool_info", "").equals("1"));
      var registry = new SimpleMeterRegistry();
      context.getBean(PoolMetrics.class).bindTo(registry);
      var gauge = registry.get("pg.pool.connections").tags("pool", name, "state", "idle").gauge();
      assertEquals("shop", gauge.getId().getTag("app"));
      var counter = registry.get("pg.pool.acquired").tags("pool", name).functionCounter();
      assertEquals(1, counter.count());
    }
  }

  @Test
  void springBootFindsTheConfigurationByItself() throws Exception {
    var file = "/META-INF/spring/"
        + "org.springframework.boot.autoconfigure.AutoConfiguration.imports";
    try (var imports = PoolExporter.class.getResourceAsStream(file)) {
      var named = new String(imports.readAllBytes(), StandardCharsets.UTF_8).strip();
      assertEquals(PoolExporterAutoConfiguration.class.getName(), named);
    }
  }

  @Test
  void memoryThatIsShortForAWhileEndsNothing() throws Exception {
    var looks = new AtomicInteger();
    var again = new CountDownLatch(1);
    PoolExporter.onLook(() -> {
      switch (looks.incrementAndGet()) {
        case 1 -> { } // at once
        case 2 -> throw new OutOfMemoryError("test");
        default -> again.countDown();
      }
    });
    try (var own = hikari()) {
      PoolExporter.measure(own, Options.of("orders", "short"));
      assertTrue(again.await(20, TimeUnit.SECONDS));
    }
  }

  @Test
  void thePageIsServedOnAPortAndNothingElse() throws Exception {
    try (var served = PoolExporter.serve(new InetSocketAddress("127.0.0.1", 0))) {
      var port = ((InetSocketAddress) ((ServerSocketChannel) served).getLocalAddress()).getPort();
      assertEquals(200, status(port, "/metrics", "GET"));
      assertEquals(200, status(port, "/metrics?x=1", "HEAD"));
      assertEquals(404, status(port, "/", "GET"));
      assertEquals(405, status(port, "/metrics", "POST"));
    }
  }

  private static int status(int port, String path, String method)
      throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
        .method(method, BodyPublishers.noBody()).build();
    return HttpClient.newHttpClient().send(request, BodyHandlers.discarding()).statusCode();
  }
}
