package i18n_test

import (
	"testing"

	"github.com/ustat/ustat/i18n"
)

func BenchmarkNegotiate(b *testing.B) {
	c, err := i18n.NewCatalog(nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, header := range map[string]string{"nothing": "", "a browser's": "ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Negotiate(i18n.Sources{Header: header})
			}
		})
	}
}
