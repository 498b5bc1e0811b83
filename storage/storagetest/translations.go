package storagetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// library is one object of each kind.
func library(t testing.TB, b *storage.Backend) (c courses.Course, objects map[courses.ObjectKind]courses.Object) {
	t.Helper()
	one, _, modules := book(t, b)
	lesson := insertLessons(t, b, courses.Lesson{CourseID: one.ID, ModuleID: modules[0].ID, Title: "Lesson", Kind: courses.Text, Content: "<p>Content</p>", Position: 1})[0]
	var category courses.Category
	var tag courses.Tag
	write(t, b, func(ctx context.Context, tx courses.Tx) error {
		made, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "translated", Name: "Category"}})
		if err != nil {
			return err
		}
		category = made[0]
		tag, err = tx.InsertTag(ctx, courses.Tag{Slug: "translated", Name: "Tag"})
		return err
	})
	return one, map[courses.ObjectKind]courses.Object{
		courses.CourseObject: {Kind: courses.CourseObject, ID: int64(one.ID)}, courses.ModuleObject: {Kind: courses.ModuleObject, ID: int64(modules[0].ID)},
		courses.LessonObject: {Kind: courses.LessonObject, ID: int64(lesson.ID)}, courses.CategoryObject: {Kind: courses.CategoryObject, ID: int64(category.ID)},
		courses.TagObject: {Kind: courses.TagObject, ID: int64(tag.ID)},
	}
}

func putTranslation(t testing.TB, b *storage.Backend, x courses.Translation) (stored courses.Translation) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		list, err := tx.PutTranslations(ctx, []courses.Translation{x})
		if err == nil {
			stored = list[0]
		}
		return err
	})
	return stored
}

// spoken is an object said in a language.
func spoken(o courses.Object, language, title string) courses.Translation {
	return courses.Translation{
		Object: o, Language: language, Texts: courses.Texts{Title: title, Description: "<p>" + title + "</p>", Requirements: awkward[0]}, TextPolicy: 3,
		Sources: courses.TextSources{Title: "0123456789abcdef", Description: "fedcba9876543210"}, UpdatedAt: day,
	}
}

func (s suite) translations() {
	s.run("PutTranslations keeps one a language, of every kind, and Translations returns those of the objects and languages", func(t *testing.T, b *storage.Backend) {
		_, objects := library(t, b)
		var want []courses.Translation
		var all []courses.Object
		for _, kind := range courses.ObjectKinds {
			all = append(all, objects[kind])
			for _, language := range []string{"en", "kk"} {
				x := spoken(objects[kind], language, fmt.Sprint(kind, language, awkward[1]))
				stored := putTranslation(t, b, x)
				x.Version, x.UpdatedAt = 1, core.Time(x.UpdatedAt)
				require.Equal(t, x, stored)
				want = append(want, x)
			}
		}
		got, err := b.Courses.Translations(timeout(t), all, nil)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		got, err = b.Courses.Translations(timeout(t), append(all, courses.Object{Kind: courses.TagObject, ID: 404}), []string{"kk", "pt-BR", "\xff"})
		require.NoError(t, err)
		require.Len(t, got, len(courses.ObjectKinds))
		for i, o := range all {
			got, err = b.Courses.Translations(timeout(t), []courses.Object{o}, []string{"en"})
			require.NoError(t, err)
			require.Equal(t, want[2*i:2*i+1], got)
		}
		for _, none := range [][]string{{}, {"ru"}, {"EN"}, {"\x00"}} {
			got, err = b.Courses.Translations(timeout(t), all, none)
			require.NoError(t, err)
			require.Empty(t, got)
		}
		got, err = b.Courses.Translations(timeout(t), nil, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("PutTranslations writes over what there is, and counts versions", func(t *testing.T, b *storage.Backend) {
		_, objects := library(t, b)
		o := objects[courses.CourseObject]
		first := spoken(o, "en", "First")
		first.Version = 7
		require.EqualValues(t, 1, putTranslation(t, b, first).Version)
		second := courses.Translation{Object: o, Language: "en", Texts: courses.Texts{Title: "Second"}, UpdatedAt: day.Add(1)}
		require.EqualValues(t, 2, putTranslation(t, b, second).Version)
		got, err := b.Courses.Translations(timeout(t), []courses.Object{o}, nil)
		require.NoError(t, err)
		second.Version, second.UpdatedAt = 2, core.Time(second.UpdatedAt)
		require.Equal(t, []courses.Translation{second}, got)
	})
	s.run("a translation of nothing is refused", func(t *testing.T, b *storage.Backend) {
		_, objects := library(t, b)
		good := spoken(objects[courses.TagObject], "kk", "good")
		for _, bad := range [][]courses.Translation{
			{good, spoken(courses.Object{Kind: courses.CourseObject, ID: 404}, "en", "x")},
			{good, spoken(courses.Object{Kind: "shelf", ID: 1}, "en", "x")},
			{good, spoken(objects[courses.TagObject], "en", "")},
			{good, spoken(objects[courses.TagObject], "", "x")},
			{good, spoken(objects[courses.TagObject], "en", "\x00")},
			{good, good},
		} {
			err := b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
				_, err := tx.PutTranslations(ctx, bad)
				return err
			})
			require.ErrorIs(t, err, core.ErrInvalid, "%+v", bad)
		}
		got, err := b.Courses.Translations(timeout(t), []courses.Object{objects[courses.TagObject]}, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("PutTranslations writes long lists, new ones and others, and returns them in order", func(t *testing.T, b *storage.Backend) {
		_, objects := library(t, b)
		var list []courses.Translation
		for i := range 1200 {
			list = append(list, spoken(objects[courses.ObjectKinds[i%len(courses.ObjectKinds)]], fmt.Sprintf("q%d", i/len(courses.ObjectKinds)), fmt.Sprint("title ", i)))
		}
		for _, version := range []int64{1, 2} {
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				stored, err := tx.PutTranslations(ctx, list)
				require.NoError(t, err)
				require.Len(t, stored, len(list))
				for i := range stored {
					require.Equal(t, [2]any{list[i].Title, version}, [2]any{stored[i].Title, stored[i].Version})
				}
				return nil
			})
		}
	})
	s.run("DeleteTranslation removes one, and a missing one is ErrTranslationNotFound", func(t *testing.T, b *storage.Backend) {
		_, objects := library(t, b)
		o := objects[courses.LessonObject]
		putTranslation(t, b, spoken(o, "en", "x"))
		putTranslation(t, b, spoken(o, "kk", "x"))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			require.NoError(t, tx.DeleteTranslation(ctx, o, "en"))
			for _, missing := range []struct {
				o        courses.Object
				language string
			}{{o, "en"}, {o, "\xff"}, {objects[courses.ModuleObject], "kk"}, {courses.Object{Kind: "shelf", ID: o.ID}, "kk"}} {
				require.ErrorIs(t, tx.DeleteTranslation(ctx, missing.o, missing.language), courses.ErrTranslationNotFound)
			}
			return nil
		})
		got, err := b.Courses.Translations(timeout(t), []courses.Object{o}, nil)
		require.NoError(t, err)
		require.Len(t, got, 1)
	})
	s.run("TextsOf and TranslatedOf tell of a course, its modules and its lessons", func(t *testing.T, b *storage.Backend) {
		c, objects := library(t, b)
		texts := map[courses.Object]courses.Texts{}
		require.NoError(t, b.Courses.TextsOf(timeout(t), c.ID, func(o courses.Object, x courses.Texts) { texts[o] = x }))
		require.Len(t, texts, 5, "the course, three modules and a lesson")
		require.Equal(t, courses.Texts{Title: c.Title, Description: c.Description, Requirements: c.Requirements}, texts[objects[courses.CourseObject]])
		require.Equal(t, courses.Texts{Title: "Lesson", Description: "<p>Content</p>"}, texts[objects[courses.LessonObject]])
		require.Equal(t, awkward[0], texts[objects[courses.ModuleObject]].Title)
		var want []courses.Translated
		for _, kind := range courses.ObjectKinds {
			x := putTranslation(t, b, spoken(objects[kind], "en", "x"))
			if kind != courses.CategoryObject && kind != courses.TagObject {
				want = append(want, courses.Translated{Object: x.Object, Language: "en", Sources: x.Sources})
			}
		}
		got, err := b.Courses.TranslatedOf(timeout(t), c.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		require.NoError(t, b.Courses.TextsOf(timeout(t), 404, func(courses.Object, courses.Texts) { t.Error("nothing is there") }))
	})
	s.run("with an object its translations are deleted", func(t *testing.T, b *storage.Backend) {
		c, objects := library(t, b)
		var all []courses.Object
		for _, o := range objects {
			all = append(all, o)
			putTranslation(t, b, spoken(o, "en", "x"))
		}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			require.NoError(t, tx.DeleteModule(ctx, c.ID, courses.ModuleID(objects[courses.ModuleObject].ID)))
			require.NoError(t, tx.DeleteCategory(ctx, courses.CategoryID(objects[courses.CategoryObject].ID)))
			require.NoError(t, tx.DeleteTag(ctx, courses.TagID(objects[courses.TagObject].ID), day))
			return tx.DeleteCourse(ctx, c.ID)
		})
		got, err := b.Courses.Translations(timeout(t), all, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}
