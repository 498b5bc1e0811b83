package main

import (
	"context"
	"database/sql"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"
	"riverqueue.com/riverui"
	"riverqueue.com/riverui/uiendpoints"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
)

// River's web interface is served below riverPath to admins. A browser sends no
// bearer token, so who has one posts it to riverSession and gets a cookie for it,
// which is good for this path alone and for as long as the token.
const (
	riverPath    = "/admin/river"
	riverSession = riverPath + "/session"
	riverCookie  = "ustat_river"
)

// withRiver serves River's web interface beside a handler, until ctx ends.
func (p *program) withRiver(ctx context.Context, next http.Handler, platform *ustat.Platform, queue tasks.Queue) (http.Handler, error) {
	var endpoints uiendpoints.Bundle
	switch q := queue.(type) {
	case *riverqueue.Queue[pgx.Tx]:
		endpoints = riverui.NewEndpoints(q.River(), nil)
	case *riverqueue.Queue[*sql.Tx]:
		endpoints = riverui.NewEndpoints(q.River(), nil)
	}
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{Endpoints: endpoints, Logger: p.log, Prefix: riverPath, JobListHideArgsByDefault: true})
	if err != nil {
		return nil, err
	}
	if err := ui.Start(ctx); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", next)
	// The interface changes things by POST: no other site's page may make it.
	guard := http.NewCrossOriginProtection()
	mux.Handle("POST "+riverSession, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { startRiverSession(w, r, platform) })))
	mux.Handle(riverPath+"/", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(riverCookie)
		if err != nil {
			http.Error(w, "an admin's bearer token, posted to "+riverSession+", opens this page", http.StatusUnauthorized)
			return
		}
		if !isAdmin(w, r, platform, cookie.Value) {
			return
		}
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "same-origin")
		r.Header.Del("Cookie") // it is nobody's business behind this
		ui.ServeHTTP(w, r)
	})))
	return mux, nil
}

// startRiverSession gives the cookie for an admin's bearer token.
func startRiverSession(w http.ResponseWriter, r *http.Request, platform *ustat.Platform) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
		return
	}
	if !isAdmin(w, r, platform, token) {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: riverCookie, Value: token, Path: riverPath + "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// isAdmin reports whether an access token is an active admin's, and answers when it
// is not. It is asked for every request, so that a session that has ended, or a
// role that was lost, counts at once.
func isAdmin(w http.ResponseWriter, r *http.Request, platform *ustat.Platform, token string) bool {
	actor, err := platform.Accounts.Authenticate(r.Context(), token)
	switch {
	case err == nil && actor.IsAdmin():
		return true
	case err == nil:
		http.Error(w, "this is for admins", http.StatusForbidden)
	case core.KindOf(err) == core.KindUnauthenticated:
		http.Error(w, "the token is not valid, or not any more", http.StatusUnauthorized)
	default:
		http.Error(w, "temporarily unavailable", http.StatusServiceUnavailable)
	}
	return false
}
