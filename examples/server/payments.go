package main

import (
	"context"
	"net"
	"net/http"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
)

// payPath is where the buyers of the demonstration pay.
const payPath = "/pay/"

// demoBank returns the provider of payments of the demonstration, which moves no money.
// It lives in this process's memory, so a worker has none.
func (c *serveCmd) demoBank(addr net.Addr) (*fake.Provider, []courses.Payments, error) {
	if !c.Demo || c.Worker {
		return nil, nil, nil
	}
	bank, err := fake.New(fake.Config{PayURL: "http://" + addr.String() + payPath})
	return bank, []courses.Payments{bank}, err
}

// withPayPage serves the page of the demonstration's provider beside what is served.
func withPayPage(next http.Handler, bank *fake.Provider, platform *ustat.Platform) http.Handler {
	if bank == nil {
		return next
	}
	mux := http.NewServeMux()
	mux.Handle("/", next)
	// The page changes things by POST: no other site's page may make it.
	mux.Handle(payPath, http.NewCrossOriginProtection().Handler(bank.Page(func(ctx context.Context, header map[string][]string, body []byte) error {
		return platform.Courses.PaymentCallback(ctx, bank.Name(), header, body)
	})))
	return mux
}
