package orders;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.github.pgpoolexporter.Options;
import io.github.pgpoolexporter.PoolExporter;
import java.io.IOException;
import java.net.InetSocketAddress;
import javax.sql.DataSource;

/** HikariCP, measured by our client, and a page of its metrics. */
final class MeasuredPool {
  static DataSource open(InetSocketAddress address) throws IOException {
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.addDataSourceProperty("ApplicationName", "orders");
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(3000);
    var hikari = new HikariDataSource(config);
    var pool = PoolExporter.measure(hikari, Options.of("orders", "main"));
    PoolExporter.serve(address);
    return pool;
  }
}
