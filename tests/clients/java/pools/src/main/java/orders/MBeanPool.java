package orders;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;

/** HikariCP with MBeans, which Jolokia's agent serves. */
final class MBeanPool {
  static HikariDataSource open() {
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.addDataSourceProperty("ApplicationName", "orders");
    config.setPoolName("main");
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(3000);
    config.setLeakDetectionThreshold(60_000); // logs the stack of who holds a connection longer
    config.setRegisterMbeans(true);
    return new HikariDataSource(config);
  }
}
