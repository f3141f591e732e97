// Entity Framework Core opens and closes connections by itself: this interceptor notes them.
#nullable enable

using System;
using System.Collections.Concurrent;
using System.Data.Common;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace PgPoolExporter;

/// <summary>Notes what contexts have checked out of a pool, by the type of the context.</summary>
public sealed class WatchedConnections : DbConnectionInterceptor
{
    private readonly ConcurrentDictionary<DbConnection, (long Asked, string Site)> _opening = new();
    private readonly ConcurrentDictionary<DbConnection, Checkout> _out = new();
    private readonly WatchedPool _pool;
    private readonly bool _methods;

    /// <param name="pool">The pool of the contexts' data source.</param>
    /// <param name="methods">Whether to add the method that opened the connection, which walks the stack.</param>
    public WatchedConnections(WatchedPool pool, bool methods = false)
    {
        _pool = pool;
        _methods = methods;
    }

    /// <inheritdoc/>
    public override InterceptionResult ConnectionOpening(DbConnection connection, ConnectionEventData eventData, InterceptionResult result)
    {
        Opening(connection, eventData);
        return result;
    }

    /// <inheritdoc/>
    public override ValueTask<InterceptionResult> ConnectionOpeningAsync(DbConnection connection, ConnectionEventData eventData, InterceptionResult result, CancellationToken cancellationToken = default)
    {
        Opening(connection, eventData);
        return new(result);
    }

    /// <inheritdoc/>
    public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData) => Opened(connection);

    /// <inheritdoc/>
    public override Task ConnectionOpenedAsync(DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        Opened(connection);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override void ConnectionFailed(DbConnection connection, ConnectionErrorEventData eventData) => Failed(connection, eventData.Exception);

    /// <inheritdoc/>
    public override Task ConnectionFailedAsync(DbConnection connection, ConnectionErrorEventData eventData, CancellationToken cancellationToken = default)
    {
        Failed(connection, eventData.Exception);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override void ConnectionClosed(DbConnection connection, ConnectionEndEventData eventData) => Closed(connection);

    /// <inheritdoc/>
    public override Task ConnectionClosedAsync(DbConnection connection, ConnectionEndEventData eventData)
    {
        Closed(connection);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override void ConnectionDisposed(DbConnection connection, ConnectionEndEventData eventData) => Closed(connection);

    // On the caller's stack, also of asynchronous code.
    private void Opening(DbConnection connection, ConnectionEventData eventData) =>
        _opening[connection] = (_pool.Asked(), Site(eventData));

    private void Opened(DbConnection connection)
    {
        if (_opening.TryRemove(connection, out var opening)) _out[connection] = _pool.Acquired(opening.Asked, opening.Site);
    }

    private void Failed(DbConnection connection, Exception error)
    {
        if (_opening.TryRemove(connection, out _)) _pool.Failed(error);
    }

    private void Closed(DbConnection connection)
    {
        _opening.TryRemove(connection, out _);
        if (_out.TryRemove(connection, out var checkout)) _pool.Returned(checkout);
    }

    private string Site(ConnectionEventData eventData)
    {
        var context = eventData.Context?.GetType().Name ?? "a context";
        if (!_methods) return context;
        foreach (var frame in new StackTrace(2, false).GetFrames())
        {
            var method = frame.GetMethod();
            var type = method?.DeclaringType;
            var name = type?.FullName ?? "";
            if (method is null || type is null || type == typeof(WatchedConnections) || IsLibrary(name)) continue;
            // Asynchronous code runs in a class of the compiler's, "<Month>d__1".
            var end = type.Name.IndexOf('>', StringComparison.Ordinal);
            var called = type.Name.StartsWith('<') && end > 1 ? type.Name[1..end] : method.Name;
            return $"{context} in {(type.DeclaringType ?? type).Name}.{called}";
        }
        return context;
    }

    private static bool IsLibrary(string type) =>
        type.StartsWith("Microsoft.EntityFrameworkCore", StringComparison.Ordinal)
        || type.StartsWith("System.", StringComparison.Ordinal)
        || type.StartsWith("Npgsql", StringComparison.Ordinal);
}
