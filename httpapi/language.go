package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/i18n"
)

// languages is what the languages of a platform are, and its names in one of them.
type languages struct {
	Language  string            `json:"language" doc:"That of this answer"`
	Languages []string          `json:"languages" nullable:"false" doc:"In which the platform speaks, the default first"`
	Names     map[string]string `json:"names" nullable:"false" doc:"Of roles, statuses and kinds, by their keys" example:"{\"role.teacher\": \"Teacher\"}"`
}

func (a *api) mountLanguages() {
	get(a, route{
		nobody: true, path: Prefix + "/languages/", id: "languages", tag: "languages", summary: "The languages of the platform, and its names in the reader's",
	}, func(ctx context.Context, _ *call) (languages, error) {
		lang, messages := a.language(ctx), a.platform.Messages
		return languages{lang, messages.Languages(), messages.Names(lang)}, nil
	})
}

// negotiate returns a request whose context knows in which languages it is to be
// answered: by its parameter lang, the choice that its user has saved, and its header. It
// says so in the answer.
func (a *api) negotiate(w http.ResponseWriter, r *http.Request, saved string) *http.Request {
	reader := a.platform.Messages.Negotiate(i18n.Sources{
		Query: queryLanguage(r.URL.RawQuery), Saved: saved, Header: strings.Join(r.Header.Values("Accept-Language"), ","),
	})
	h := w.Header()
	h.Set("Content-Language", reader.Language)
	h.Set("Vary", "Accept-Language, Authorization") // the choice that is saved is the user's
	return r.WithContext(i18n.With(r.Context(), reader))
}

// spoken says in which language the one object of an answer is, where that is known.
func (c *call) spoken(language string) {
	if language != "" {
		c.writer.Header().Set("Content-Language", language)
	}
}

// language returns the language in which a request is answered.
func (a *api) language(ctx context.Context) string {
	return cmp.Or(i18n.From(ctx).Language, a.platform.Messages.Default())
}

// queryLanguage returns the parameter lang of a query, if it is one. What it is worth as a
// parameter is parseQuery's to say.
func queryLanguage(raw string) string {
	if len(raw) > maxQuery {
		return ""
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if value, ok := strings.CutPrefix(pair, "lang="); ok && isTag(value) {
			return value
		}
	}
	return ""
}

// translated returns a problem as it is told to the reader of a context.
func (a *api) translated(ctx context.Context, p *Problem) *Problem {
	messages, lang := a.platform.Messages, a.language(ctx)
	source := core.Error{Code: p.Code, Message: p.Detail}
	if p.source != nil {
		source = *p.source
	}
	source.Violations = make([]core.Violation, len(p.Errors))
	for i, f := range p.Errors {
		source.Violations[i] = core.Violation{Code: f.Code, Limit: f.Limit, Message: f.Detail}
	}
	e := messages.Error(lang, &source)
	out := *p
	out.Title, out.Detail = messages.Text(lang, p.Title), e.Message
	out.Errors = append([]FieldProblem(nil), p.Errors...)
	for i := range out.Errors {
		out.Errors[i].Detail = e.Violations[i].Message
	}
	return &out
}
