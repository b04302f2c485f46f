package modrun

import (
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"
	"unsafe"

	"modularruntime/modrun/internal/wire"
)

// rowReader shows rows of a batch as events of the type that a handler takes: structs, or Event.
type rowReader[T any] struct {
	members []member
}

func newRowReader[T any](input Schema) (*rowReader[T], error) {
	r := &rowReader[T]{}
	if reflect.TypeFor[T]() == reflect.TypeFor[Event]() {
		return r, nil
	}
	var err error
	r.members, err = readers(reflect.TypeFor[T](), input)
	return r, err
}

// read fills rows with the batch's rows from … on.
func (r *rowReader[T]) read(rows []T, b *Batch, from int) {
	if len(rows) == 0 {
		return
	}
	if events, ok := any(rows).([]Event); ok {
		for at := range events {
			events[at] = Event{batch: b, row: from + at}
		}
		return
	}
	to := structsOf(rows)
	for at := range r.members {
		r.members[at].read(b, from, to)
	}
}

// rowWriter appends events of the type that a handler returns to a table.
type rowWriter[T any] struct {
	schema  Schema
	members []member // in the order of the schema
	events  *eventWriter
}

// newRowWriter returns a writer of rows of the output's columns. If T is a struct of other columns, and the output is
// not declared, the output becomes those of the struct.
func newRowWriter[T any](b *binding) (*rowWriter[T], error) {
	if reflect.TypeFor[T]() == reflect.TypeFor[Event]() {
		return &rowWriter[T]{schema: b.output, events: newEventWriter(b.output, b.input)}, nil
	}
	members, ok, err := writers(reflect.TypeFor[T](), b.output)
	if err != nil {
		return nil, err
	}
	if !ok {
		schema, err := SchemaOf[T]()
		if err != nil {
			return nil, err
		}
		if b.declared {
			return nil, fmt.Errorf("the output is declared as `%s`, but `%s` has the columns `%s`", b.output,
				reflect.TypeFor[T](), schema)
		}
		b.output, b.declared = schema, true
		members, _, err = writers(reflect.TypeFor[T](), schema)
		if err != nil {
			return nil, err
		}
	}
	return &rowWriter[T]{schema: b.output, members: members}, nil
}

// check calls fail for each row that cannot be appended to a table.
func (w *rowWriter[T]) check(rows []T, to *Table, fail func(at int, err error)) {
	if len(rows) == 0 {
		return
	}
	if events, ok := any(rows).([]Event); ok {
		for at := range events {
			if err := w.events.check(&events[at]); err != nil {
				fail(at, err)
			}
		}
		return
	}
	for m := range w.members {
		member := &w.members[m]
		if member.column.Type != wire.String && (!member.pointer || member.column.Nullable) {
			continue
		}
		from := structsOf(rows)
		for at := range rows {
			if err := member.check(from.field(member, at), &to.builders[m]); err != nil {
				fail(at, err)
			}
		}
	}
}

// check tells whether the field of a struct can be appended.
func (m *member) check(field unsafe.Pointer, to *wire.Builder) error {
	if m.pointer {
		if field = *(*unsafe.Pointer)(field); field == nil {
			if m.column.Nullable {
				return nil
			}
			return fmt.Errorf("field `%s` is nil, but column `%s` may not be null", m.field, m.column.Name)
		}
	}
	if m.column.Type == wire.String {
		if text := *(*string)(field); !to.Knows(text) && !utf8.ValidString(text) {
			return notUTF8(m.column.Name, text)
		}
	}
	return nil
}

// append appends rows that were checked.
func (w *rowWriter[T]) append(rows []T, to *Table) {
	if len(rows) == 0 {
		return
	}
	if events, ok := any(rows).([]Event); ok {
		for at := range events {
			w.events.append(&events[at], to)
		}
		return
	}
	from := structsOf(rows)
	for at := range w.members {
		w.members[at].append(&to.builders[at], from)
	}
	if len(w.members) == 0 {
		to.bare += len(rows)
	}
}

// append appends the field of structs to a column.
func (m *member) append(to *wire.Builder, from structs) {
	if !m.pointer && (m.column.Type == wire.Int64 || m.column.Type == wire.Float64) {
		room := to.ExtendWords(from.count)
		for at := range room {
			room[at] = *(*uint64)(from.field(m, at))
		}
		return
	}
	for at := range from.count {
		field := from.field(m, at)
		if m.pointer {
			if field = *(*unsafe.Pointer)(field); field == nil {
				to.AppendNull()
				continue
			}
		}
		switch m.column.Type {
		case wire.Bool:
			to.AppendBool(*(*bool)(field))
		case wire.Int64, wire.Float64:
			to.AppendWord(*(*uint64)(field))
		case wire.Timestamp:
			to.AppendWord(uint64((*(*time.Time)(field)).UnixMicro()))
		case wire.String:
			to.AppendString(*(*string)(field))
		default:
			if bytes := *(*[]byte)(field); bytes != nil || !m.column.Nullable {
				to.AppendText(wire.Lent(bytes))
			} else {
				to.AppendNull()
			}
		}
	}
}

// sameRows tells whether each of the returned events is the one that the handler was given: outs[at] for row
// from + origins[at] of the batch, which ins shows.
type sameRows[In, Out any] struct {
	possible bool
	members  []member
}

// newSameRows binds the comparison, which is possible if events go out as they came in and the columns are equal.
func newSameRows[In, Out any](b *binding, reader *rowReader[In]) sameRows[In, Out] {
	same := reflect.TypeFor[In]() == reflect.TypeFor[Out]() && b.output.Equal(b.input)
	return sameRows[In, Out]{same, reader.members}
}

func (s *sameRows[In, Out]) equal(b *Batch, from int, ins []In, outs []Out, origins []uint32) bool {
	if !s.possible {
		return false
	}
	if events, ok := any(outs).([]Event); ok {
		for at := range events {
			if e := &events[at]; e.own != nil || e.batch != b || e.row != int(origins[at]) {
				return false
			}
		}
		return true
	}
	if len(outs) == 0 {
		return true
	}
	given, returned := structsOf(ins), structsOf(outs)
	for m := range s.members {
		member := &s.members[m]
		for at, row := range origins {
			if !member.equal(b, int(row), given.field(member, int(row)-from), returned.field(member, at)) {
				return false
			}
		}
	}
	return true
}

// equal tells whether the field of two structs is equal, the first of which shows a row of a batch.
func (m *member) equal(b *Batch, row int, in, out unsafe.Pointer) bool {
	if m.pointer {
		in, out = *(*unsafe.Pointer)(in), *(*unsafe.Pointer)(out)
		if in == nil || out == nil {
			return in == out
		}
		if in == out { // what it points to may have been changed: look at the batch itself
			return m.unchanged(b, row, out)
		}
	}
	switch m.column.Type {
	case wire.Bool:
		return *(*bool)(in) == *(*bool)(out)
	case wire.Int64, wire.Float64:
		return *(*uint64)(in) == *(*uint64)(out)
	case wire.Timestamp:
		return (*(*time.Time)(in)).UnixMicro() == (*(*time.Time)(out)).UnixMicro()
	case wire.String:
		return *(*string)(in) == *(*string)(out)
	default:
		return m.unchanged(b, row, out)
	}
}

// unchanged tells whether a value is that of a row of the batch.
func (m *member) unchanged(b *Batch, row int, out unsafe.Pointer) bool {
	column := &b.table.Columns[m.at]
	null := column.IsNull(row)
	switch m.column.Type {
	case wire.Bool:
		return !null && wire.Bit(column.Bits(), row) == *(*bool)(out)
	case wire.Int64:
		return !null && column.Int64s()[row] == *(*int64)(out)
	case wire.Float64:
		return !null && floatWord(column.Float64s()[row]) == *(*uint64)(out)
	case wire.Timestamp:
		return !null && column.Int64s()[row] == (*(*time.Time)(out)).UnixMicro()
	case wire.String:
		return !null && string(column.Text(row)) == *(*string)(out)
	default:
		bytes := *(*[]byte)(out)
		return null == (bytes == nil) && (null || string(column.Entry(row)) == string(bytes))
	}
}
