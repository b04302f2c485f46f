package modrun

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"modularruntime/modrun/internal/wire"
)

// Events whose columns are known only when the stage runs: rows of the input, and events that a handler makes.

// Event is one event with its columns by name: a row of the input, or an event of the handler's own.
//
// A row of the input is lent and good until the handler returns; what its getters return may be kept. A getter panics
// if there is no such column or it has another type, which costs the event. Where the column is null it returns the
// zero value: IsNull tells.
type Event struct {
	batch *Batch
	row   int
	own   *record
}

// record is an event that a handler made.
type record struct {
	cells []cell
	room  [3]cell // for the first of them, so that most events are one piece of memory
}

type cell struct {
	name string
	text string
	word uint64
	kind Type // 0: null
}

// NewEvent returns an event without columns. A column of the output that is not set is null.
func NewEvent() Event {
	own := &record{}
	own.cells = own.room[:0]
	return Event{own: own}
}

// Set sets a column to a value: nil, bool, int, int64, float64, string, []byte or time.Time. It changes an event of the
// handler's own and returns it; of a row of the input it returns a copy that is changed.
func (e Event) Set(name string, value any) Event {
	if e.own == nil {
		e = e.Keep()
	}
	at := e.own.index(name)
	if at < 0 {
		at = len(e.own.cells)
		e.own.cells = append(e.own.cells, cell{name: name})
	}
	c := &e.own.cells[at]
	c.kind, c.word, c.text = 0, 0, ""
	switch value := value.(type) {
	case nil:
	case bool:
		c.kind = wire.Bool
		if value {
			c.word = 1
		}
	case int:
		c.kind, c.word = wire.Int64, uint64(value)
	case int64:
		c.kind, c.word = wire.Int64, uint64(value)
	case float64:
		c.kind, c.word = wire.Float64, floatWord(value)
	case string:
		c.kind, c.text = wire.String, value
	case []byte:
		if value != nil {
			c.kind, c.text = wire.Binary, string(value)
		}
	case time.Time:
		c.kind, c.word = wire.Timestamp, uint64(value.UnixMicro())
	default:
		panic(fmt.Errorf("column `%s` cannot hold a %T: set a bool, int64, float64, string, []byte or time.Time", name, value))
	}
	return e
}

// Keep returns a copy of the event that stays good after the handler has returned.
func (e Event) Keep() Event {
	if e.own != nil {
		return Event{own: &record{cells: append([]cell(nil), e.own.cells...)}}
	}
	kept := NewEvent()
	if e.batch != nil {
		for at := range e.batch.schema {
			kept.own.cells = append(kept.own.cells, e.cell(at))
		}
	}
	return kept
}

func (r *record) index(name string) int {
	for at := range r.cells {
		if r.cells[at].name == name {
			return at
		}
	}
	return -1
}

// cell returns the value of a column of a row of the input.
func (e Event) cell(at int) cell {
	column, field := &e.batch.table.Columns[at], &e.batch.schema[at]
	c := cell{name: field.Name}
	if column.IsNull(e.row) {
		return c
	}
	c.kind = field.Type
	switch field.Type {
	case wire.Bool:
		if wire.Bit(column.Bits(), e.row) {
			c.word = 1
		}
	case wire.Int64, wire.Timestamp:
		c.word = uint64(column.Int64s()[e.row])
	case wire.Float64:
		c.word = floatWord(column.Float64s()[e.row])
	default:
		c.text = e.batch.texts[at].at(column, e.row, e.batch.table.Rows)
	}
	return c
}

// column returns a column of the input's row, which must be there and of the type; nil if it is null.
func (e Event) column(name string, is Type) (column *wire.Column, at int) {
	at = e.index(name)
	if have := e.batch.schema[at].Type; have != is {
		panic(wrongType(name, have, is))
	}
	column = &e.batch.table.Columns[at]
	if column.IsNull(e.row) {
		return nil, at
	}
	return column, at
}

// set returns the value of a column of the handler's own event, which must have been set and be of the type; nil if it is
// null.
func (e Event) set(name string, is Type) *cell {
	at := e.own.index(name)
	if at < 0 {
		panic(fmt.Errorf("no column `%s` was set", name))
	}
	c := &e.own.cells[at]
	if c.kind == 0 {
		return nil
	}
	if c.kind != is {
		panic(wrongType(name, c.kind, is))
	}
	return c
}

// word returns the value of a column of numbers, or whatever else is one word; 0 if it is null.
func (e Event) word(name string, is Type) uint64 {
	if e.own != nil {
		if c := e.set(name, is); c != nil {
			return c.word
		}
		return 0
	}
	column, _ := e.column(name, is)
	if column == nil {
		return 0
	}
	return uint64(column.Int64s()[e.row])
}

func (e Event) index(name string) int {
	if e.batch == nil {
		panic(errors.New("an event of no batch has no columns: make one with `NewEvent`"))
	}
	return e.batch.found.index(name, e.batch)
}

// IsNull tells whether a column has no value.
func (e Event) IsNull(name string) bool {
	if e.own == nil {
		return e.batch.table.Columns[e.index(name)].IsNull(e.row)
	}
	at := e.own.index(name)
	return at < 0 || e.own.cells[at].kind == 0
}

// String returns the value of a string column.
func (e Event) String(name string) string {
	if e.own != nil {
		if c := e.set(name, wire.String); c != nil {
			return c.text
		}
		return ""
	}
	column, at := e.column(name, wire.String)
	if column == nil {
		return ""
	}
	return e.batch.texts[at].at(column, e.row, e.batch.table.Rows)
}

// Int returns the value of an int64 column.
func (e Event) Int(name string) int64 { return int64(e.word(name, wire.Int64)) }

// Float returns the value of a float64 column.
func (e Event) Float(name string) float64 { return math.Float64frombits(e.word(name, wire.Float64)) }

// Bool returns the value of a bool column.
func (e Event) Bool(name string) bool {
	if e.own != nil {
		return e.word(name, wire.Bool) != 0
	}
	column, _ := e.column(name, wire.Bool)
	return column != nil && wire.Bit(column.Bits(), e.row)
}

// Bytes returns a copy of the value of a binary column, nil if it is null.
func (e Event) Bytes(name string) []byte {
	if e.own != nil {
		if c := e.set(name, wire.Binary); c != nil {
			return []byte(c.text)
		}
		return nil
	}
	column, _ := e.column(name, wire.Binary)
	if column == nil {
		return nil
	}
	return append([]byte{}, column.Entry(e.row)...)
}

// Time returns the value of a timestamp column, in UTC.
func (e Event) Time(name string) time.Time {
	if e.IsNull(name) {
		return time.Time{}
	}
	return time.UnixMicro(int64(e.word(name, wire.Timestamp))).UTC()
}

// Schema returns the columns of a row of the input, and nothing for an event of the handler's own.
func (e Event) Schema() Schema {
	if e.batch == nil {
		return nil
	}
	return e.batch.schema
}

func floatWord(value float64) uint64 { return math.Float64bits(value) }

// fits tells whether the cell may stand in a column.
func (c *cell) fits(field *Field) error {
	switch {
	case c.kind == 0 && !field.Nullable:
		return fmt.Errorf("output column `%s` was not set and may not be null", field.Name)
	case c.kind != 0 && c.kind != field.Type:
		return fmt.Errorf("output column `%s` is %s and was set to a %s", field.Name, field.Type, c.kind)
	case c.kind == wire.String && !utf8.ValidString(c.text):
		return notUTF8(field.Name, c.text)
	}
	return nil
}

// append appends the cell to a column that it fits.
func (c *cell) append(to *wire.Builder) {
	switch c.kind {
	case 0:
		to.AppendNull()
	case wire.Bool:
		to.AppendBool(c.word != 0)
	case wire.String:
		to.AppendString(c.text)
	case wire.Binary:
		to.AppendText(c.text)
	default:
		to.AppendWord(c.word)
	}
}

// eventWriter appends events to a table.
type eventWriter struct {
	schema  Schema
	input   Schema
	columns []int // the input's column for each of the schema's, -1 if there is none
}

func newEventWriter(schema, input Schema) *eventWriter {
	return &eventWriter{schema, input, columnsOf(schema, input)}
}

// columnsOf returns the position in input of each column of schema, -1 where it has none of the name and type, or one
// that may be null where that of schema may not.
func columnsOf(schema, input Schema) []int {
	columns := make([]int, len(schema))
	for at, field := range schema {
		from := input.Index(field.Name)
		if from >= 0 && (input[from].Type != field.Type || input[from].Nullable && !field.Nullable) {
			from = -1
		}
		columns[at] = from
	}
	return columns
}

// whole tells whether every column of the output is one of the input.
func (w *eventWriter) whole() error {
	for at, from := range w.columns {
		if from < 0 {
			return fmt.Errorf("output column `%s` is no column of the input, which has `%s`", w.schema[at], w.input)
		}
	}
	return nil
}

// check tells whether the event can be appended.
func (w *eventWriter) check(e *Event) error {
	if e.own == nil {
		if e.batch == nil {
			return errors.New("the handler returned an event that is none: make one with `NewEvent`")
		}
		return w.whole()
	}
	set := 0
	for at := range w.schema {
		c := w.find(e.own, at)
		if c == nil {
			c = &cell{}
		} else {
			set++
		}
		if err := c.fits(&w.schema[at]); err != nil {
			return err
		}
	}
	if set < len(e.own.cells) {
		for at := range e.own.cells {
			if name := e.own.cells[at].name; w.schema.Index(name) < 0 && w.input.Index(name) < 0 {
				return fmt.Errorf("`%s` was set, which is no output column: there are %s", name, w.schema.Names())
			}
		}
	}
	return nil
}

// find returns the cell of a column, which most often stands where the column does.
func (w *eventWriter) find(own *record, at int) *cell {
	name := w.schema[at].Name
	if at < len(own.cells) && own.cells[at].name == name {
		return &own.cells[at]
	}
	if at = own.index(name); at >= 0 {
		return &own.cells[at]
	}
	return nil
}

// append appends an event that was checked.
func (w *eventWriter) append(e *Event, to *Table) {
	if e.own == nil {
		to.appendRow(e.batch, w.columns, e.row)
		return
	}
	if len(w.schema) == 0 {
		to.bare++
	}
	for at := range to.builders {
		if c := w.find(e.own, at); c != nil {
			c.append(&to.builders[at])
		} else {
			to.builders[at].AppendNull()
		}
	}
}
