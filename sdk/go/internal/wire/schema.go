// Package wire is the stage protocol as bytes: frames on a socket, messages in them, tables in payloads, and the
// shared segments that large payloads lie in.
//
//	socket ──Reader──▶ frame ──▶ message (Open, Batch, Credit …)
//	                     └─────▶ payload ──Table.Decode──▶ views of columns
//	columns (Builder) ──Layout.Write──▶ payload, inline or in a Slots slot ──Writer──▶ socket
//
// Guarantees: what another process sent is read within its bounds, whatever it says; nothing is allocated for a batch
// once the buffers have grown to the size of the largest.
//
// Refuses: frames and tables that break a rule of PROTOCOL.md, as an error that names the rule's subject; machines that
// are not little-endian.
//
// Neighbours: package modrun, which decides what to send; the protocol's document, which decides what the bytes mean.
package wire

import (
	"fmt"
	"slices"
	"strings"
)

// Type is the type of a column.
type Type uint8

// The types of columns, by their numbers in the protocol.
const (
	Bool Type = iota + 1
	Int64
	Float64
	String
	Binary
	Timestamp
)

var typeNames = [...]string{"unspecified", "bool", "int64", "float64", "string", "binary", "timestamp"}

// String returns the word that pipelines use for the type, such as `int64`.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Field is one column of a schema.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
}

// String returns the field as pipelines write it, such as `value int64?`.
func (f Field) String() string {
	if f.Nullable {
		return f.Name + " " + f.Type.String() + "?"
	}
	return f.Name + " " + f.Type.String()
}

// Schema is the columns of a link, in order.
type Schema []Field

// Index returns the position of the column `name`, or -1.
func (s Schema) Index(name string) int {
	for at := range s {
		if s[at].Name == name {
			return at
		}
	}
	return -1
}

// Equal tells whether both schemas have the same columns in the same order.
func (s Schema) Equal(other Schema) bool { return slices.Equal(s, other) }

// Names returns the columns' names in backticks, for messages.
func (s Schema) Names() string {
	if len(s) == 0 {
		return "none"
	}
	names := make([]string, len(s))
	for at, field := range s {
		names[at] = "`" + field.Name + "`"
	}
	return strings.Join(names, ", ")
}

// String returns the columns as ParseSchema reads them.
func (s Schema) String() string {
	fields := make([]string, len(s))
	for at, field := range s {
		fields[at] = field.String()
	}
	return strings.Join(fields, ", ")
}

// ParseSchema reads columns written as `key string?, count int64`.
func ParseSchema(text string) (Schema, error) {
	var schema Schema
	if strings.TrimSpace(text) == "" {
		return schema, nil
	}
	for _, part := range strings.Split(text, ",") {
		words := strings.Fields(part)
		if len(words) != 2 {
			return nil, fmt.Errorf("`%s` is no column: write a name and a type, such as `count int64`", strings.TrimSpace(part))
		}
		word, nullable := strings.CutSuffix(words[1], "?")
		at := slices.Index(typeNames[1:], word)
		if at < 0 {
			return nil, fmt.Errorf("column `%s` has the unknown type `%s`: there are %s", words[0], word,
				strings.Join(typeNames[1:], ", "))
		}
		if schema.Index(words[0]) >= 0 {
			return nil, fmt.Errorf("column `%s` is there twice", words[0])
		}
		schema = append(schema, Field{words[0], Type(at + 1), nullable})
	}
	return schema, nil
}
