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

// address returns where the field of a struct is.
func (m *member) address(row unsafe.Pointer) unsafe.Pointer { return unsafe.Add(row, m.offset) }

// read copies rows from … of a column into the field of count structs of a size.
func (m *member) read(b *Batch, from, count int, row unsafe.Pointer, size uintptr) {
	column, t := &b.table.Columns[m.at], &b.texts[m.at]
	switch m.column.Type {
	case wire.Bool:
		bits := column.Bits()
		fill(m, column, from, count, row, size, func(at int) bool { return wire.Bit(bits, at) })
	case wire.Int64:
		if values := column.Int64s(); !m.pointer {
			for _, value := range values[from : from+count] {
				*(*int64)(m.address(row)) = value
				row = unsafe.Add(row, size)
			}
		} else {
			fill(m, column, from, count, row, size, func(at int) int64 { return values[at] })
		}
	case wire.Float64:
		if values := column.Float64s(); !m.pointer {
			for _, value := range values[from : from+count] {
				*(*float64)(m.address(row)) = value
				row = unsafe.Add(row, size)
			}
		} else {
			fill(m, column, from, count, row, size, func(at int) float64 { return values[at] })
		}
	case wire.Timestamp:
		values := column.Int64s()
		fill(m, column, from, count, row, size, func(at int) time.Time { return time.UnixMicro(values[at]).UTC() })
	case wire.String:
		if column.Coded && !m.pointer {
			values := t.values(column)
			for _, code := range column.Codes()[from : from+count] {
				*(*string)(m.address(row)) = values[code]
				row = unsafe.Add(row, size)
			}
			return
		}
		fill(m, column, from, count, row, size, func(at int) string { return t.at(column, at, b.table.Rows) })
	case wire.Binary:
		m.readBinary(column, from, count, row, size)
	}
}

// fill sets the fields one by one; pointers point into room of their own, so that they may be kept.
func fill[T any](m *member, column *wire.Column, from, count int, row unsafe.Pointer, size uintptr, value func(at int) T) {
	if !m.pointer {
		for at := from; at < from+count; at++ {
			*(*T)(m.address(row)) = value(at)
			row = unsafe.Add(row, size)
		}
		return
	}
	room := make([]T, count)
	for at := range count {
		var to *T
		if !column.IsNull(from + at) {
			to = &room[at]
			*to = value(from + at)
		}
		*(**T)(m.address(row)) = to
		row = unsafe.Add(row, size)
	}
}

// readBinary sets []byte fields to parts of one copy, so that they may be kept and changed.
func (m *member) readBinary(column *wire.Column, from, count int, row unsafe.Pointer, size uintptr) {
	starts, bytes := column.Strings()
	first := starts[from]
	copied := append([]byte{}, bytes[first:starts[from+count]]...)
	for at := from; at < from+count; at++ {
		var value []byte
		if !column.IsNull(at) {
			start, end := starts[at]-first, starts[at+1]-first
			value = copied[start:end:end]
		}
		*(*[]byte)(m.address(row)) = value
		row = unsafe.Add(row, size)
	}
}
