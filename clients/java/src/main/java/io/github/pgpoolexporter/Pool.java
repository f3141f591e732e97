package io.github.pgpoolexporter;

import java.lang.StackWalker.StackFrame;
import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Requests, checkouts and returns of one pool, in nanoseconds. Its lock is held for well below a
 * microsecond, and is none that pins a virtual thread.
 */
final class Pool {
  /** A request from its beginning, and the checkout that it becomes. */
  static final class Request {
    final long asked;
    final StackFrame site;

    private Request(long asked, StackFrame site) {
      this.asked = asked;
      this.site = site;
    }
  }

  /** A checkout. It refers to what the application holds, to see that it is dropped. */
  static final class Checkout extends PhantomReference<Object> {
    final long since;
    final StackFrame site;
    volatile boolean longLived;

    private Checkout(Object held, ReferenceQueue<Object> dropped, long since, StackFrame site) {
      super(held, dropped);
      this.since = since;
      this.site = site;
    }
  }

  static final class Histogram {
    final double[] bounds;
    final long[] counts;
    long count;
    long sum;

    Histogram(String name) {
      var seconds = Catalogue.BY_NAME.get(name).bounds();
      bounds = seconds.stream().mapToDouble(bound -> bound * 1e9).toArray();
      counts = new long[bounds.length + 1];
    }

    void add(long nanos) {
      var i = 0;
      while (i < bounds.length && nanos > bounds[i]) {
        i++;
      }
      counts[i]++;
      count++;
      sum += nanos;
    }
  }

  final ReentrantLock lock = new ReentrantLock();
  private final ReferenceQueue<Object> dropped = new ReferenceQueue<>();
  private final int sampling;
  private int seen;
  double limit = Double.POSITIVE_INFINITY;
  final Set<Request> requests = new LinkedHashSet<>(); // in the order in which they began
  final Set<Checkout> out = new LinkedHashSet<>();
  Histogram acquire = new Histogram("acquire_seconds");
  Histogram hold = new Histogram("hold_seconds");
  final Demand demand = new Demand(System.nanoTime());
  double failed;
  double queued;
  double timeouts;
  double leaked;
  double leakedSince; // sum of the checkout times of lost connections
  final Map<String, Double> leakedSlots = new HashMap<>();
  Map<String, Double> instances = new HashMap<>();
  double saturated;
  private boolean full;
  private long fullSince;

  Pool(int sampling) {
    this.sampling = Math.max(sampling, 1);
  }

  /** Somebody asks for a connection. */
  Request ask() {
    // Outside of the lock: it takes longer than all the rest.
    var site = seen++ % sampling == 0 ? Sites.calling() : null;
    lock.lock();
    try {
      var request = new Request(System.nanoTime(), site);
      if (out.size() + requests.size() + leaked >= limit) {
        queued++;
      }
      requests.add(request);
      turn(request.asked);
      return request;
    } finally {
      lock.unlock();
    }
  }

  /** The request got a connection, which the application knows as {@code held}. */
  Checkout got(Request request, Object held) {
    lock.lock();
    try {
      requests.remove(request);
      var now = System.nanoTime();
      acquire.add(now - request.asked);
      var checkout = new Checkout(held, dropped, now, request.site);
      out.add(checkout);
      turn(now);
      return checkout;
    } finally {
      lock.unlock();
    }
  }

  /** The request ended without a connection. */
  void failed(Request request, boolean timeout) {
    lock.lock();
    try {
      requests.remove(request);
      turn(System.nanoTime());
      failed++;
      timeouts += timeout ? 1 : 0;
    } finally {
      lock.unlock();
    }
  }

  /** A connection goes back; a second time means nothing. */
  void returned(Checkout checkout) {
    lock.lock();
    try {
      if (out.remove(checkout)) {
        checkout.clear();
        var now = System.nanoTime();
        hold.add(now - checkout.since);
        turn(now);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Counts what was dropped: nobody can return it any more, so its slot is lost. Needs the lock. */
  void countDropped() {
    for (var one = dropped.poll(); one != null; one = dropped.poll()) {
      var checkout = (Checkout) one;
      if (out.remove(checkout)) {
        leaked++;
        leakedSince += checkout.since;
        leakedSlots.merge(Sites.describe(checkout.site), 1.0, Double::sum);
      }
    }
  }

  /** Requests without a slot: those that came last. Needs the lock. */
  double waiting() {
    var beyond = out.size() + leaked + requests.size() - limit;
    return Math.max(0, Math.min(requests.size(), beyond));
  }

  /**
   * The demand is another from now on; the last connection is taken, or the first is free again.
   * Needs the lock.
   */
  void turn(long now) {
    demand.turn(out.size() + leaked + waiting(), now);
    if (out.size() + leaked >= limit != full) {
      saturated += full ? now - fullSince : 0;
      full = !full;
      fullSince = now;
    }
  }

  double saturatedUntil(long now) {
    return saturated + (full ? now - fullSince : 0);
  }

  /** Goes on with the counters of a pool that is closed. */
  void adopt(Pool former) {
    former.lock.lock();
    try {
      acquire = former.acquire;
      hold = former.hold;
      demand.adopt(former.demand);
      instances = former.instances;
      failed = former.failed;
      queued = former.queued;
      timeouts = former.timeouts;
      saturated = former.saturated;
    } finally {
      former.lock.unlock();
    }
  }
}
