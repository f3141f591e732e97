package prometheus_test

import (
	"context"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx"
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/prometheus"
)

func TestTheCollectorShowsWhatOurPageShows(t *testing.T) {
	t.Setenv("PG_POOL_EXPORTER_SOCKET_DIR", t.TempDir())
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgx.NewWithConfig(context.Background(), config, poolexporter.Options{App: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(context.Background(), "select 1"); err != nil {
		t.Fatal(err)
	}
	registry := client.NewPedanticRegistry()
	registry.MustRegister(prometheus.NewCollector())
	theirs, ours := httptest.NewRecorder(), httptest.NewRecorder()
	get := httptest.NewRequest("GET", "/metrics", nil)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(theirs, get)
	poolexporter.Handler().ServeHTTP(ours, get)
	if a, b := names(theirs.Body.String()), names(ours.Body.String()); !slices.Equal(a, b) {
		t.Errorf("the collector shows %v, our page %v", a, b)
	}
}

// names are those of the series, without their labels, sorted.
func names(page string) (found []string) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			name, _, _ := strings.Cut(line, "{")
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
