package orders;

import io.quarkus.reactive.pg.client.PgPoolCreator;
import io.vertx.core.Future;
import io.vertx.pgclient.PgBuilder;
import io.vertx.pgclient.PgConnection;
import io.vertx.sqlclient.Pool;
import jakarta.inject.Singleton;
import java.util.concurrent.TimeUnit;

/** Quarkus' reactive pool, with what its configuration has no key for: how long a request waits. */
@Singleton
public class ReactivePool implements PgPoolCreator {
  @Override
  public Pool create(Input input) {
    var server = input.pgConnectOptionsList().get(0);
    try {
      // The first one takes long, and no request waits for it.
      end(PgConnection.connect(input.vertx(), server).compose(PgConnection::close));
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
    var size = input.poolOptions().setConnectionTimeout(3)
        .setConnectionTimeoutUnit(TimeUnit.SECONDS);
    return PgBuilder.pool().with(size).connectingTo(server).using(input.vertx()).build();
  }

  static <T> T end(Future<T> future) throws Exception {
    return future.toCompletionStage().toCompletableFuture().get();
  }
}
