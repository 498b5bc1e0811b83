package httpapi

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// inputSchema returns the reference to the schema of a body. Its bounds are those of
// the validate tags that the services check, so that the document cannot differ.
func (a *api) inputSchema(v any) *huma.Schema {
	ref := a.schema(v)
	a.constrain(reflect.TypeOf(v), map[reflect.Type]bool{})
	return ref
}

// constrain adds the bounds of a struct's fields to its schema, and of the structs
// in it.
func (a *api) constrain(t reflect.Type, done map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || done[t] {
		return
	}
	done[t] = true
	schema := a.huma.OpenAPI().Components.Schemas.SchemaFromRef(a.schemaOf(t).Ref)
	if schema == nil {
		return
	}
	schema.Required, schema.AdditionalProperties = nil, false
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := schema.Properties[name]
		if property == nil {
			continue
		}
		property.Nullable = false
		rules, items, dive := strings.Cut(f.Tag.Get("validate"), ",dive")
		if bound(property, rules) {
			schema.Required = append(schema.Required, name)
		}
		if dive && property.Items != nil {
			bound(property.Items, strings.TrimPrefix(items, ","))
		}
		a.constrain(f.Type, done)
	}
	schema.PrecomputeMessages()
}

// bound adds the rules of a validate tag to a schema and reports whether the field
// is required.
func bound(s *huma.Schema, rules string) (required bool) {
	empty := strings.HasPrefix(rules, "omitempty") // an empty value is taken, too
	for rule := range strings.SplitSeq(rules, ",") {
		if strings.Contains(rule, "|") {
			continue // one rule or another: a schema of either would refuse what the other takes
		}
		name, limit, _ := strings.Cut(rule, "=")
		n, _ := strconv.Atoi(limit) // 0 where the rule has no number
		switch name {
		case "required":
			required = true
		case "max", "lte":
			atMost(s, n)
		case "min", "gte":
			if !empty {
				atLeast(s, n)
			}
		case "len":
			atMost(s, n)
			atLeast(s, n)
		case "oneof":
			for choice := range strings.FieldsSeq(limit) {
				s.Enum = append(s.Enum, choice)
			}
		case "slug":
			s.Pattern = "^[a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?$"
			if empty {
				s.Pattern = "^([a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?)?$"
			}
		case "username":
			s.Pattern = "^[a-z0-9][a-z0-9_.-]{2,63}$"
		case "email":
			s.Format = "email"
		case "https":
			s.Format = "uri"
		}
	}
	return required
}

func atMost(s *huma.Schema, n int) {
	switch s.Type {
	case huma.TypeString:
		s.MaxLength = &n
	case huma.TypeArray:
		s.MaxItems = &n
	default:
		s.Maximum = number(int64(n))
	}
}

func atLeast(s *huma.Schema, n int) {
	switch s.Type {
	case huma.TypeString:
		s.MinLength = &n
	case huma.TypeArray:
		s.MinItems = &n
	default:
		s.Minimum = number(int64(n))
	}
}
