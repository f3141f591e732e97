// Leaks in known ways against a real server, and fails unless the page names their lines.
// Usage: dotnet run --project clients/dotnet/check -- "Host=127.0.0.1;Username=…;Password=…;Database=postgres"
using Microsoft.EntityFrameworkCore;
using Npgsql;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using PgPoolExporter;

const int port = 19476;
using var provider = Sdk.CreateMeterProviderBuilder().AddMeter("Npgsql", "pg_pool")
    .AddPrometheusHttpListener(o => { o.Host = "127.0.0.1"; o.Port = port; }).Build();
using var http = new HttpClient();
var wrong = 0;

WatchedDataSource Make(string name, int max) => new(
    new NpgsqlDataSourceBuilder($"{args[0]};Maximum Pool Size={max};Timeout=1") { Name = name }.Build(), name, TimeSpan.FromSeconds(1));

await using (var other = Make("other", 2))
await using (var main = Make("main", 4))
{
    for (var i = 0; i < 3; i++) { await using var used = await main.OpenConnectionAsync(); }
    using (main.OpenConnection()) { }
    await Orders.ForgottenClose(main);
    await Orders.Kept(main);
    await Orders.Listens(main);
    await using (var made = main.CreateConnection()) { await made.OpenAsync(); }
    await using (var elsewhere = await other.OpenConnectionAsync()) { }

    DbContextOptions<Shop> options = new DbContextOptionsBuilder<Shop>()
        .UseNpgsql(new NpgsqlDataSourceBuilder($"{args[0]};Timeout=1") { Name = "ef" }.Build())
        .AddInterceptors(new WatchedConnections(new WatchedPool("ef", TimeSpan.FromSeconds(1)), methods: true)).Options;
    await Orders.TransactionLeftOpen(options);

    await using var last = await main.OpenConnectionAsync();
    try { await main.OpenConnectionAsync(); } catch (NpgsqlException error) { Console.WriteLine(error.Message); }
    await Task.Delay(1500);

    var page = await Page();
    Expect(page, "pg_pool_requests_total", "pool=\"main\"", 10);
    Expect(page, "pg_pool_acquired_total", "pool=\"main\"", 9);
    Expect(page, "pg_pool_returned_total", "pool=\"main\"", 5);
    Expect(page, "pg_pool_timeouts_total", "kind=\"pool\",pool=\"main\"", 1);
    Expect(page, "pg_pool_timeouts_total", "kind=\"connect\",pool=\"main\"", 0);
    Expect(page, "pg_pool_long_lived_connections", "pool=\"main\"", 1);
    Expect(page, "pg_pool_overdue_connections", "ForgottenClose", 1);
    Expect(page, "pg_pool_overdue_connections", "Kept", 1);
    Expect(page, "pg_pool_overdue_connections", "Shop in Orders.TransactionLeftOpen", 1);
    Expect(page, "pg_pool_acquired_total", "pool=\"other\"", 1);
    if (page.Any(line => line.Contains("Listens", StringComparison.Ordinal))) Wrong("a long-lived checkout is overdue");
}
if ((await Page()).Any(line => line.StartsWith("pg_pool_requests_total", StringComparison.Ordinal) && line.Contains("\"main\"", StringComparison.Ordinal)))
    Wrong("a disposed pool is still on the page");
return wrong;

async Task<string[]> Page()
{
    await Task.Delay(500);
    return (await http.GetStringAsync($"http://127.0.0.1:{port}/metrics")).Split('\n');
}

void Expect(string[] page, string name, string part, double value)
{
    var line = page.FirstOrDefault(one => one.StartsWith(name + "{", StringComparison.Ordinal) && one.Contains(part, StringComparison.Ordinal));
    if (line is null || !line.EndsWith($" {value}", StringComparison.Ordinal)) Wrong($"{name} of {part} must be {value}: {line ?? "missing"}");
}

void Wrong(string what)
{
    Console.WriteLine(what);
    wrong = 1;
}

internal static class Orders
{
    public static async Task ForgottenClose(WatchedDataSource pool) => await Use(await pool.OpenConnectionAsync());

    public static async Task Kept(WatchedDataSource pool) => await Use(await pool.OpenConnectionAsync());

    public static async Task Listens(WatchedDataSource pool) => await Use(await pool.OpenLongLivedConnectionAsync());

    public static async Task TransactionLeftOpen(DbContextOptions<Shop> options)
    {
        var shop = new Shop(options);
        await shop.Database.BeginTransactionAsync();
    }

    private static async Task Use(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand("select 1", connection);
        await command.ExecuteScalarAsync();
    }
}

internal sealed class Shop(DbContextOptions<Shop> options) : DbContext(options);
