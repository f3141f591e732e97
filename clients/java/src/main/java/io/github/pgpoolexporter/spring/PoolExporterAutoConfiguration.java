package io.github.pgpoolexporter.spring;

import io.github.pgpoolexporter.Options;
import io.github.pgpoolexporter.PoolExporter;
import io.github.pgpoolexporter.micrometer.PoolMetrics;
import javax.sql.DataSource;
import org.springframework.beans.factory.config.BeanPostProcessor;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.env.Environment;

/**
 * Measures each pool of a Spring Boot application: the dependency alone is enough. The application's
 * name is {@code spring.application.name}; {@code pg-pool-exporter.enabled=false} turns it off.
 */
@AutoConfiguration
@ConditionalOnProperty(name = "pg-pool-exporter.enabled", matchIfMissing = true)
public class PoolExporterAutoConfiguration {
  @Bean
  static BeanPostProcessor measuredPools(Environment environment) {
    return new BeanPostProcessor() {
      @Override
      public Object postProcessAfterInitialization(Object bean, String name) {
        // A data source that leads to others is none: those are beans, or pools of their own.
        if (bean instanceof DataSource source && PoolExporter.isPool(source)) {
          var app = environment.getProperty("spring.application.name");
          return PoolExporter.measure(source, Options.of(app, PoolExporter.nameOf(source, name)));
        }
        return bean;
      }
    };
  }

  @Configuration(proxyBeanMethods = false)
  @ConditionalOnClass(name = "io.micrometer.core.instrument.binder.MeterBinder")
  static class Micrometer {
    @Bean
    PoolMetrics pgPoolExporterMetrics() {
      return new PoolMetrics();
    }
  }
}
