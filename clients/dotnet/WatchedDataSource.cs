// Which line of code holds a connection: an Npgsql data source that knows the line of each checkout.
//
// Copy this file, or reference the project. The metrics are of the meter "pg_pool": add it where the
// meter "Npgsql" is added. They have the names of pg-pool-exporter, which joins them to Npgsql's own
// by the pool's name.
//
// The compiler passes the caller's file and line as ordinary arguments, so no stack is walked.
#nullable enable

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Data;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Npgsql;

namespace PgPoolExporter;

/// <summary>The checkouts of one pool, and its metrics until it is disposed.</summary>
public sealed class WatchedPool : IDisposable
{
    private static readonly ConcurrentDictionary<WatchedPool, byte> All = new();

    // One meter for all pools: an exporter takes two meters of one name for the same.
    private static readonly Meter Source = new("pg_pool");
    private static readonly Histogram<double> AcquireTime = Source.CreateHistogram("pg_pool_acquire", "s", advice: Bounds(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30));
    private static readonly Histogram<double> HoldTime = Source.CreateHistogram("pg_pool_hold", "s", advice: Bounds(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600));

    private readonly ConcurrentDictionary<Checkout, byte> _out = new();
    private readonly KeyValuePair<string, object?> _pool;
    private readonly TimeSpan _leakAfter;
    private long _requests, _acquired, _returned, _poolTimeouts, _connectTimeouts;

    static WatchedPool()
    {
        // Read at each scrape, so that a checkout only adds to a number; there from 0 on.
        Source.CreateObservableCounter<long>("pg_pool_requests", () => Totals(static pool => Volatile.Read(ref pool._requests)));
        Source.CreateObservableCounter<long>("pg_pool_acquired", () => Totals(static pool => Volatile.Read(ref pool._acquired)));
        Source.CreateObservableCounter<long>("pg_pool_returned", () => Totals(static pool => Volatile.Read(ref pool._returned)));
        Source.CreateObservableCounter<long>("pg_pool_timeouts", Timeouts);
        Source.CreateObservableGauge<double>("pg_pool_oldest_active", Oldest, "s");
        Source.CreateObservableGauge<double>("pg_pool_leak_threshold", Thresholds, "s");
        Source.CreateObservableGauge<long>("pg_pool_overdue_connections", Overdue);
        Source.CreateObservableGauge<long>("pg_pool_long_lived_connections", () => Totals(static pool => pool._out.Keys.Count(static one => one.LongLived)));
    }

    /// <param name="name">The name that the data source has in Npgsql's own metrics.</param>
    /// <param name="leakAfter">How long a checkout may last before its line is shown; a minute by default.</param>
    public WatchedPool(string name, TimeSpan? leakAfter = null)
    {
        Name = name;
        _pool = new("pool", name);
        _leakAfter = leakAfter ?? TimeSpan.FromMinutes(1);
        All.TryAdd(this, 0);
    }

    /// <summary>The pool's name in the metrics.</summary>
    public string Name { get; }

    /// <summary>Notes a request for a connection; returns its time, for <see cref="Acquired"/>.</summary>
    public long Asked()
    {
        Interlocked.Increment(ref _requests);
        return Stopwatch.GetTimestamp();
    }

    /// <summary>Notes that the request made at <paramref name="asked"/> got its connection, for the code at <paramref name="site"/>.</summary>
    public Checkout Acquired(long asked, string site, bool longLived = false)
    {
        AcquireTime.Record(Stopwatch.GetElapsedTime(asked).TotalSeconds, _pool);
        var checkout = new Checkout(site, longLived);
        Begin(checkout);
        return checkout;
    }

    /// <summary>Notes that a request failed; always false, so that it can stand in an exception filter.</summary>
    public bool Failed(Exception error)
    {
        // Both timeouts are a NpgsqlException around a TimeoutException, without a code: only the message,
        // which is never translated, distinguishes them (seen with 8.0.9 and 10.0.3).
        if (error is NpgsqlException && error.InnerException is TimeoutException)
        {
            if (error.Message.Contains("pool has been exhausted", StringComparison.Ordinal)) Interlocked.Increment(ref _poolTimeouts);
            else Interlocked.Increment(ref _connectTimeouts);
        }
        return false;
    }

    /// <summary>Notes that a connection is back in the pool; a second time does nothing.</summary>
    public void Returned(Checkout checkout)
    {
        if (!_out.TryRemove(checkout, out byte _)) return;
        Interlocked.Increment(ref _returned);
        HoldTime.Record(Stopwatch.GetElapsedTime(checkout.Since).TotalSeconds, _pool);
    }

    /// <summary>Notes that a connection which was returned is open again; while it is open it does nothing.</summary>
    public void Reopened(Checkout checkout)
    {
        if (_out.ContainsKey(checkout)) return;
        Interlocked.Increment(ref _requests);
        checkout.Since = Stopwatch.GetTimestamp();
        Begin(checkout);
    }

    /// <summary>Ends the pool's metrics.</summary>
    public void Dispose() => All.TryRemove(this, out byte _);

    private void Begin(Checkout checkout)
    {
        if (_out.TryAdd(checkout, 0)) Interlocked.Increment(ref _acquired);
    }

    private bool IsOverdue(Checkout checkout) => !checkout.LongLived && Stopwatch.GetElapsedTime(checkout.Since) > _leakAfter;

    // Two pools of one name are one to whoever reads the page.
    private static IEnumerable<Measurement<long>> Totals(Func<WatchedPool, long> value) =>
        All.Keys.GroupBy(static pool => pool.Name)
            .Select(pools => new Measurement<long>(pools.Sum(value), pools.First()._pool));

    private static IEnumerable<Measurement<long>> Timeouts() =>
        All.Keys.GroupBy(static pool => pool.Name).SelectMany(static pools => new Measurement<long>[]
        {
            new(pools.Sum(static pool => Volatile.Read(ref pool._poolTimeouts)), pools.First()._pool, new("kind", "pool")),
            new(pools.Sum(static pool => Volatile.Read(ref pool._connectTimeouts)), pools.First()._pool, new("kind", "connect")),
        });

    private static IEnumerable<Measurement<double>> Oldest()
    {
        foreach (var pools in All.Keys.GroupBy(static pool => pool.Name))
        {
            var ages = pools.SelectMany(static pool => pool._out.Keys)
                .Select(static one => Stopwatch.GetElapsedTime(one.Since).TotalSeconds).ToList();
            if (ages.Count > 0) yield return new Measurement<double>(ages.Max(), pools.First()._pool);
        }
    }

    private static IEnumerable<Measurement<double>> Thresholds() =>
        All.Keys.GroupBy(static pool => pool.Name)
            .Select(static pools => new Measurement<double>(pools.Min(static pool => pool._leakAfter.TotalSeconds), pools.First()._pool));

    private static IEnumerable<Measurement<long>> Overdue() =>
        All.Keys.SelectMany(static pool => pool._out.Keys.Where(pool.IsOverdue).Select(one => (Pool: pool._pool, pool.Name, one.Site)))
            .GroupBy(static one => (one.Name, one.Site))
            .Select(static site => new Measurement<long>(site.Count(), site.First().Pool, new("site", site.Key.Site)));

    private static InstrumentAdvice<double> Bounds(params double[] bounds) => new() { HistogramBucketBoundaries = bounds };
}

/// <summary>One connection that is checked out.</summary>
public sealed class Checkout
{
    internal Checkout(string site, bool longLived)
    {
        Site = site;
        LongLived = longLived;
    }

    /// <summary>The code that has it.</summary>
    public string Site { get; }

    internal bool LongLived { get; }

    internal long Since { get; set; } = Stopwatch.GetTimestamp();
}

/// <summary>A data source whose connections are watched. It owns the data source that it is made of.</summary>
public sealed class WatchedDataSource : IDisposable, IAsyncDisposable
{
    private static readonly ConcurrentDictionary<(string File, int Line, string Member), string> Sites = new();
    private readonly NpgsqlDataSource _inner;

    /// <param name="inner">The data source to watch.</param>
    /// <param name="pool">The name that <see cref="NpgsqlDataSourceBuilder.Name"/> was given.</param>
    /// <param name="leakAfter">How long a checkout may last before its line is shown; a minute by default.</param>
    public WatchedDataSource(NpgsqlDataSource inner, string pool, TimeSpan? leakAfter = null)
    {
        _inner = inner;
        Pool = new WatchedPool(pool, leakAfter);
    }

    /// <summary>The pool's checkouts, for what else uses it: Entity Framework Core's interceptor.</summary>
    public WatchedPool Pool { get; }

    /// <summary>Opens a connection. The last three arguments are the compiler's.</summary>
    public ValueTask<NpgsqlConnection> OpenConnectionAsync(CancellationToken cancellationToken = default,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "") =>
        Open(_inner.OpenConnectionAsync, Site(file, line, member), false, cancellationToken);

    /// <summary>Opens a connection that is kept on purpose, as for LISTEN: it is never overdue.</summary>
    public ValueTask<NpgsqlConnection> OpenLongLivedConnectionAsync(CancellationToken cancellationToken = default,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "") =>
        Open(_inner.OpenConnectionAsync, Site(file, line, member), true, cancellationToken);

    /// <summary>Opens a connection to a host of a multi-host data source.</summary>
    public ValueTask<NpgsqlConnection> OpenConnectionAsync(TargetSessionAttributes targetSessionAttributes, CancellationToken cancellationToken = default,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "")
    {
        if (_inner is not NpgsqlMultiHostDataSource hosts) throw new InvalidOperationException("The data source has one host: build it with BuildMultiHost().");
        return Open(token => hosts.OpenConnectionAsync(targetSessionAttributes, token), Site(file, line, member), false, cancellationToken);
    }

    /// <summary>Opens a connection. The arguments are the compiler's.</summary>
    public NpgsqlConnection OpenConnection(
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "") =>
        Open(Site(file, line, member), false);

    /// <summary>Opens a connection that is kept on purpose, as for LISTEN: it is never overdue.</summary>
    public NpgsqlConnection OpenLongLivedConnection(
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "") =>
        Open(Site(file, line, member), true);

    /// <summary>Makes a connection that others open, as Dapper does. It is out while it is open.</summary>
    public NpgsqlConnection CreateConnection(
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0, [CallerMemberName] string member = "") =>
        Watch(_inner.CreateConnection(), new Checkout(Site(file, line, member), false));

    /// <summary>Disposes the data source, and ends its metrics.</summary>
    public void Dispose()
    {
        Pool.Dispose();
        _inner.Dispose();
    }

    /// <summary>Disposes the data source, and ends its metrics.</summary>
    public ValueTask DisposeAsync()
    {
        Pool.Dispose();
        return _inner.DisposeAsync();
    }

    private async ValueTask<NpgsqlConnection> Open(Func<CancellationToken, ValueTask<NpgsqlConnection>> open, string site, bool longLived, CancellationToken cancellationToken)
    {
        var asked = Pool.Asked();
        try
        {
            var connection = await open(cancellationToken).ConfigureAwait(false);
            return Watch(connection, Pool.Acquired(asked, site, longLived));
        }
        catch (NpgsqlException error) when (Pool.Failed(error)) { throw; }
    }

    private NpgsqlConnection Open(string site, bool longLived)
    {
        var asked = Pool.Asked();
        try
        {
            var connection = _inner.OpenConnection();
            return Watch(connection, Pool.Acquired(asked, site, longLived));
        }
        catch (NpgsqlException error) when (Pool.Failed(error)) { throw; }
    }

    // The connection reports that it is closed after Close, Dispose, an exception in `using`, and when its session is killed.
    private NpgsqlConnection Watch(NpgsqlConnection connection, Checkout checkout)
    {
        connection.StateChange += (_, change) =>
        {
            if (change.CurrentState == ConnectionState.Closed) Pool.Returned(checkout);
            else if (change.CurrentState == ConnectionState.Open) Pool.Reopened(checkout);
        };
        return connection;
    }

    // The last two parts of the path: "Orders/Report.cs:42 Month".
    private static string Site(string file, int line, string member) => Sites.GetOrAdd((file, line, member), static at =>
    {
        var parts = at.File.Split('/', '\\');
        return $"{string.Join('/', parts[^Math.Min(2, parts.Length)..])}:{at.Line} {at.Member}";
    });
}
