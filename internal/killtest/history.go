package killtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/ustat/ustat/core"
)

// Outcome is what a caller knows of a call.
type Outcome string

// The outcomes. A call whose process was killed before its answer is Unknown too.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "fail"
	Unknown Outcome = "unknown"
)

// Call is one operation with its answer, as the worker's history has it.
type Call struct {
	Op      Op
	Outcome Outcome
	Result  json.RawMessage // of OK
	Error   string          // of Failed and Unknown; empty where there was no answer
	Code    string          // of the error, where it is a core.Error; "panic" of a panic
	Hits    []string        // the points that it passed, where one lane works
}

// Into reads the result of a call.
func (c Call) Into(result any) error { return json.Unmarshal(c.Result, result) }

// line is one line of a history: that an operation begins, or what came of it.
type line struct {
	ID      int             `json:"id"`
	Op      *Op             `json:"op,omitempty"` // of the line that begins it
	Outcome Outcome         `json:"outcome,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   string          `json:"error,omitempty"`
	Code    string          `json:"code,omitempty"`
	Hits    []string        `json:"hits,omitempty"`
}

// History is written by a worker. Each line is one write at the file's end, so that
// a process that is killed has lost none that it has written.
type History struct {
	mu   sync.Mutex
	file *os.File
	last int
}

// OpenHistory opens a history to add to it.
func OpenHistory(path string) (*History, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &History{file: file}, err
}

// Begin writes that an operation begins and returns the number of the call.
func (h *History) Begin(op Op) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	return h.last, h.write(line{ID: h.last, Op: &op})
}

// End writes what came of a call.
func (h *History) End(id int, result any, err error, hits []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := line{ID: id, Outcome: OK, Hits: hits}
	if err != nil {
		l.Outcome, l.Error = Failed, err.Error()
		if errors.Is(err, core.ErrOutcomeUnknown) {
			l.Outcome = Unknown
		}
		if e, ok := errors.AsType[*core.Error](err); ok {
			l.Code = e.Code
		}
		if _, ok := errors.AsType[panicked](err); ok {
			l.Code = "panic"
		}
		return h.write(l)
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	l.Result = text
	return h.write(l)
}

func (h *History) write(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = h.file.Write(append(text, '\n'))
	return err
}

// ReadHistory returns the calls of a history in the order in which they began. A
// line that a kill has torn is the last one and counts as not written.
func ReadHistory(path string) ([]Call, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var calls []Call
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if lines.Scan() {
				return nil, errors.New("killtest: a torn line is not the last")
			}
			break
		}
		if l.Op != nil {
			calls = append(calls, Call{Op: *l.Op, Outcome: Unknown})
			continue
		}
		c := &calls[l.ID-1]
		c.Outcome, c.Result, c.Error, c.Code, c.Hits = l.Outcome, l.Result, l.Error, l.Code, l.Hits
	}
	return calls, lines.Err()
}

// Tokens is the result of what signs in.
type Tokens struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}
