package io.github.pgpoolexporter;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.logging.Level;

/**
 * Serves the page on the socket of a slot for as long as the process lives, and binds it again when it
 * is lost. A failure is logged once, and tried again.
 */
final class SocketServer {
  private static final long LOOK_MS = 2000;

  private final String app;
  private Slot slot;
  private ServerSocketChannel listening;
  private Object bound;
  private String logged = "";
  private volatile String process =
      PoolExporter.host() + ":pid-" + ProcessHandle.current().pid();

  SocketServer(String app) {
    this.app = app;
  }

  /** {@code host:slot}, or {@code host:pid-PID} without a slot. */
  String process() {
    return process;
  }

  void start() {
    turn(); // the first time at once: the first page has its name already
    try {
      Page.Server.daemon(this::look, "socket").start();
      Runtime.getRuntime().addShutdownHook(new Thread(this::leave));
    } catch (IllegalStateException | Error error) { // it shuts down already, or lacks memory
      warn(error);
    }
  }

  private void look() {
    while (!Thread.currentThread().isInterrupted()) {
      try {
        Thread.sleep(LOOK_MS);
        turn();
        PoolExporter.look();
      } catch (InterruptedException error) {
        return;
      } catch (RuntimeException | Error error) { // the application may lack memory for a while
        PoolExporter.LOG.log(Level.FINE, "a look at the pools failed", error);
      }
    }
  }

  private synchronized void turn() {
    if (inPlace()) {
      return;
    }
    try {
      if (listening != null) {
        listening.close();
      }
      if (slot != null) {
        slot.release();
      }
      slot = Slot.take(Slot.directory(), app);
      process = PoolExporter.host() + ":" + slot.number;
      bind();
      logged = "";
    } catch (IOException | RuntimeException | Error error) {
      warn(error);
    }
  }

  private void warn(Throwable error) {
    if (!logged.equals(error.getMessage())) {
      logged = String.valueOf(error.getMessage());
      PoolExporter.LOG.log(
          Level.WARNING, "pool metrics of this process can''t be served: {0}", logged);
    }
  }

  /** Binds in a directory that is ours alone, then renames: readers find it whole. */
  private void bind() throws IOException {
    var own = Files.createTempDirectory(slot.directory, ".", Slot.ONLY_OURS);
    var temporary = own.resolve("s");
    try {
      listening = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      listening.bind(UnixDomainSocketAddress.of(temporary));
      Files.setPosixFilePermissions(temporary, Slot.OF_GROUP);
      new Page.Server(listening, PoolExporter::metrics).start();
      bound = Slot.identity(temporary);
      Files.move(temporary, slot.socket(), StandardCopyOption.ATOMIC_MOVE);
      slot.removeDead();
    } finally {
      Files.deleteIfExists(temporary);
      Files.deleteIfExists(own);
    }
  }

  private boolean inPlace() {
    try {
      return slot != null && bound != null && bound.equals(Slot.identity(slot.socket()))
          && slot.isHeld();
    } catch (IOException error) {
      return false;
    }
  }

  private synchronized void leave() {
    try {
      if (inPlace()) {
        Files.delete(slot.socket());
      }
    } catch (IOException error) {
      PoolExporter.LOG.log(Level.FINE, "the socket stays", error);
    }
  }
}
