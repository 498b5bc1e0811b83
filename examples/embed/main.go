// Command embed is the smallest useful embedding of Ustat: a program with a page
// of its own and the courses API beside it, on one SQLite file.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/storage/sqlite"
)

func main() {
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, "school.db", nil)
	if err != nil {
		log.Fatal(err)
	}
	platform, err := ustat.New(backend, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := platform.Start(ctx); err != nil {
		log.Fatal(err)
	}
	api, err := httpapi.New(platform, nil)
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/api/", api)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page, err := platform.Courses.List(r.Context(), core.Actor{}, courses.Filter{}, courses.Newest, core.Page{Limit: 5})
		if err != nil {
			http.Error(w, "the courses cannot be read now", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "Our newest courses:\n")
		for _, c := range page.Items {
			fmt.Fprintf(w, "- %s, by %s, %s\n", c.Title, c.Teacher.Name, c.Price)
		}
	})
	fmt.Println("http://127.0.0.1:8090/")
	log.Fatal(httpapi.Server("127.0.0.1:8090", mux).ListenAndServe())
}
