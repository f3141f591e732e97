package io.github.pgpoolexporter;

import java.lang.StackWalker.StackFrame;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;

/** The line of application code that checks a connection out. */
final class Sites {
  private static final int MAX_CHARACTERS = 200;
  private static final int MAX_FRAMES = 200;
  private static final StackWalker WALKER = StackWalker.getInstance();
  private static final String OWN = Sites.class.getPackageName() + ".";

  /** Packages that are never the application; those of the platform are no library's either. */
  private static final List<String> PLATFORM =
      List.of("java.", "javax.", "jdk.", "sun.", "com.sun.", "jakarta.", "kotlin.", "scala.");

  private static final List<String> LIBRARIES =
      List.of(
          "com.zaxxer.hikari.", "io.agroal.", "io.micrometer.", "io.quarkus.", "io.micronaut.",
          "org.apache.", "org.eclipse.", "org.flywaydb.", "org.hibernate.", "org.jdbi.",
          "org.jooq.", "org.mybatis.", "org.postgresql.", "org.springframework.", "liquibase.",
          "com.mchange.", "com.querydsl.", "net.ttddyy.", "org.junit.");

  /** How near a class is to the application's own code. */
  private enum Rank { PLUMBING, LIBRARY, APPLICATION }

  private static final int MAX_CLASSES = 10_000;
  private static final ConcurrentHashMap<String, Rank> RANKS = new ConcurrentHashMap<>();

  private Sites() {}

  /** The innermost frame of application code, else of a library; null without one. */
  static StackFrame calling() {
    var found = first(Rank.APPLICATION);
    return found != null ? found : first(Rank.LIBRARY);
  }

  private static StackFrame first(Rank rank) {
    return WALKER.walk(frames -> frames.limit(MAX_FRAMES)
        .filter(frame -> rank(frame.getClassName()) == rank).findFirst().orElse(null));
  }

  private static Rank rank(String name) {
    var known = RANKS.get(name);
    if (known == null) {
      known = rankOf(name);
      if (RANKS.size() < MAX_CLASSES) {
        RANKS.put(name, known);
      }
    }
    return known;
  }

  private static Rank rankOf(String name) {
    // Classes that a framework makes of the application's have no lines.
    var isMade = name.contains("$$") || name.contains("$Proxy");
    if (isMade || name.startsWith(OWN) || startsWithOneOf(name, PLATFORM)) {
      return Rank.PLUMBING;
    }
    return startsWithOneOf(name, LIBRARIES) ? Rank.LIBRARY : Rank.APPLICATION;
  }

  private static boolean startsWithOneOf(String name, List<String> prefixes) {
    for (var prefix : prefixes) {
      if (name.startsWith(prefix)) {
        return true;
      }
    }
    return false;
  }

  /** {@code file:line function}, the file with the last part of its package. */
  static String describe(StackFrame frame) {
    if (frame == null) {
      return "unknown";
    }
    var name = frame.getClassName();
    var simple = name.substring(name.lastIndexOf('.') + 1);
    var location = name.substring(0, Math.max(name.lastIndexOf('.'), 0));
    var folder = location.substring(location.lastIndexOf('.') + 1);
    var file = (folder.isEmpty() ? "" : folder + "/") + frame.getFileName();
    var text = file + ":" + frame.getLineNumber() + " " + simple + "." + frame.getMethodName();
    return text.substring(Math.max(text.length() - MAX_CHARACTERS, 0));
  }
}
