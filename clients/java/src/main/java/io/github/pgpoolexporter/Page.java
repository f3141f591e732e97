package io.github.pgpoolexporter;

import io.github.pgpoolexporter.Catalogue.Series;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.stream.Collectors;

/** Series as Prometheus text, and the server that shows it. */
final class Page {
  private Page() {}

  static String text(List<Series> all) {
    var byMetric = all.stream().collect(Collectors.groupingBy(Series::metric));
    var text = new StringBuilder();
    for (var metric : Catalogue.METRICS) {
      if (byMetric.containsKey(metric)) {
        text.append("# HELP ").append(metric.name()).append(' ').append(metric.help());
        text.append("\n# TYPE ").append(metric.name()).append(' ').append(metric.type()).append('\n');
        byMetric.get(metric).forEach(series -> write(text, series));
      }
    }
    return text.toString();
  }

  private static void write(StringBuilder text, Series series) {
    var name = series.metric().name();
    var labels = labels(series);
    if (series.buckets() == null) {
      line(text, name, labels, number(series.value()));
      return;
    }
    var bounds = series.metric().bounds();
    for (var i = 0; i < series.buckets().length; i++) {
      var bound = i < bounds.size() ? bounds.get(i).toString().replace("5.0E-4", "0.0005") : "+Inf";
      line(text, name + "_bucket", labels + ",le=\"" + bound + '"', "" + series.buckets()[i]);
    }
    line(text, name + "_sum", labels, number(series.value()));
    line(text, name + "_count", labels, "" + series.buckets()[bounds.size()]);
  }

  private static void line(StringBuilder text, String name, String labels, String value) {
    text.append(name).append('{').append(labels).append("} ").append(value).append('\n');
  }

  /** A label without a value is the same as none. */
  private static String labels(Series series) {
    var pairs = new StringBuilder();
    for (var i = 0; i < series.values().size(); i++) {
      var value = series.values().get(i);
      if (!value.isEmpty()) {
        value = value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
        pairs.append(pairs.isEmpty() ? "" : ",").append(series.metric().labels().get(i));
        pairs.append("=\"").append(value).append('"');
      }
    }
    return pairs.toString();
  }

  private static String number(double value) {
    return value == (long) value ? Long.toString((long) value) : Double.toString(value).replace('E', 'e');
  }

  /** Answers GET /metrics, in daemon threads, until its channel is closed. */
  static final class Server {
    private static final int MAX_READERS = 8;
    private static final int MAX_HEAD_BYTES = 1 << 14;
    private static final long EXCHANGE_SECONDS = 5;
    private static final ScheduledExecutorService CLOCK =
        Executors.newSingleThreadScheduledExecutor(task -> daemon(task, "deadline"));

    private final ServerSocketChannel listening;
    private final Supplier<String> page;
    private final Semaphore readers = new Semaphore(MAX_READERS);

    Server(ServerSocketChannel listening, Supplier<String> page) {
      this.listening = listening;
      this.page = page;
    }

    void start() {
      daemon(this::serve, "page").start();
    }

    static Thread daemon(Runnable task, String name) {
      var thread = new Thread(task, "pg-pool-exporter-" + name);
      thread.setDaemon(true);
      return thread;
    }

    private void serve() {
      while (listening.isOpen()) {
        try {
          take(listening.accept());
        } catch (IOException | Error error) {
          pause(); // closed, or out of descriptors, threads or memory
        }
      }
    }

    private void take(SocketChannel reader) throws IOException {
      if (!readers.tryAcquire()) {
        reader.close();
        return;
      }
      try {
        daemon(() -> answer(reader), "reader").start();
      } catch (Error error) { // no thread can be had
        readers.release();
        reader.close();
        throw error;
      }
    }

    private static void pause() {
      try {
        Thread.sleep(100);
      } catch (InterruptedException error) {
        Thread.currentThread().interrupt();
      }
    }

    private void answer(SocketChannel reader) {
      try (reader) {
        // One deadline for the whole exchange: a byte now and then prolongs nothing.
        var deadline = CLOCK.schedule(() -> close(reader), EXCHANGE_SECONDS, TimeUnit.SECONDS);
        var answer = ByteBuffer.wrap(answerTo(head(reader)));
        while (answer.hasRemaining()) {
          reader.write(answer);
        }
        deadline.cancel(false);
      } catch (IOException | RuntimeException | Error error) { // it may lack memory for a while
        PoolExporter.LOG.log(Level.FINE, "a reader of the metrics has no answer", error);
      } finally {
        readers.release();
      }
    }

    private static void close(SocketChannel reader) {
      try {
        reader.close();
      } catch (IOException error) {
        PoolExporter.LOG.log(Level.FINE, "a reader of the metrics went away", error);
      }
    }

    /** The request with its headers; cut where it is too long or ends early. */
    private static String head(SocketChannel reader) throws IOException {
      var head = new ByteArrayOutputStream();
      var buffer = ByteBuffer.allocate(4096);
      var text = "";
      while (!text.contains("\r\n\r\n") && head.size() < MAX_HEAD_BYTES && reader.read(buffer) >= 0) {
        head.write(buffer.array(), 0, buffer.position());
        buffer.clear();
        text = head.toString(StandardCharsets.ISO_8859_1);
      }
      return text.contains("\r\n\r\n") ? text : "";
    }

    private byte[] answerTo(String head) {
      var words = head.split("\r\n", 2)[0].split(" ");
      if (words.length != 3 || !words[2].startsWith("HTTP/1.")) {
        return answer("400 Bad Request", "", "", false);
      }
      if (!words[0].equals("GET") && !words[0].equals("HEAD")) {
        return answer("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "", false);
      }
      var isHead = words[0].equals("HEAD");
      if (!words[1].split("\\?", 2)[0].equals("/metrics")) {
        return answer("404 Not Found", "", "The metrics are at /metrics.\n", isHead);
      }
      return answer("200 OK", "", page.get(), isHead);
    }

    private static byte[] answer(String status, String more, String body, boolean isHead) {
      var type = status.startsWith("200") ? "; version=0.0.4" : "";
      var content = body.getBytes(StandardCharsets.UTF_8);
      var head = "HTTP/1.0 " + status + "\r\nContent-Type: text/plain" + type + "; charset=utf-8\r\n"
          + "Content-Length: " + content.length + "\r\nCache-Control: no-store\r\n" + more + "\r\n";
      var bytes = new ByteArrayOutputStream();
      bytes.writeBytes(head.getBytes(StandardCharsets.ISO_8859_1));
      if (!isHead) {
        bytes.writeBytes(content);
      }
      return bytes.toByteArray();
    }
  }
}
