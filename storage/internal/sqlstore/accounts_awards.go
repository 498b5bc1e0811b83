package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

type awardRow struct {
	bun.BaseModel `bun:"table:ustat_awards"`
	UserID        core.UserID `bun:"user_id"`
	Code          string      `bun:"code"`
	AwardedAt     time.Time   `bun:"awarded_at"`
}

func (r accountsReader) AwardsOf(ctx context.Context, users []core.UserID) ([]accounts.Award, error) {
	if len(users) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "user_id", users)
	return readAll(ctx, r.session, "SELECT user_id, code, awarded_at FROM ustat_awards WHERE "+where+" ORDER BY user_id, awarded_at, code", args,
		func(rows *sql.Rows, a *accounts.Award) error {
			err := rows.Scan(&a.User, &a.Code, &a.At)
			a.At = a.At.UTC()
			return err
		})
}

func (t accountsTx) AddAwards(ctx context.Context, list []accounts.Award) ([]accounts.Award, error) {
	if err := checkText(len(list), func(i int) []string { return []string{list[i].Code} }); err != nil {
		return nil, err
	}
	var added []accounts.Award
	for block := range slices.Chunk(list, blockRows) {
		rows := make([]awardRow, len(block))
		for i, a := range block {
			rows[i] = awardRow{UserID: a.User, Code: a.Code, AwardedAt: core.Time(a.At)}
		}
		var got []awardRow
		q := t.Tx.db.bun.NewInsert().Conn(t.Tx.conn).Model(&rows).On("CONFLICT DO NOTHING").Returning("user_id, code, awarded_at")
		if err := t.Tx.scan(ctx, q, &got); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		for _, row := range got {
			added = append(added, accounts.Award{User: row.UserID, Code: row.Code, At: row.AwardedAt.UTC()})
		}
	}
	return added, nil
}
