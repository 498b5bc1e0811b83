package recommend

import "math"

// month is how finely popularity in time is kept.
const month = 30 * 24 * 3600

// popular counts how often courses were taken, whole and by month.
type popular struct {
	n     []uint64 // of each course, in units
	of    []series // of each course, units a month
	whole series   // entries of all courses a month
}

// series are counts by month from first on.
type series struct {
	first  uint32
	counts []uint32
}

func (p *popular) grow() { p.n, p.of = append(p.n, 0), append(p.of, series{}) }

// add counts an entry of so many units, or takes it away.
func (p *popular) add(i, units, at uint32, sign int) {
	p.of[i].add(at/month, units, sign)
	p.whole.add(at/month, 1, sign)
	p.n[i] += uint64(sign * int(units))
}

func (s *series) add(m, steps uint32, sign int) {
	switch {
	case len(s.counts) == 0:
		s.first, s.counts = m, []uint32{0}
	case m < s.first:
		s.counts = append(make([]uint32, s.first-m), s.counts...)
		s.first = m
	case m >= s.first+uint32(len(s.counts)):
		s.counts = append(s.counts, make([]uint32, m-s.first-uint32(len(s.counts))+1)...)
	}
	s.counts[m-s.first] += uint32(sign * int(steps))
}

// newest returns the first second after the last month in which anything was counted.
func (p *popular) newest() uint32 {
	for at := len(p.whole.counts) - 1; at >= 0; at-- {
		if p.whole.counts[at] > 0 {
			return (p.whole.first+uint32(at)+1)*month - 1
		}
	}
	return 0
}

// trendMonths is how far back recent looks, and trendFade how many months it takes to count
// a third.
const (
	trendMonths = 12
	trendFade   = 3.0
)

// recent returns how often a course was taken up to the second at, older months fading away.
func (p *popular) recent(i, at uint32) float64 {
	s := p.of[i]
	m := int(at/month) - int(s.first)
	sum := 0.0
	for back := 0; back < trendMonths && back <= m; back++ {
		if m-back < len(s.counts) {
			sum += float64(s.counts[m-back]) * fade[back]
		}
	}
	return sum / unit
}

var fade = func() (f [trendMonths]float64) {
	for back := range f {
		f[back] = math.Exp(-float64(back) / trendFade)
	}
	return f
}()

// age returns the months from the first time a course was taken to the second at, 0 for one that
// nobody took before.
func (p *popular) age(i, at uint32) float64 {
	for m, count := range p.of[i].counts {
		if count > 0 {
			return max(0, float64(at/month)-float64(p.of[i].first)-float64(m))
		}
	}
	return 0
}
