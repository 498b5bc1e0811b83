package httpapi_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/storage/sqlite"
)

func ExampleNew() {
	ctx := context.Background()
	backend, err := sqlite.InMemory(ctx, nil)
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
	defer platform.Stop(ctx)

	handler, err := httpapi.New(platform, nil)
	if err != nil {
		log.Fatal(err)
	}
	// A program would do: httpapi.Server(":8080", handler).ListenAndServe()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/courses/", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 200 {"results":[],"next":null}
}
