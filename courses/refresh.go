package courses

import "github.com/ustat/ustat/courses/richtext"

// What was written under an older policy is shown, and written again, under the
// present one. A row that is up to date costs a comparison.

func (c *Course) refresh() {
	if c.TextPolicy != richtext.Version {
		c.Description, c.Requirements, c.TextPolicy = sanitized(c.Description), sanitized(c.Requirements), richtext.Version
	}
}

func (m *Module) refresh() {
	if m.TextPolicy != richtext.Version {
		m.Description, m.TextPolicy = sanitized(m.Description), richtext.Version
	}
}

func (l *Lesson) refresh() {
	if l.TextPolicy != richtext.Version {
		l.Content, l.TextPolicy = sanitized(l.Content), richtext.Version
	}
}

// sanitized returns a stored text under the present policy.
func sanitized(text string) string {
	clean, err := richtext.HTML(text, richtext.PlainHTML)
	if err != nil {
		return "" // what is stored is valid text
	}
	return clean
}
