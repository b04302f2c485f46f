package modrun

import (
	"fmt"
	"time"
	"unicode/utf8"

	"modularruntime/modrun/internal/wire"
)

// Tables that batch handlers fill column by column.

// Table is rows of the output columns that a handler builds column by column. All columns must have as many rows when
// it is sent.
type Table struct {
	schema   Schema
	builders []wire.Builder
	bare     int      // rows of a table without columns
	origins  []uint32 // the input's row that caused a row, if that is known
	copied   *Batch   // from which rows were copied,
	columns  []int    // and its column for each of the table's
}

func newTable(schema Schema) *Table {
	t := &Table{schema: schema, builders: make([]wire.Builder, len(schema))}
	for at := range schema {
		t.builders[at].Field = schema[at]
	}
	t.reset()
	return t
}

func (t *Table) reset() {
	t.bare, t.origins, t.copied = 0, t.origins[:0], nil
	for at := range t.builders {
		t.builders[at].Reset()
	}
}

// Schema returns the columns of the table, in order.
func (t *Table) Schema() Schema { return t.schema }

// Rows returns how many rows the first column has.
func (t *Table) Rows() int {
	if len(t.builders) == 0 {
		return t.bare
	}
	return t.builders[0].Rows()
}

// AddRows adds rows to a table that has no columns.
func (t *Table) AddRows(rows int) { t.bare += rows }

// bytes returns about how large the table is in a payload.
func (t *Table) bytes() (bytes int) {
	for at := range t.builders {
		bytes += t.builders[at].Bytes()
	}
	return bytes
}

// originsInOrder says that the rows were caused by the input's, one by one.
func (t *Table) originsInOrder(rows int) {
	for row := range rows {
		t.origins = append(t.origins, uint32(row))
	}
}

// check tells whether all columns have as many rows and no nulls where there may be none.
func (t *Table) check() error {
	rows := t.Rows()
	for at := range t.builders {
		if have := t.builders[at].Rows(); have != rows {
			return fmt.Errorf("column `%s` has %d rows, column `%s` has %d: append as many to each", t.schema[0].Name, rows,
				t.schema[at].Name, have)
		}
	}
	return nil
}

func (t *Table) builder(name string, is Type) *wire.Builder {
	at := t.schema.Index(name)
	if at < 0 {
		panic(fmt.Errorf("no output column `%s`: there are %s", name, t.schema.Names()))
	}
	if have := t.schema[at].Type; have != is {
		panic(fmt.Errorf("output column `%s` is %s, not %s", name, have, is))
	}
	return &t.builders[at]
}

// Int64 returns an int64 column to append to.
func (t *Table) Int64(name string) Int64Column {
	return Int64Column{nullable{t.builder(name, wire.Int64)}}
}

// Float64 returns a float64 column to append to.
func (t *Table) Float64(name string) Float64Column {
	return Float64Column{nullable{t.builder(name, wire.Float64)}}
}

// Timestamp returns a timestamp column to append to.
func (t *Table) Timestamp(name string) TimestampColumn {
	return TimestampColumn{nullable{t.builder(name, wire.Timestamp)}}
}

// Bool returns a bool column to append to.
func (t *Table) Bool(name string) BoolColumn { return BoolColumn{nullable{t.builder(name, wire.Bool)}} }

// String returns a string column to append to.
func (t *Table) String(name string) StringColumn {
	return StringColumn{nullable{t.builder(name, wire.String)}}
}

// Binary returns a binary column to append to.
func (t *Table) Binary(name string) BinaryColumn {
	return BinaryColumn{nullable{t.builder(name, wire.Binary)}}
}

// Copy appends all rows of a batch's column to the output column `to` of the same type.
func (t *Table) Copy(to string, from *Batch, name string) {
	at := from.index(name)
	t.builder(to, from.schema[at].Type).AppendColumn(&from.table.Columns[at], from.Rows())
}

// CopyRow appends a row of a batch: to each output column the value of the batch's column of the same name and type.
func (t *Table) CopyRow(from *Batch, row int) {
	if t.copied != from || len(t.columns) != len(t.schema) {
		writer := newEventWriter(t.schema, from.schema)
		if err := writer.whole(); err != nil {
			panic(err)
		}
		t.copied, t.columns = from, writer.columns
	}
	t.appendRow(from, t.columns, row)
}

// appendRow appends a row of a batch; columns gives the batch's column for each of the table's.
func (t *Table) appendRow(from *Batch, columns []int, row int) {
	if len(t.builders) == 0 {
		t.bare++
	}
	for at := range t.builders {
		t.builders[at].AppendRow(&from.table.Columns[columns[at]], row)
	}
}

// appendBatch appends all rows of a batch.
func (t *Table) appendBatch(from *Batch, columns []int) {
	if len(t.builders) == 0 {
		t.bare += from.Rows()
	}
	for at := range t.builders {
		t.builders[at].AppendColumn(&from.table.Columns[columns[at]], from.Rows())
	}
}

// nullable is what all columns can do.
type nullable struct{ builder *wire.Builder }

// AppendNull appends a row without a value. It panics if the column may not be null.
func (n nullable) AppendNull() {
	if !n.builder.Field.Nullable {
		panic(fmt.Errorf("output column `%s` may not be null: declare it as `%s?`", n.builder.Field.Name,
			n.builder.Field.Type))
	}
	n.builder.AppendNull()
}

// Int64Column is an int64 column of a table.
type Int64Column struct{ nullable }

// Append appends a value.
func (c Int64Column) Append(value int64) { c.builder.AppendWord(uint64(value)) }

// AppendAll appends a value for each of many rows.
func (c Int64Column) AppendAll(values []int64) { c.builder.AppendWords(wire.Words[uint64](values)) }

// Extend appends so many rows and returns the room for their values, which has any content and is good until the next
// row is appended.
func (c Int64Column) Extend(rows int) []int64 { return wire.Words[int64](c.builder.ExtendWords(rows)) }

// Float64Column is a float64 column of a table.
type Float64Column struct{ nullable }

// Append appends a value.
func (c Float64Column) Append(value float64) { c.builder.AppendWord(floatWord(value)) }

// AppendAll appends a value for each of many rows.
func (c Float64Column) AppendAll(values []float64) { c.builder.AppendWords(wire.Words[uint64](values)) }

// Extend appends so many rows and returns the room for their values, which has any content and is good until the next
// row is appended.
func (c Float64Column) Extend(rows int) []float64 {
	return wire.Words[float64](c.builder.ExtendWords(rows))
}

// TimestampColumn is a timestamp column of a table.
type TimestampColumn struct{ nullable }

// Append appends microseconds since 1970 in UTC.
func (c TimestampColumn) Append(micros int64) { c.builder.AppendWord(uint64(micros)) }

// AppendTime appends a time, cut to microseconds.
func (c TimestampColumn) AppendTime(value time.Time) { c.Append(value.UnixMicro()) }

// AppendAll appends microseconds for each of many rows.
func (c TimestampColumn) AppendAll(micros []int64) { c.builder.AppendWords(wire.Words[uint64](micros)) }

// BoolColumn is a bool column of a table.
type BoolColumn struct{ nullable }

// Append appends a value.
func (c BoolColumn) Append(value bool) { c.builder.AppendBool(value) }

// StringColumn is a string column of a table.
type StringColumn struct{ nullable }

// Append appends a value. It panics if that is not UTF-8.
func (c StringColumn) Append(value string) {
	if !c.builder.Knows(value) && !utf8.ValidString(value) {
		panic(notUTF8(c.builder.Field.Name, value))
	}
	c.builder.AppendString(value)
}

func notUTF8(column, value string) error {
	return fmt.Errorf("output column `%s` got %q, which is not UTF-8: make the column `binary`, or mend the string", column,
		value[:min(len(value), 100)])
}

// BinaryColumn is a binary column of a table.
type BinaryColumn struct{ nullable }

// Append appends a value.
func (c BinaryColumn) Append(value []byte) { c.builder.AppendText(wire.Lent(value)) }
