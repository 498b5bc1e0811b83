package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// said is what the code of the module can say to a reader, found in its source.
type said struct {
	errors  map[string]string // English messages by code
	rules   map[string]string // an English message by rule
	formats map[string]string // where a message is given by Withf
	opaque  []string          // calls whose code is no literal
}

// wrappers are calls that hand a code and a message on: at which arguments these stand.
var wrappers = map[string][2]int{
	"Invalid": {1, 4}, "refuse": {1, 4}, "add": {1, 4}, "newProblem": {1, 2}, "WithCode": {0, -1}, "tooMany": {1, 4},
}

// passedOn are calls whose code comes from another that is looked at, or from a constant.
var passedOn = []string{
	"core/errors.go", "core/validate.go", // by the tags of structs
	"courses/input.go", "courses/list.go", "httpapi/body.go", "httpapi/params.go", "reports/service.go", "transfer/", "accounts/achievements.go",
	"courses/coupons.go", "reviews/policy.go", "reviews/below.go", // by constants
	"analytics/event.go", "recommend/evaluate/", "courses/richtext/richtext.go", "httpapi/problem.go", "httpapi/language.go", "httpapi/lesson_files.go",
}

func scan(t *testing.T) said {
	t.Helper()
	s := said{errors: map[string]string{}, rules: map[string]string{}, formats: map[string]string{}}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"bench", "examples", "internal", "ustattest", ".git", "i18n", "storagetest", "taskstest", "paymentstest", "blobtest"}, d.Name()) && name != "storage/internal" {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s.node(filepath.ToSlash(name), n)
			return true
		})
		return nil
	}))
	return s
}

func (s *said) node(file string, n ast.Node) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		s.literal(file, n)
	case *ast.CallExpr:
		s.call(file, n)
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if i < len(n.Values) && regexp.MustCompile(`^(Reason|Held|coupon)[A-Z]`).MatchString(name.Name) {
				if code, ok := text(n.Values[i]); ok {
					s.rules[code] = ""
				}
			}
		}
	case *ast.Field:
		if n.Tag != nil {
			s.tag(n.Tag)
		}
	case *ast.ReturnStmt: // of param.parse and what it calls
		if len(n.Results) == 4 && file == "httpapi/params.go" {
			code, ok := text(n.Results[1])
			if message, _ := text(n.Results[3]); ok && code != "" {
				s.rules[code] = message
			}
		}
	}
}

// tag finds the rules of a field of a struct.
func (s *said) tag(lit *ast.BasicLit) {
	tag, _ := text(lit)
	for rule := range strings.SplitSeq(reflect.StructTag(tag).Get("validate"), ",") {
		rule = rule[strings.LastIndexByte(rule, '|')+1:] // of alternatives the last is named
		rule, _, _ = strings.Cut(rule, "=")
		if rule != "" && !slices.Contains([]string{"omitempty", "omitnil", "dive"}, rule) {
			s.rules[rule] = ""
		}
	}
}

func (s *said) literal(file string, n *ast.CompositeLit) {
	name := ""
	switch t := n.Type.(type) {
	case *ast.Ident:
		name = t.Name
	case *ast.SelectorExpr:
		name = t.Sel.Name
	}
	fields := map[string]ast.Expr{}
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				fields[key.Name] = kv.Value
			}
		}
	}
	if fields["Code"] == nil || !slices.Contains([]string{"Error", "Violation", "FieldProblem"}, name) && (n.Type != nil || fields["Field"] == nil) {
		return
	}
	s.found(file, map[bool]map[string]string{true: s.errors, false: s.rules}[name == "Error"], fields["Code"], fields["Message"])
}

func (s *said) call(file string, n *ast.CallExpr) {
	name := ""
	switch f := n.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	if (name == "Withf" || name == "badJSON") && len(n.Args) > 0 {
		if format, ok := text(n.Args[0]); ok {
			s.formats[format] = file
		}
		return
	}
	at, ok := wrappers[name]
	if !ok || len(n.Args) <= max(at[0], at[1]) || file == "accounts/achievements.go" && name == "refuse" { // its first is an index
		return
	}
	into := s.rules
	if name == "newProblem" || name == "WithCode" {
		into = s.errors
	}
	var message ast.Expr
	if at[1] >= 0 {
		message = n.Args[at[1]]
	}
	s.found(file, into, n.Args[at[0]], message)
}

func (s *said) found(file string, into map[string]string, code, message ast.Expr) {
	word, ok := text(code)
	if !ok {
		if !slices.ContainsFunc(passedOn, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
			s.opaque = append(s.opaque, file)
		}
		return
	}
	english := ""
	if message != nil {
		english, _ = text(message)
	}
	into[word] = english
}

// text returns the value of a literal of a string.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(lit.Value)
	return value, err == nil
}
