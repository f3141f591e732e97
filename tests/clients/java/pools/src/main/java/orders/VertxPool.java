package orders;

import io.micrometer.core.instrument.MeterRegistry;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.micrometer.MicrometerMetricsFactory;
import io.vertx.micrometer.MicrometerMetricsOptions;
import io.vertx.pgclient.PgBuilder;
import io.vertx.pgclient.PgConnectOptions;
import io.vertx.pgclient.PgConnection;
import io.vertx.sqlclient.PoolOptions;
import java.util.concurrent.TimeUnit;

/** The pool of Vert.x' SQL client, with Vert.x' own metrics. */
final class VertxPool {
  static Lender open(MeterRegistry registry) throws Exception {
    var options = new MicrometerMetricsOptions().setEnabled(true);
    var vertx = Vertx.builder()
        .with(new VertxOptions().setMetricsOptions(options))
        .withMetrics(new MicrometerMetricsFactory(registry))
        .build();
    var server = PgConnectOptions.fromUri(System.getenv("DATABASE_URL"))
        .addProperty("application_name", "orders");
    var size = new PoolOptions().setName("main").setShared(true).setMaxSize(5)
        .setConnectionTimeout(3).setConnectionTimeoutUnit(TimeUnit.SECONDS);
    // The first one takes long, and no request waits for it.
    end(PgConnection.connect(vertx, server).compose(PgConnection::close));
    var pool = PgBuilder.pool().with(size).connectingTo(server).using(vertx).build();
    return () -> {
      var connection = end(pool.getConnection());
      return () -> end(connection.close());
    };
  }

  private static <T> T end(Future<T> future) throws Exception {
    return future.toCompletionStage().toCompletableFuture().get();
  }
}
