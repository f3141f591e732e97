package orders;

import com.mchange.v2.c3p0.ComboPooledDataSource;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.agroal.springframework.boot.AgroalDataSource;
import java.beans.PropertyVetoException;
import java.sql.SQLException;
import java.time.Duration;
import org.apache.commons.dbcp2.BasicDataSource;
import org.apache.commons.dbcp2.DriverManagerConnectionFactory;
import org.apache.commons.dbcp2.PoolableConnection;
import org.apache.commons.dbcp2.PoolableConnectionFactory;
import org.apache.commons.dbcp2.PoolingDataSource;
import org.apache.commons.pool2.impl.GenericObjectPool;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;

/** JDBC pools of five connections, each opened when it is needed, without any metrics. */
final class JdbcPools {
  private static final String URL = System.getenv("JDBC_URL") + "&ApplicationName=orders";
  private static final String DRIVER = "org.postgresql.Driver";

  static AgroalDataSource agroal() throws SQLException {
    var pool = new AgroalDataSource();
    pool.setDriverClassName(DRIVER);
    pool.setUrl(URL);
    pool.setName("main");
    pool.setMaxSize(5);
    pool.setAcquisitionTimeout(3);
    pool.setMetrics(true); // else it counts nothing
    pool.afterPropertiesSet();
    return pool;
  }

  static ComboPooledDataSource c3p0() throws PropertyVetoException {
    var pool = new ComboPooledDataSource("main");
    pool.setDriverClass(DRIVER);
    pool.setJdbcUrl(URL);
    pool.setMaxPoolSize(5);
    pool.setInitialPoolSize(0);
    pool.setMinPoolSize(0);
    pool.setAcquireIncrement(1);
    pool.setCheckoutTimeout(3000);
    return pool;
  }

  static BasicDataSource dbcp2() {
    var pool = new BasicDataSource();
    pool.setUrl(URL);
    pool.setMaxTotal(5);
    pool.setMaxWait(Duration.ofSeconds(3));
    return pool;
  }

  /** Registered as an MBean: OpenTelemetry's agent sees no other. */
  static BasicDataSource registeredDbcp2() {
    var pool = dbcp2();
    pool.setJmxName("orders:type=BasicDataSource,name=main");
    return pool;
  }

  /** As DBCP2's own pool of objects, which is an MBean: that of a `BasicDataSource` is none. */
  static PoolingDataSource<PoolableConnection> pooling() {
    var factory = new PoolableConnectionFactory(new DriverManagerConnectionFactory(URL), null);
    var config = new GenericObjectPoolConfig<PoolableConnection>();
    config.setMaxTotal(5);
    config.setMaxWait(Duration.ofSeconds(3));
    config.setJmxNamePrefix("main");
    var connections = new GenericObjectPool<>(factory, config);
    factory.setPool(connections);
    return new PoolingDataSource<>(connections);
  }

  static HikariDataSource hikari() {
    var config = new HikariConfig();
    config.setJdbcUrl(URL);
    config.setPoolName("main");
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(3000);
    return new HikariDataSource(config);
  }

  static org.apache.tomcat.jdbc.pool.DataSource tomcat() {
    var pool = new org.apache.tomcat.jdbc.pool.DataSource();
    pool.setDriverClassName(DRIVER);
    pool.setUrl(URL);
    pool.setName("main");
    pool.setMaxActive(5);
    pool.setInitialSize(0);
    pool.setMinIdle(0);
    pool.setMaxWait(3000);
    return pool;
  }
}
