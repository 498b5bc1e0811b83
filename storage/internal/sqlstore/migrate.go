package sqlstore

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// The names of the migrator's own tables in a main database, which may be the embedder's.
const (
	migrationsTable = "ustat_migrations"
	locksTable      = "ustat_migration_locks"
)

// schema implements storage.Schema with bun/migrate.
//
// A migration and its mark are one transaction, which begins by taking the write
// lock and looking whether another process was faster. So nothing is left half
// done by a kill, and the migrator's lock row, which a kill would leave locked, is
// not used.
type schema struct{ db *DB }

// AfterStatement, when a context has one, is called after each statement of a
// migration and after each block that is indexed anew; tests kill the process there.
type AfterStatement func(n int)

type afterStatementKey struct{}

// WithAfterStatement returns a context with f.
func WithAfterStatement(ctx context.Context, f AfterStatement) context.Context {
	return context.WithValue(ctx, afterStatementKey{}, f)
}

func afterStatement(ctx context.Context) AfterStatement {
	if after, ok := ctx.Value(afterStatementKey{}).(AfterStatement); ok {
		return after
	}
	return func(int) {}
}

func (s schema) migrator() (*migrate.Migrator, []string, error) {
	files, err := fs.Glob(s.db.dialect.Migrations, "*.sql")
	if err != nil {
		return nil, nil, err
	}
	all := migrate.NewMigrations()
	var names []string
	for _, file := range files { // Glob sorts
		name := strings.TrimSuffix(file, ".sql")
		text, err := fs.ReadFile(s.db.dialect.Migrations, file)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, name)
		all.Add(migrate.Migration{Name: name, Up: func(ctx context.Context, _ *migrate.Migrator, m *migrate.Migration) error {
			return s.apply(ctx, m, strings.Split(string(text), "--bun:split"))
		}})
	}
	// Upsert: Up has marked the migration already, in its own transaction.
	db := bun.NewDB(s.db.writer, s.db.bun.Dialect())
	return migrate.NewMigrator(db, all, migrate.WithTableName(s.db.dialect.MigrationsTable), migrate.WithLocksTableName(s.db.dialect.LocksTable),
		migrate.WithMarkAppliedOnSuccess(true), migrate.WithUpsert(true)), names, nil
}

// apply runs one migration and marks it, unless another process has.
func (s schema) apply(ctx context.Context, m *migrate.Migration, statements []string) error {
	after := afterStatement(ctx)
	return s.db.update(ctx, "schema", func(ctx context.Context, tx *Tx) error {
		if lock := s.db.dialect.MigrationLock; lock != "" {
			if err := tx.WriteSQL(ctx, lock); err != nil {
				return err
			}
		}
		var applied int
		if err := tx.rawScan(ctx, &applied, "SELECT count(*) FROM "+s.db.dialect.MigrationsTable+" WHERE name = ?", m.Name); err != nil || applied > 0 {
			return err
		}
		for i, statement := range statements {
			if err := tx.WriteSQL(ctx, strings.TrimSpace(statement)); err != nil {
				return fmt.Errorf("statement %d of %s: %w", i+1, m.Name, err)
			}
			after(i + 1)
		}
		return tx.WriteSQL(ctx, "INSERT INTO "+s.db.dialect.MigrationsTable+" (name, group_id, migrated_at) VALUES (?, ?, ?)", m.Name, m.GroupID, s.db.opt.Now())
	})
}

// Migrate implements storage.Schema.
func (s schema) Migrate(ctx context.Context) ([]string, error) {
	ctx = core.WithOperation(ctx, "schema.Migrate")
	m, names, err := s.migrator()
	if err != nil {
		return nil, err
	}
	if err := s.checkNewer(ctx, names); err != nil {
		return nil, err
	}
	if err := s.init(ctx, m); err != nil {
		return nil, err
	}
	group, err := m.Migrate(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	if s.db.dialect.Search != nil {
		if err := s.reindexOld(ctx); err != nil {
			return nil, fmt.Errorf("storage: index courses anew: %w", err)
		}
	}
	var applied []string
	for _, done := range group.Migrations {
		applied = append(applied, done.Name)
	}
	return applied, nil
}

// init makes the migrator's tables. CREATE TABLE IF NOT EXISTS of two processes at
// once can fail on PostgreSQL, so a failure is tried again.
func (s schema) init(ctx context.Context, m *migrate.Migrator) error {
	var err error
	for attempt := range 10 {
		if err = m.Init(ctx); err == nil || !pause(ctx, attempt) {
			break
		}
	}
	if err != nil {
		return s.db.translate(ctx, err)
	}
	return nil
}

// Check implements storage.Schema.
func (s schema) Check(ctx context.Context) error {
	_, names, err := s.migrator()
	if err != nil {
		return err
	}
	if err := s.checkNewer(ctx, names); err != nil {
		return err
	}
	applied, err := s.applied(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !applied[name] {
			return storage.ErrSchemaOld.Withf("migration %s has not been applied: migrate the database first", name)
		}
	}
	if s.db.dialect.Search == nil {
		return nil
	}
	return s.checkReindexed(ctx)
}

func (s schema) checkNewer(ctx context.Context, names []string) error {
	applied, err := s.applied(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		delete(applied, name)
	}
	for name := range applied {
		return storage.ErrSchemaNew.Withf("the database has migration %s, which this version does not know: use a newer version of the program", name)
	}
	return nil
}

// applied returns the names of the applied migrations; none when there is no
// table of them yet.
func (s schema) applied(ctx context.Context) (map[string]bool, error) {
	if s.db.closed.Load() {
		return nil, core.ErrClosed
	}
	found := map[string]bool{}
	var exists int
	if err := s.db.writer.QueryRowContext(ctx, s.db.dialect.TableExists(s.db.dialect.MigrationsTable)).Scan(&exists); err != nil || exists == 0 {
		return found, s.db.translateNil(ctx, err)
	}
	rows, err := s.db.writer.QueryContext(ctx, "SELECT name FROM "+s.db.dialect.MigrationsTable)
	if err != nil {
		return nil, s.db.translate(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		found[name] = true
	}
	return found, rows.Err()
}
