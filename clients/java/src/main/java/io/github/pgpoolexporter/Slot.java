package io.github.pgpoolexporter;

import static java.nio.file.LinkOption.NOFOLLOW_LINKS;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;

/**
 * The number of this process among those of its application, with its lock file. The kernel takes the
 * lock back when the process ends, however it ends.
 */
final class Slot {
  static final FileAttribute<Set<PosixFilePermission>> ONLY_OURS =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  static final Set<PosixFilePermission> OF_GROUP = PosixFilePermissions.fromString("rw-rw----");

  private static final String ENVIRONMENT = "PG_POOL_EXPORTER_SOCKET_DIR";
  private static final Path SYSTEM_DIRECTORY = Path.of("/run/pg-pool-exporter");
  private static final int MAX_SLOTS = 1000;
  private static final int WRITABLE_BY_GROUP = 0020;
  private static final int WRITABLE_BY_ALL = 0002;
  private static final int STICKY = 01000;
  private static final int SOCKET = 0140000;
  private static final int REGULAR = 0100000;
  private static final int KIND = 0170000;
  // Opened for reading, too: a pipe that somebody puts there at this moment holds up nobody then.
  private static final Set<OpenOption> LOCK = Set.of(
      StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE, NOFOLLOW_LINKS);
  private static final FileAttribute<?> LOCK_MODE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  final Path directory;
  final int number;
  private final String prefix;
  private FileChannel lock;
  private Object locked;

  private Slot(Path directory, String prefix, int number) {
    this.directory = directory;
    this.prefix = prefix;
    this.number = number;
  }

  /** Where the exporter looks: the rules are those of its documentation. */
  static Path directory() throws IOException {
    var named = PoolExporter.environment(ENVIRONMENT);
    if (!named.isEmpty()) {
      return Path.of(named);
    }
    if (Files.isDirectory(SYSTEM_DIRECTORY) && Files.isWritable(SYSTEM_DIRECTORY)) {
      return SYSTEM_DIRECTORY;
    }
    var own = PoolExporter.environment("XDG_RUNTIME_DIR");
    if (!own.isEmpty() && Files.isWritable(Path.of(own))) {
      return Path.of(own, "pg-pool-exporter");
    }
    var temporary = PoolExporter.environment("TMPDIR");
    return Path.of(temporary.isEmpty() ? "/tmp" : temporary, "pg-pool-exporter-" + user());
  }

  /** Takes the lowest free number. */
  static Slot take(Path directory, String app) throws IOException {
    makeDirectory(directory);
    for (var number = 0; number < MAX_SLOTS; number++) {
      var slot = new Slot(directory, filePrefix(app), number);
      if (slot.tryTake()) {
        return slot;
      }
    }
    throw new IOException("all " + MAX_SLOTS + " numbers are taken in " + directory);
  }

  Path socket() {
    return directory.resolve(prefix + "-" + number + ".sock");
  }

  private Path lockFile() {
    return directory.resolve(prefix + "-" + number + ".lock");
  }

  private boolean tryTake() throws IOException {
    if (!isOurs(socket(), SOCKET) || !isOurs(lockFile(), REGULAR)) {
      return false;
    }
    try {
      lock = FileChannel.open(lockFile(), LOCK, LOCK_MODE);
      if (lock.tryLock() == null) {
        release();
        return false;
      }
      locked = identity(lockFile());
      return isOurs(lockFile(), REGULAR);
    } catch (FileSystemException | java.nio.channels.OverlappingFileLockException error) {
      release();
      return false;
    }
  }

  /** False also when the file was removed: then another process may lock its own. */
  boolean isHeld() throws IOException {
    return lock != null && locked.equals(identity(lockFile()));
  }

  void release() throws IOException {
    if (lock != null) {
      lock.close();
      lock = null;
    }
  }

  /** Removes the sockets of this user's processes that have ended. */
  void removeDead() throws IOException {
    try (var found = Files.newDirectoryStream(directory, prefix + "-*.sock")) {
      for (var path : found) {
        if (!path.equals(socket()) && isOurs(path, SOCKET)) {
          try (var caller = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            caller.configureBlocking(false); // its process may be stopped
            caller.connect(UnixDomainSocketAddress.of(path));
          } catch (ConnectException error) {
            Files.deleteIfExists(path);
          } catch (IOException error) {
            // Unknown is not dead.
          }
        }
      }
    }
  }

  /** What tells a file from another one in its place. */
  static Object identity(Path path) throws IOException {
    return Files.readAttributes(path, "unix:ino,dev", NOFOLLOW_LINKS);
  }

  /** Whether nothing but a file of this kind and user stands there. */
  private static boolean isOurs(Path path, int kind) throws IOException {
    try {
      var found = Files.readAttributes(path, "unix:mode,uid", NOFOLLOW_LINKS);
      return (mode(found) & KIND) == kind && found.get("uid").equals(user());
    } catch (NoSuchFileException error) {
      return true;
    }
  }

  private static int mode(Map<String, Object> found) {
    return (Integer) found.get("mode");
  }

  /** The user of this process; Java tells it only as the owner of one's own files. */
  private static Object user() throws IOException {
    return Files.getAttribute(Path.of("/proc/self"), "unix:uid");
  }

  /**
   * Makes the directory for this user alone, and refuses one that another user controls. Java cannot
   * change the mode of a socket without following links: so where others may write, too, nobody may
   * rename what is ours.
   */
  private static void makeDirectory(Path path) throws IOException {
    if (!Files.exists(path, NOFOLLOW_LINKS)) {
      Files.createDirectories(path, ONLY_OURS);
    }
    var found = Files.readAttributes(path, "unix:mode,uid,isDirectory", NOFOLLOW_LINKS);
    var owner = found.get("uid");
    if (!Boolean.TRUE.equals(found.get("isDirectory"))) {
      throw new IOException(path + " is no directory: name the directory itself, not a link to it");
    }
    if (!owner.equals(0) && !owner.equals(user())) {
      throw new IOException(path + " belongs to user " + owner + ": it must belong to root or to "
          + "this user (" + user() + ")");
    }
    if ((mode(found) & (WRITABLE_BY_GROUP | WRITABLE_BY_ALL)) != 0 && (mode(found) & STICKY) == 0) {
      throw new IOException(path + " can be written by others and has no sticky bit: chmod +t, or "
          + "set " + ENVIRONMENT + " to a folder in it");
    }
    if (!Files.isWritable(path)) {
      throw new IOException(path + " can't be written by user " + user() + ": is it in the "
          + "directory's group?");
    }
  }

  /** The application's name as it may stand in a file name, different for each name. */
  private static String filePrefix(String app) {
    var plain = app.replaceAll("[^A-Za-z0-9_.-]", "_");
    plain = plain.substring(0, Math.min(plain.length(), 32)).replaceAll("^[.-]+", "");
    if (plain.equals(app)) {
      return plain;
    }
    try {
      var digest = MessageDigest.getInstance("SHA-256").digest(app.getBytes(StandardCharsets.UTF_8));
      return plain + "." + HexFormat.of().formatHex(digest).substring(0, 6);
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error); // each Java has it
    }
  }
}
