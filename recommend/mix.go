package recommend

import (
	"math"
)

// mix is how the hybrid weighs signals.
type mix struct {
	Weights signalValues
	Depth   int // how many candidates by pairs are weighed, at least
}

// plainMix ranks by pairs, and content where pairs say the same. It is what learning starts from, and
// stays near where there is little to learn from.
var plainMix = mix{Weights: signalValues{sigPairs: 1, sigContent: 1}, Depth: 30}

func (m *mix) score(v *signalValues) float64 {
	sum := 0.0
	for i, w := range m.Weights {
		sum += w * v[i]
	}
	return sum
}

// question is a learner of the validation with candidates, one of which they took next.
type question struct {
	list   []candidate
	answer int
}

// learnMix finds the weights under which the courses taken next are the likeliest of their lists: a
// conditional logit, by Newton's method, with a Gaussian prior around plainMix.
func learnMix(questions []question, depth int) mix {
	m := mix{Weights: plainMix.Weights, Depth: depth}
	loss := m.loss(questions)
	for range 25 {
		gradient, curvature := m.slope(questions)
		step := solve(curvature, gradient)
		next, nextLoss := m, math.Inf(1)
		for scale := 1.0; scale > 1e-3; scale /= 2 {
			for i := range next.Weights {
				next.Weights[i] = m.Weights[i] + scale*step[i]
			}
			if nextLoss = next.loss(questions); nextLoss < loss {
				break
			}
		}
		if !(nextLoss < loss-1e-6*math.Abs(loss)) {
			break
		}
		m, loss = next, nextLoss
	}
	return m
}

// priorStrength is how many learners' evidence the prior is worth, about.
const priorStrength = 2.0

// chances returns the likelihood of each candidate, into out.
func (m *mix) chances(list []candidate, out []float64) []float64 {
	out = out[:0]
	top := math.Inf(-1)
	for c := range list {
		out = append(out, m.score(&list[c].signal))
		top = max(top, out[c])
	}
	sum := 0.0
	for c := range out {
		out[c] = math.Exp(out[c] - top)
		sum += out[c]
	}
	for c := range out {
		out[c] /= sum
	}
	return out
}

func (m *mix) loss(questions []question) float64 {
	loss := 0.0
	for i, w := range m.Weights {
		loss += priorStrength / 2 * (w - plainMix.Weights[i]) * (w - plainMix.Weights[i])
	}
	var p []float64
	for _, q := range questions {
		p = m.chances(q.list, p)
		loss -= math.Log(max(p[q.answer], 1e-300))
	}
	return loss
}

// slope returns the direction in which the loss falls and its second derivatives.
func (m *mix) slope(questions []question) (gradient signalValues, curvature [numSignals]signalValues) {
	for i, w := range m.Weights {
		gradient[i] = priorStrength * (plainMix.Weights[i] - w)
		curvature[i][i] = priorStrength
	}
	var p []float64
	for _, q := range questions {
		p = m.chances(q.list, p)
		var mean signalValues
		for c := range q.list {
			v := &q.list[c].signal
			for i := range mean {
				share := p[c] * v[i]
				mean[i] += share
				for j := range i + 1 {
					curvature[i][j] += share * v[j]
				}
			}
		}
		for i := range mean {
			gradient[i] += q.list[q.answer].signal[i] - mean[i]
			for j := range i + 1 {
				curvature[i][j] -= mean[i] * mean[j]
			}
		}
	}
	return gradient, curvature
}

// solve returns x of a·x = b for a symmetric positive a, of which the lower half is read
// (Cholesky).
func solve(a [numSignals]signalValues, b signalValues) signalValues {
	var l [numSignals]signalValues
	for i := range a {
		for j := range i + 1 {
			sum := a[i][j]
			for k := range j {
				sum -= l[i][k] * l[j][k]
			}
			if i == j {
				l[i][i] = math.Sqrt(max(sum, 1e-9))
			} else {
				l[i][j] = sum / l[j][j]
			}
		}
	}
	for i := range b {
		for k := range i {
			b[i] -= l[i][k] * b[k]
		}
		b[i] /= l[i][i]
	}
	for i := len(b) - 1; i >= 0; i-- {
		for k := i + 1; k < len(b); k++ {
			b[i] -= l[k][i] * b[k]
		}
		b[i] /= l[i][i]
	}
	return b
}

// quality returns the NDCG@10 of the mix, a learner without the answer in the list counting nothing.
func (m *mix) quality(questions []question, byScore func(a, b candidate) int) float64 {
	sum := 0.0
	for _, q := range questions {
		answer := q.list[q.answer]
		answer.score = m.score(&answer.signal)
		rank := 0
		for c := range q.list {
			other := q.list[c]
			other.score = m.score(&other.signal)
			if c != q.answer && byScore(other, answer) < 0 {
				rank++
			}
		}
		sum += gain(rank)
	}
	return sum
}

// gain is what finding the course taken next is worth to NDCG@10, at a rank from 0.
func gain(rank int) float64 {
	if rank >= 10 {
		return 0
	}
	return 1 / math.Log2(float64(rank)+2)
}
