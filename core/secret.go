package core

import (
	"encoding/json"
	"log/slog"
	"strconv"
)

// Secret is a text that is never shown: it prints, logs and encodes as "[secret]".
// Convert it to a string to use it.
type Secret string

const hidden = "[secret]"

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON implements json.Marshaler. A Secret is decoded as a plain string.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// CheckKey refuses a configured secret key that is shorter than least bytes, or
// that is one byte again and again, with ErrInvalid for field name.
func CheckKey(name string, key []byte, least int) error {
	if len(key) < least {
		return Invalid(name, "min", strconv.Itoa(least)+" bytes", strconv.Itoa(len(key))+" bytes", "the key is too short")
	}
	for _, b := range key {
		if b != key[0] {
			return nil
		}
	}
	return Invalid(name, "weak", "", "", "the key is one byte again and again: take random ones")
}
