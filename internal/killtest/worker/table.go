package main

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/payments/signed"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/tasks"
)

// table is what the worker can do. "by" is the username of the actor; nobody is the
// operator.
func table(p *ustat.Platform, b *storage.Backend, queue tasks.Queue) map[string]killtest.Func {
	w := worker{p, b, queue}
	return map[string]killtest.Func{
		"accounts.register":   w.register,
		"accounts.login":      w.login,
		"accounts.refresh":    w.refresh,
		"accounts.role":       w.role,
		"accounts.disable":    w.disable,
		"accounts.award":      w.award,
		"courses.create":      w.create,
		"courses.submit":      w.move(p.Courses.Submit),
		"courses.publish":     w.move(p.Courses.Publish),
		"courses.archive":     w.move(p.Courses.Archive),
		"courses.restore":     w.move(p.Courses.Restore),
		"courses.module":      w.module,
		"courses.lesson":      w.lesson,
		"reports.make":        w.report,
		"ustat.cleanup":       w.cleanup,
		"tasks.settle":        w.settle,
		"courses.enroll":      w.enroll,
		"courses.cancel":      w.cancel,
		"courses.complete":    w.complete,
		"courses.file":        w.file,
		"courses.certificate": w.certificate,
		"reviews.create":      w.review,
		"reviews.edit":        w.edit,
		"reviews.hide":        w.hide,
		"reviews.delete":      w.remove,
		"reviews.comment":     w.comment,
		"reviews.vote":        w.vote,
		"reviews.report":      w.abuse,
		"reviews.reply":       w.reply,
		"reviews.erase":       w.erase,
		"orders.create":       w.order,
		"orders.callback":     w.callback,
		"orders.refund":       w.refund,
		"orders.settle": func(ctx context.Context, _ map[string]string) (any, error) {
			return p.Courses.SettleOrders(ctx)
		},
	}
}

type worker struct {
	p     *ustat.Platform
	b     *storage.Backend
	queue tasks.Queue // nil without killtest.Work.Files
}

func (w worker) actor(ctx context.Context, args map[string]string) (core.Actor, error) {
	if args["by"] == "" {
		return accounts.System, nil
	}
	u, err := w.p.Accounts.UserByUsername(ctx, args["by"])
	return core.Actor{UserID: u.ID, Role: u.Role}, err
}

func (w worker) register(ctx context.Context, args map[string]string) (any, error) {
	return tokens(w.p.Accounts.Register(ctx, accounts.Registration{
		Username: args["username"], Email: args["username"] + "@example.org", Password: core.Secret(args["password"]),
	}, accounts.Client{Network: args["network"]}))
}

func (w worker) login(ctx context.Context, args map[string]string) (any, error) {
	return tokens(w.p.Accounts.Login(ctx, accounts.Credentials{
		Login: args["username"], Password: core.Secret(args["password"]),
	}, accounts.Client{Network: args["network"]}))
}

func (w worker) refresh(ctx context.Context, args map[string]string) (any, error) {
	return tokens(w.p.Accounts.Refresh(ctx, core.Secret(args["token"]), accounts.Client{Network: args["network"]}))
}

// tokens returns the text of tokens, which a core.Secret hides.
func tokens(t accounts.Tokens, err error) (any, error) {
	return killtest.Tokens{Access: string(t.Access), Refresh: string(t.Refresh)}, err
}

func (w worker) role(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Accounts.AssignRole(ctx, by, args["username"], core.Role(args["role"]))
}

func (w worker) disable(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Accounts.SetActive(ctx, by, args["username"], false)
}

// diligence is what accounts.award awards.
var diligence = accounts.Rule{
	Achievement: accounts.Achievement{Code: "diligence", Title: "Diligence"}, Types: []string{"test.diligent"},
	About: func(e core.Event) []core.UserID { return []core.UserID{e.Actor} },
	Earned: func(_ context.Context, users []core.UserID, _ accounts.Facts) ([]core.UserID, error) {
		return users, nil
	},
}

// award delivers an event by which a user has earned diligence.
func (w worker) award(ctx context.Context, args map[string]string) (any, error) {
	u, err := w.p.Accounts.UserByUsername(ctx, args["username"])
	if err != nil {
		return nil, err
	}
	return nil, w.p.Accounts.Award(ctx, core.NewEvent("test.diligent", "test", core.Actor{UserID: u.ID}, time.Now(), nil))
}

func (w worker) create(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.Create(ctx, by, courses.NewCourse{
		Title: args["slug"], Slug: args["slug"], Category: args["category"], Teacher: args["teacher"],
		Price: &core.Money{Minor: 100, Currency: "EUR"}, Key: args["key"],
	})
}

func (w worker) move(do func(context.Context, core.Actor, string, int64) (courses.Course, error)) killtest.Func {
	return func(ctx context.Context, args map[string]string) (any, error) {
		by, err := w.actor(ctx, args)
		if err != nil {
			return nil, err
		}
		return do(ctx, by, args["slug"], 0)
	}
}

func (w worker) module(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.CreateModule(ctx, by, args["slug"], courses.NewModule{Title: "Module"})
}

// lesson adds a lesson to the first module of a course.
func (w worker) lesson(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	page, err := w.p.Courses.Modules(ctx, by, args["slug"], core.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, courses.ErrModuleNotFound
	}
	return w.p.Courses.CreateLesson(ctx, by, args["slug"], page.Items[0].ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
}

func (w worker) enroll(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.Enroll(ctx, by, args["slug"], "")
}

func (w worker) cancel(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.Cancel(ctx, by, args["slug"], "")
}

// complete says that the first lesson of a course is done.
func (w worker) complete(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	enrolled, err := w.p.Courses.Enrollments(ctx, by, courses.EnrollmentFilter{Course: args["slug"]}, core.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	lessons, err := w.p.Courses.Lessons(ctx, by, args["slug"], 0, core.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(enrolled.Items) == 0 || len(lessons.Items) == 0 {
		return nil, courses.ErrEnrollmentNotFound
	}
	return w.p.Courses.CompleteLesson(ctx, by, enrolled.Items[0].ID, lessons.Items[0].ID)
}

func (w worker) order(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.CreateOrder(ctx, by, courses.NewOrder{Course: args["slug"], Coupon: args["coupon"], Key: args["key"]})
}

func (w worker) callback(ctx context.Context, args map[string]string) (any, error) {
	return nil, w.p.Courses.PaymentCallback(ctx, "http", map[string][]string{signed.Header: {args["signature"]}}, []byte(args["body"]))
}

func (w worker) refund(ctx context.Context, args map[string]string) (any, error) {
	id, err := uuid.Parse(args["order"])
	if err != nil {
		return nil, err
	}
	return w.p.Courses.RefundOrder(ctx, accounts.System, id)
}

// file processes an upload, of a platform that keeps its files in a folder.
func (w worker) file(ctx context.Context, args map[string]string) (any, error) {
	id, err := uuid.Parse(args["file"])
	if err != nil {
		return nil, err
	}
	files, err := blob.Dir(args["folder"], nil)
	if err != nil {
		return nil, err
	}
	service := courses.NewService(courses.Config{Store: w.b.Courses, Users: w.p.Accounts, Files: files, Links: new(blob.Links), Queued: true})
	return nil, service.ProcessLessonFile(ctx, id)
}

// certificate issues the one of an enrollment.
func (w worker) certificate(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(args["enrollment"], 10, 64)
	if err != nil {
		return nil, err
	}
	return w.p.Courses.IssueCertificate(ctx, by, courses.EnrollmentID(id))
}

func (w worker) review(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Reviews.Create(ctx, by, args["slug"], reviews.New{Rating: 4, Text: "Good", Key: args["key"]})
}

// about returns the actor and the review that the arguments name.
func (w worker) about(ctx context.Context, args map[string]string) (core.Actor, reviews.ReviewID, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return by, 0, err
	}
	id, err := strconv.ParseInt(args["review"], 10, 64)
	return by, reviews.ReviewID(id), err
}

func (w worker) edit(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	rating := 1
	return w.p.Reviews.Edit(ctx, by, id, reviews.Change{Rating: &rating})
}

func (w worker) hide(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Reviews.Moderate(ctx, by, id, reviews.Decision{Action: reviews.Hide, Reason: "rude"})
}

func (w worker) remove(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return nil, w.p.Reviews.Delete(ctx, by, id, 0)
}

func (w worker) comment(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Reviews.Comment(ctx, by, id, reviews.NewText{Text: "Yes", Key: args["key"]})
}

func (w worker) vote(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Reviews.Vote(ctx, by, id, true)
}

func (w worker) abuse(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return nil, w.p.Reviews.Report(ctx, by, id, reviews.NewReport{Reason: reviews.Spam})
}

func (w worker) reply(ctx context.Context, args map[string]string) (any, error) {
	by, id, err := w.about(ctx, args)
	if err != nil {
		return nil, err
	}
	return w.p.Reviews.SetReply(ctx, by, id, reviews.NewText{Text: "Thanks"})
}

func (w worker) erase(ctx context.Context, args map[string]string) (any, error) {
	u, err := w.p.Accounts.UserByUsername(ctx, args["username"])
	if err != nil {
		return nil, err
	}
	return nil, w.p.Reviews.EraseUser(ctx, accounts.System, u.ID)
}
