package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

const (
	tableMagic  = "MRB1"
	tableHeader = 16
	columnBytes = 48 // of a column's struct
)

// DictionaryMax is how many values a dictionary may have.
const DictionaryMax = 256

// PayloadMax is how large a payload may be at most.
const PayloadMax = math.MaxUint32

// Table is the columns of a payload. It looks into the payload's bytes and is good for as long as they are.
type Table struct {
	Rows    int
	Columns []Column
}

// Column is one column of a payload.
type Column struct {
	Type   Type
	Coded  bool // a string column that is given as codes of a dictionary
	Nulls  int
	Size   int    // values of the dictionary
	Valid  []byte // a bit for each row; nil: all rows are valid
	values []byte
	starts []int32 // of strings in text; one more than there are
	text   []byte
}

// Decode looks at payload, whose bytes must be aligned, as a table of the columns in schema.
func (t *Table) Decode(payload []byte, schema Schema) error {
	if len(payload) < tableHeader || string(payload[:4]) != tableMagic || number(payload, 12) != 0 {
		return broken("a payload of %d bytes is no table", len(payload))
	}
	rows, columns := number(payload, 4), number(payload, 8)
	if columns != len(schema) {
		return broken("a table has %d columns, its schema %d", columns, len(schema))
	}
	buffers := tableHeader + columnBytes*len(schema)
	if len(payload) < buffers {
		return broken("a table of %d columns has %d bytes", columns, len(payload))
	}
	if cap(t.Columns) < len(schema) {
		t.Columns = make([]Column, len(schema))
	}
	t.Rows, t.Columns = rows, t.Columns[:len(schema)]
	for at := range schema {
		c, desc := &t.Columns[at], payload[tableHeader+columnBytes*at:][:columnBytes]
		if !c.place(desc, payload, buffers) || !c.fits(&schema[at], rows) || !c.whole(rows) {
			return broken("column `%s` of a table breaks the rules of its type %s", schema[at].Name, schema[at].Type)
		}
	}
	return nil
}

func number(bytes []byte, at int) int { return int(binary.LittleEndian.Uint32(bytes[at:])) }

// place finds the column's buffers by its struct; false if one does not lie where buffers may.
func (c *Column) place(desc, payload []byte, buffers int) bool {
	ok := desc[1] <= 1 && desc[2] == 0 && desc[3] == 0 && number(desc, 12) == 0
	part := func(at int) []byte {
		from, length := number(desc, at), number(desc, at+4)
		if length == 0 {
			ok = ok && from <= len(payload)
			return nil
		}
		if from&7 != 0 || from < buffers || from+length > len(payload) {
			ok = false
			return nil
		}
		return payload[from : from+length : from+length]
	}
	c.Type, c.Coded, c.Nulls, c.Size = Type(desc[0]), desc[1] == 1, number(desc, 4), number(desc, 8)
	starts := part(32)
	c.Valid, c.values, c.starts, c.text = part(16), part(24), view[int32](starts), part(40)
	return ok && len(starts)&3 == 0
}

// fits tells whether the buffers have the lengths that the column's type asks for.
func (c *Column) fits(field *Field, rows int) bool {
	values, strings := 0, 0
	switch {
	case c.Type == Bool:
		values = BitmapBytes(rows)
	case c.Type != String && c.Type != Binary:
		values = 8 * rows
	case c.Coded:
		values, strings = rows, c.Size+1
	default:
		strings = rows + 1
	}
	valid := 0
	if c.Nulls > 0 {
		valid = BitmapBytes(rows)
	}
	return c.Type == field.Type && (c.Type == String || !c.Coded) && (c.Coded || c.Size == 0) && c.Size <= DictionaryMax &&
		(c.Nulls == 0 || field.Nullable) && c.Nulls <= rows && len(c.Valid) == valid &&
		len(c.values) == values && len(c.starts) == strings
}

// whole tells whether the content of the buffers is what their type asks for.
func (c *Column) whole(rows int) bool {
	if c.Nulls > 0 && ones(c.Valid, rows) != rows-c.Nulls {
		return false
	}
	if c.Coded && !c.codesBelow(rows) {
		return false
	}
	if len(c.starts) == 0 {
		return true
	}
	last := len(c.starts) - 1
	if c.starts[0] != 0 || int(c.starts[last]) != len(c.text) || !rising(c.starts) {
		return false
	}
	return c.Type == Binary || ascii(c.text) || c.utf8()
}

// codesBelow tells whether the codes of all valid rows have a value.
func (c *Column) codesBelow(rows int) bool {
	if c.Size == DictionaryMax || below(c.values, c.Size) {
		return true
	}
	for row, code := range c.values {
		if int(code) >= c.Size && !c.IsNull(row) {
			return false
		}
	}
	return true
}

// utf8 tells whether each string is UTF-8: all of them together, and none begins within a character.
func (c *Column) utf8() bool {
	if !utf8.Valid(c.text) {
		return false
	}
	for _, start := range c.starts {
		if int(start) < len(c.text) && !utf8.RuneStart(c.text[start]) {
			return false
		}
	}
	return true
}

// BitmapBytes returns the bytes of a bitmap of so many bits.
func BitmapBytes(bits int) int { return (bits + 7) / 8 }

// Bit tells whether a bit of a bitmap is set.
func Bit(bitmap []byte, at int) bool { return bitmap[at>>3]>>(at&7)&1 != 0 }

// IsNull tells whether a row has no value.
func (c *Column) IsNull(row int) bool { return c.Valid != nil && !Bit(c.Valid, row) }

// Int64s returns the values of an int64 column, or the microseconds of a timestamp column.
func (c *Column) Int64s() []int64 { return view[int64](c.values) }

// Float64s returns the values of a float64 column.
func (c *Column) Float64s() []float64 { return view[float64](c.values) }

// Bits returns the values of a bool column, a bit for each row.
func (c *Column) Bits() []byte { return c.values }

// Codes returns the codes of a coded string column.
func (c *Column) Codes() []uint8 { return c.values }

// Strings returns where the strings of a column, or of its dictionary, begin in the text, and the text.
func (c *Column) Strings() ([]int32, []byte) { return c.starts, c.text }

// Entry returns a string of a plain column, or of the dictionary of a coded one.
func (c *Column) Entry(at int) []byte { return c.text[c.starts[at]:c.starts[at+1]] }

// Text returns the string of a row that is not null.
func (c *Column) Text(row int) []byte {
	if c.Coded {
		row = int(c.values[row])
	}
	return c.Entry(row)
}
