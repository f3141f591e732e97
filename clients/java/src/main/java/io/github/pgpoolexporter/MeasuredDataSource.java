package io.github.pgpoolexporter;

import java.io.PrintWriter;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.sql.SQLTransientConnectionException;
import java.util.logging.Logger;
import java.util.regex.Pattern;
import javax.sql.DataSource;

/** A pool that is measured, and otherwise as it was; {@code unwrap} gives the library's own. */
public final class MeasuredDataSource implements DataSource, AutoCloseable {
  private static final Pattern TIMEOUT =
      Pattern.compile("timeout|timed out|exhausted", Pattern.CASE_INSENSITIVE);

  private final DataSource pool;
  private final MeasuredPool measured;

  MeasuredDataSource(DataSource pool, MeasuredPool measured) {
    this.pool = pool;
    this.measured = measured;
  }

  private interface Source {
    Connection get() throws SQLException;
  }

  private Connection measure(Source source) throws SQLException {
    var request = measured.pool.ask();
    Connection connection;
    try {
      connection = source.get();
    } catch (SQLException | RuntimeException | Error error) {
      measured.pool.failed(request, isTimeout(error));
      throw error;
    }
    measured.learnFrom(connection);
    var held = new Held(connection, measured.pool);
    var loader = MeasuredDataSource.class.getClassLoader();
    var shown = (Connection) Proxy.newProxyInstance(loader, new Class<?>[] {Connection.class}, held);
    held.checkout = measured.pool.got(request, shown);
    return shown;
  }

  private static boolean isTimeout(Throwable error) {
    return error instanceof SQLTransientConnectionException
        || error.getMessage() != null && TIMEOUT.matcher(error.getMessage()).find();
  }

  /** Declares a connection of a measured pool long-lived: it is never overdue. */
  static void exempt(Connection connection) {
    if (Proxy.isProxyClass(connection.getClass())
        && Proxy.getInvocationHandler(connection) instanceof Held held) {
      held.checkout.longLived = true;
    }
  }

  /** What the application holds instead of the pool's connection. */
  private static final class Held implements InvocationHandler {
    private final Connection connection;
    private final Pool pool;
    private volatile Pool.Checkout checkout;

    private Held(Connection connection, Pool pool) {
      this.connection = connection;
      this.pool = pool;
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] given) throws Throwable {
      switch (method.getName()) {
        case "close", "abort" -> pool.returned(checkout);
        case "equals" -> {
          return proxy == given[0];
        }
        case "hashCode" -> {
          return System.identityHashCode(proxy);
        }
        default -> {}
      }
      try {
        return method.invoke(connection, given);
      } catch (InvocationTargetException error) {
        throw error.getCause();
      }
    }
  }

  @Override
  public Connection getConnection() throws SQLException {
    return measure(pool::getConnection);
  }

  @Override
  public Connection getConnection(String user, String password) throws SQLException {
    return measure(() -> pool.getConnection(user, password));
  }

  /** Closes the pool, if it can be closed. */
  @Override
  public void close() throws Exception {
    if (pool instanceof AutoCloseable closeable) {
      closeable.close();
    }
  }

  @Override
  public <T> T unwrap(Class<T> type) throws SQLException {
    return type.isInstance(pool) ? type.cast(pool) : pool.unwrap(type);
  }

  @Override
  public boolean isWrapperFor(Class<?> type) throws SQLException {
    return type.isInstance(pool) || pool.isWrapperFor(type);
  }

  @Override
  public PrintWriter getLogWriter() throws SQLException {
    return pool.getLogWriter();
  }

  @Override
  public void setLogWriter(PrintWriter writer) throws SQLException {
    pool.setLogWriter(writer);
  }

  @Override
  public void setLoginTimeout(int seconds) throws SQLException {
    pool.setLoginTimeout(seconds);
  }

  @Override
  public int getLoginTimeout() throws SQLException {
    return pool.getLoginTimeout();
  }

  @Override
  public Logger getParentLogger() throws SQLFeatureNotSupportedException {
    return pool.getParentLogger();
  }

  @Override
  public String toString() {
    return "measured " + pool;
  }
}
