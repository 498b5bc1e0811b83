package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/tasks"
)

func TestAnAdminSeesJobsAndTriesADiscardedOneAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	for i := range 3 {
		require.NoError(t, w.queue.Insert(t.Context(), tasks.Insert{Kind: "mail.send", Key: fmt.Sprint("k", i), Args: json.RawMessage(`{"to":"secret@example.org"}`), MaxAttempts: 1}))
	}
	require.NoError(t, w.queue.Start(t.Context(), tasks.Work{Concurrency: 1, Do: func(_ context.Context, j tasks.Job) tasks.Outcome {
		if j.Key == "k1" && j.Attempt == 1 {
			return tasks.Outcome{Result: tasks.Failed, Error: "no route"}
		}
		return tasks.Outcome{}
	}}))
	t.Cleanup(func() { require.NoError(t, w.queue.Stop(context.Background())) })
	count := func(state string) int {
		answer := w.ask("admin", http.MethodGet, "/admin/jobs/?state="+state, nil)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		require.NotContains(t, answer.Body.String(), "secret@")
		return len(decode(t, answer.Body)["results"].([]any))
	}
	require.Eventually(t, func() bool { return count("done") == 2 && count("discarded") == 1 }, 10*time.Second, 10*time.Millisecond)

	page := decode(t, w.ask("admin", http.MethodGet, "/admin/jobs/?limit=2", nil).Body)
	require.Equal(t, "k2", page["results"].([]any)[0].(map[string]any)["key"])
	page = decode(t, w.ask("admin", http.MethodGet, "/admin/jobs/?limit=2&cursor="+page["next"].(string), nil).Body)
	require.Equal(t, "k0", page["results"].([]any)[0].(map[string]any)["key"])
	require.Nil(t, page["next"])

	discarded := decode(t, w.ask("admin", http.MethodGet, "/admin/jobs/?state=discarded&kind=mail.send", nil).Body)["results"].([]any)[0].(map[string]any)
	path := "/admin/jobs/" + discarded["id"].(string) + "/"
	one := decode(t, w.ask("admin", http.MethodGet, path, nil).Body)
	require.Equal(t, "no route", one["failures"].([]any)[0].(map[string]any)["error"])
	require.NotNil(t, one["finished_at"])

	require.Equal(t, http.StatusOK, w.ask("admin", http.MethodPost, path+"retry/", nil).Code)
	require.Eventually(t, func() bool { return count("done") == 3 }, 10*time.Second, 10*time.Millisecond)
	var audited int
	require.NoError(t, w.db.QueryRowContext(t.Context(), "SELECT count(*) FROM ustat_audit WHERE action = 'tasks.job_retried' AND subject = $1", "job/"+discarded["id"].(string)).Scan(&audited))
	require.Equal(t, 1, audited)
	refused(t, w.ask("admin", http.MethodPost, path+"retry/", nil), http.StatusConflict, "tasks.not_retryable")
	refused(t, w.ask("admin", http.MethodGet, "/admin/jobs/999999/", nil), http.StatusNotFound, "tasks.job_not_found")
	refused(t, w.ask("admin", http.MethodGet, "/admin/jobs/zero/", nil), http.StatusNotFound, "tasks.job_not_found")
	refused(t, w.ask("admin", http.MethodGet, "/admin/jobs/?state=dancing", nil), http.StatusUnprocessableEntity, "invalid")
}
