package modrun

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unsafe"

	"modularruntime/modrun/internal/wire"
)

// Structs as events: which field of a struct is which column, found out once by reflection, and then a loop for each
// column that copies between its buffer and the structs' fields. This file and rows.go are the only ones of the package
// that touch memory by its address: always a field of a type that was checked, at the offset that reflection gave.
// (batch.go compares addresses.)

// member is a field of a struct and the column that it stands for.
type member struct {
	column  Field
	at      int // of the column in a schema
	field   string
	offset  uintptr
	pointer bool // nil is null
}

var timeType = reflect.TypeFor[time.Time]()

// SchemaOf returns the columns that a struct stands for. A field is named by its tag `modrun:"name"`, or else as the
// field is, in lower case with underscores: `UserID` is `user_id`. A pointer, or []byte, may be null. A field with the tag
// `modrun:"-"` and one that is not exported stand for none.
func SchemaOf[T any]() (Schema, error) {
	members, err := membersOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	schema := make(Schema, len(members))
	for at, m := range members {
		schema[at] = m.column
	}
	return schema, nil
}

func membersOf(t reflect.Type) ([]member, error) {
	if t.Kind() != reflect.Struct || t == timeType {
		return nil, fmt.Errorf("`%s` is no struct: a handler's events are structs or `modrun.Event`", t)
	}
	var members []member
	for at := range t.NumField() {
		field := t.Field(at)
		name, tagged := field.Tag.Lookup("modrun")
		if !field.IsExported() || name == "-" {
			continue
		}
		if !tagged {
			name = snakeCase(field.Name)
		}
		m := member{field: t.Name() + "." + field.Name, offset: field.Offset}
		m.column.Name = name
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner, m.pointer, m.column.Nullable = inner.Elem(), true, true
		}
		switch {
		case inner == timeType:
			m.column.Type = wire.Timestamp
		case inner.Kind() == reflect.Bool:
			m.column.Type = wire.Bool
		case inner.Kind() == reflect.Int64, inner.Kind() == reflect.Int && inner.Size() == 8:
			m.column.Type = wire.Int64
		case inner.Kind() == reflect.Float64:
			m.column.Type = wire.Float64
		case inner.Kind() == reflect.String:
			m.column.Type = wire.String
		case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Uint8 && !m.pointer:
			m.column.Type, m.column.Nullable = wire.Binary, true
		default:
			return nil, fmt.Errorf("field `%s` is a `%s`: make it a bool, int64, float64, string or time.Time, a pointer to one, "+
				"or []byte", m.field, field.Type)
		}
		members = append(members, m)
	}
	return members, nil
}

func snakeCase(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for at, r := range runes {
		upper := unicode.IsUpper(r)
		if upper && at > 0 && (!unicode.IsUpper(runes[at-1]) || at+1 < len(runes) && unicode.IsLower(runes[at+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// readers binds the fields of a struct to the columns of the input that they show.
func readers(t reflect.Type, input Schema) ([]member, error) {
	members, err := membersOf(t)
	if err != nil {
		return nil, err
	}
	for at := range members {
		m := &members[at]
		m.at = input.Index(m.column.Name)
		if m.at < 0 {
			return nil, fmt.Errorf("field `%s`: %w", m.field, noColumn(m.column.Name, input))
		}
		have := input[m.at]
		if have.Type != m.column.Type {
			return nil, fmt.Errorf("field `%s` is for a column of the type %s, but column `%s` is %s", m.field, m.column.Type,
				have.Name, have.Type)
		}
		if have.Nullable && !m.column.Nullable {
			return nil, fmt.Errorf("column `%s` may be null: make the field `%s` a pointer", have.Name, m.field)
		}
	}
	return members, nil
}

// writers binds the columns of the output to the fields of a struct; ok is false if they are not the same columns.
func writers(t reflect.Type, output Schema) (bound []member, ok bool, err error) {
	members, err := membersOf(t)
	if err != nil {
		return nil, false, err
	}
	if len(members) != len(output) {
		return members, false, nil
	}
	for at, column := range output {
		for _, m := range members {
			if m.column.Name == column.Name && m.column.Type == column.Type {
				m.column, m.at = column, at
				bound = append(bound, m)
			}
		}
	}
	if len(bound) != len(output) {
		return members, false, nil
	}
	return bound, true, nil
}

// structs is where a slice of structs lies.
type structs struct {
	first unsafe.Pointer
	size  uintptr
	count int
}

func structsOf[T any](rows []T) structs {
	return structs{unsafe.Pointer(unsafe.SliceData(rows)), unsafe.Sizeof(rows[0]), len(rows)}
}

// field returns where the field is that a column stands for, in the struct at an index.
func (s structs) field(m *member, at int) unsafe.Pointer {
	return unsafe.Add(s.first, uintptr(at)*s.size+m.offset)
}

// read copies rows from … of a column into the field of structs.
func (m *member) read(b *Batch, from int, to structs) {
	column, t := &b.table.Columns[m.at], &b.texts[m.at]
	switch m.column.Type {
	case wire.Bool:
		bits := column.Bits()
		fill(m, column, from, to, func(at int) bool { return wire.Bit(bits, at) })
	case wire.Int64:
		readWords(m, column, column.Int64s(), from, to)
	case wire.Float64:
		readWords(m, column, column.Float64s(), from, to)
	case wire.Timestamp:
		values := column.Int64s()
		fill(m, column, from, to, func(at int) time.Time { return time.UnixMicro(values[at]).UTC() })
	case wire.String:
		if column.Coded && !m.pointer && column.Nulls == 0 {
			values := t.values(column)
			for at, code := range column.Codes()[from : from+to.count] {
				*(*string)(to.field(m, at)) = values[code]
			}
			return
		}
		fill(m, column, from, to, func(at int) string { return t.at(column, at, b.table.Rows) })
	case wire.Binary:
		m.readBinary(column, from, to)
	}
}

func readWords[T int64 | float64](m *member, column *wire.Column, values []T, from int, to structs) {
	if m.pointer {
		fill(m, column, from, to, func(at int) T { return values[at] })
		return
	}
	for at, value := range values[from : from+to.count] {
		*(*T)(to.field(m, at)) = value
	}
}

// fill sets the fields one by one; pointers point into room of their own, so that they may be kept.
func fill[T any](m *member, column *wire.Column, from int, to structs, value func(at int) T) {
	if !m.pointer {
		for at := range to.count {
			*(*T)(to.field(m, at)) = value(from + at)
		}
		return
	}
	room := make([]T, to.count)
	for at := range to.count {
		var pointer *T
		if !column.IsNull(from + at) {
			pointer = &room[at]
			*pointer = value(from + at)
		}
		*(**T)(to.field(m, at)) = pointer
	}
}

// readBinary sets []byte fields to parts of one copy, so that they may be kept and changed.
func (m *member) readBinary(column *wire.Column, from int, to structs) {
	starts, bytes := column.Strings()
	first := starts[from]
	copied := append([]byte{}, bytes[first:starts[from+to.count]]...)
	for at := range to.count {
		var value []byte
		if row := from + at; !column.IsNull(row) {
			start, end := starts[row]-first, starts[row+1]-first
			value = copied[start:end:end]
		}
		*(*[]byte)(to.field(m, at)) = value
	}
}
