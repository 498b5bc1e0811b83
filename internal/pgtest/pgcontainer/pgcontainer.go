// Package pgcontainer starts PostgreSQL in a container for tests.
package pgcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

// Image is the image that is run; USTAT_TEST_POSTGRES_IMAGE names another.
const Image = "postgres:17-alpine"

// Start runs a container and returns the DSN of its server and what ends it. It
// fails at once where no Docker answers.
func Start(ctx context.Context) (dsn string, stop func(), err error) {
	defer func() {
		// The library panics when it finds no Docker host.
		if p := recover(); p != nil {
			err = fmt.Errorf("docker: %v", p)
		}
	}()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", nil, fmt.Errorf("docker: %w", err)
	}
	health, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err = errors.Join(provider.Health(health), provider.Close())
	if err != nil {
		return "", nil, fmt.Errorf("docker does not answer: %w", err)
	}
	image := Image
	if name := os.Getenv("USTAT_TEST_POSTGRES_IMAGE"); name != "" {
		image = name
	}
	container, err := postgres.Run(ctx, image,
		postgres.WithUsername("postgres"), postgres.WithPassword("postgres"), postgres.WithDatabase("postgres"),
		testcontainers.WithEnv(map[string]string{"POSTGRES_INITDB_ARGS": "--locale=C.UTF-8 --encoding=UTF8"}),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
		testcontainers.WithTmpfs(map[string]string{"/var/lib/postgresql/data": "rw"}),
		postgres.BasicWaitStrategies(),
	)
	stop = func() {
		if container != nil {
			_ = testcontainers.TerminateContainer(container)
		}
	}
	if err == nil {
		dsn, err = container.ConnectionString(ctx, "sslmode=disable")
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return dsn, stop, nil
}
