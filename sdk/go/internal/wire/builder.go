package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Builder is one column that grows row by row, until it is written into a payload.
type Builder struct {
	Field Field
	rows  int
	nulls int
	valid []byte // made with the first null
	words []uint64
	bits  []byte
	codes []uint8
	// Strings, or the dictionary of a column that is coded.
	starts []int32
	text   []byte
	coded  bool
	coder  *coder // made with the first string
}

// Reset empties the column and keeps its room.
func (b *Builder) Reset() {
	b.resetCodes()
	b.rows, b.nulls = 0, 0
	b.valid, b.words, b.bits, b.codes = b.valid[:0], b.words[:0], b.bits[:0], b.codes[:0]
	if !b.coded {
		b.text, b.starts = b.text[:0], append(b.starts[:0], 0)
	}
}

// Rows returns how many rows the column has.
func (b *Builder) Rows() int { return b.rows }

// Bytes returns about how many bytes the column takes in a payload.
func (b *Builder) Bytes() int {
	return len(b.valid) + 8*len(b.words) + len(b.bits) + len(b.codes) + 4*len(b.starts) + len(b.text)
}

// valids marks the next count rows as valid.
func (b *Builder) valids(count int) {
	if b.nulls > 0 {
		b.valid = appendOnes(b.valid, b.rows, count)
	}
	b.rows += count
}

// AppendNull adds a row without a value.
func (b *Builder) AppendNull() {
	if b.nulls == 0 {
		b.valid = appendOnes(b.valid[:0], 0, b.rows)
	}
	b.valid = appendBit(b.valid, b.rows, 0)
	b.nulls++
	switch {
	case b.Field.Type == Bool:
		b.bits = appendBit(b.bits, b.rows, 0)
	case b.Field.Type != String && b.Field.Type != Binary:
		b.words = append(b.words, 0)
	case b.coded:
		b.codes = append(b.codes, 0)
	default:
		b.starts = append(b.starts, int32(len(b.text)))
	}
	b.rows++
}

// AppendWord adds an int64, the bits of a float64, or microseconds.
func (b *Builder) AppendWord(value uint64) {
	b.words = append(b.words, value)
	b.valids(1)
}

// AppendWords adds many of them.
func (b *Builder) AppendWords(values []uint64) {
	b.words = append(b.words, values...)
	b.valids(len(values))
}

// ExtendWords adds so many values and returns the room for them.
func (b *Builder) ExtendWords(count int) []uint64 {
	at := len(b.words)
	if cap(b.words)-at < count {
		grown := make([]uint64, at, max(2*cap(b.words), at+count))
		copy(grown, b.words)
		b.words = grown
	}
	b.words = b.words[:at+count]
	b.valids(count)
	return b.words[at:]
}

// AppendBool adds a bool.
func (b *Builder) AppendBool(value bool) {
	bit := uint8(0)
	if value {
		bit = 1
	}
	b.bits = appendBit(b.bits, b.rows, bit)
	b.valids(1)
}

// AppendText adds a string or bytes.
func (b *Builder) AppendText(text string) {
	if b.coded {
		b.Plain()
	}
	b.text = append(b.text, text...)
	b.starts = append(b.starts, b.textEnd())
	b.valids(1)
}

func (b *Builder) textEnd() int32 {
	if len(b.text) > math.MaxInt32 {
		panic(fmt.Sprintf("column `%s` has more than %d bytes of text in one table: send it in several", b.Field.Name,
			math.MaxInt32))
	}
	return int32(len(b.text))
}

// Plain turns the codes of a column that is coded into strings.
func (b *Builder) Plain() {
	if !b.coded {
		return
	}
	starts, text := append([]int32(nil), b.starts...), append([]byte(nil), b.text...)
	b.starts, b.text, b.coded = append(b.starts[:0], 0), b.text[:0], false
	for row, code := range b.codes {
		if b.nulls == 0 || Bit(b.valid, row) {
			b.text = append(b.text, text[starts[code]:starts[code+1]]...)
		}
		b.starts = append(b.starts, b.textEnd())
	}
	b.codes = b.codes[:0]
}

// AppendCoded adds a value of a dictionary, which must be the same for all rows.
func (b *Builder) AppendCoded(dictionary []string, code uint8) {
	if !b.coded {
		b.coded = true
		for _, value := range dictionary {
			b.text = append(b.text, value...)
			b.starts = append(b.starts, b.textEnd())
		}
	}
	b.codes = append(b.codes, code)
	b.valids(1)
}

// AppendRow adds the value of a row of a column of the same type.
func (b *Builder) AppendRow(column *Column, row int) {
	if column.IsNull(row) {
		b.AppendNull()
		return
	}
	switch {
	case b.Field.Type == Bool:
		b.AppendBool(Bit(column.values, row))
	case b.Field.Type != String && b.Field.Type != Binary:
		b.AppendWord(binary.LittleEndian.Uint64(column.values[8*row:]))
	case column.Coded && b.adopt(column):
		b.codes = append(b.codes, column.values[row])
		b.valids(1)
	default:
		b.AppendText(Lent(column.Text(row)))
	}
}

// AppendColumn adds all rows of a column of the same type.
func (b *Builder) AppendColumn(column *Column, rows int) {
	switch {
	case column.Valid != nil || b.Field.Type == Bool:
		for row := range rows {
			b.AppendRow(column, row)
		}
	case b.Field.Type != String && b.Field.Type != Binary:
		b.AppendWords(view[uint64](column.values))
	case column.Coded && b.adopt(column):
		b.codes = append(b.codes, column.values...)
		b.valids(rows)
	default:
		for row := range rows {
			b.AppendText(Lent(column.Text(row)))
		}
	}
}

// adopt makes the column's dictionary that of the builder, if it has none yet; true if both are the same.
func (b *Builder) adopt(column *Column) bool {
	if b.coded && b.rows > b.nulls {
		return len(b.starts) == len(column.starts) && string(b.text) == string(column.text) &&
			string(memory(b.starts)) == string(memory(column.starts))
	}
	if b.rows > b.nulls {
		return false
	}
	if b.coder != nil {
		b.coder.forget()
	}
	b.coded = true
	b.codes = append(b.codes[:0], make([]uint8, b.rows)...)
	b.starts = append(b.starts[:0], column.starts...)
	b.text = append(b.text[:0], column.text...)
	return true
}

// PayloadSize returns the bytes that rows from … to of the columns take.
func PayloadSize(columns []Builder, from, to int) int {
	size := tableHeader + columnBytes*len(columns)
	for at := range columns {
		b := &columns[at]
		if b.nulls > 0 {
			size += padded(BitmapBytes(to - from))
		}
		values, starts, text := b.lengths(from, to)
		size += padded(values) + padded(starts) + padded(text)
	}
	return size
}

func (b *Builder) lengths(from, to int) (values, starts, text int) {
	switch {
	case b.Field.Type == Bool:
		return BitmapBytes(to - from), 0, 0
	case b.Field.Type != String && b.Field.Type != Binary:
		return 8 * (to - from), 0, 0
	case b.coded:
		return to - from, 4 * len(b.starts), len(b.text)
	default:
		return 0, 4 * (to - from + 1), int(b.starts[to] - b.starts[from])
	}
}

func padded(length int) int { return (length + 7) &^ 7 }

// WritePayload writes rows from … to of the columns to payload, which has PayloadSize bytes.
func WritePayload(payload []byte, columns []Builder, from, to int) {
	copy(payload, tableMagic)
	binary.LittleEndian.PutUint32(payload[4:], uint32(to-from))
	binary.LittleEndian.PutUint32(payload[8:], uint32(len(columns)))
	binary.LittleEndian.PutUint32(payload[12:], 0)
	place := tableHeader + columnBytes*len(columns)
	for at := range columns {
		desc := payload[tableHeader+columnBytes*at:][:columnBytes]
		place = columns[at].write(payload, desc, place, from, to)
	}
}

// write writes the column's buffers from a place of the payload on, and returns the place behind them.
func (b *Builder) write(payload, desc []byte, place, from, to int) int {
	clear(desc)
	desc[0] = uint8(b.Field.Type)
	next := func(at, length int) []byte {
		binary.LittleEndian.PutUint32(desc[at:], uint32(place))
		binary.LittleEndian.PutUint32(desc[at+4:], uint32(length))
		buffer := payload[place : place+length]
		clear(payload[place+length : place+padded(length)])
		place += padded(length)
		return buffer
	}
	validity := 0
	if b.nulls > 0 {
		validity = BitmapBytes(to - from)
	}
	valid := next(16, validity)
	if b.nulls > 0 {
		copyBits(valid, b.valid, from, to-from)
		nulls := to - from - ones(valid, to-from)
		binary.LittleEndian.PutUint32(desc[4:], uint32(nulls))
		if nulls == 0 { // the other rows of a split column had them
			binary.LittleEndian.PutUint32(desc[20:], 0)
		}
	}
	values, starts, text := b.lengths(from, to)
	room := next(24, values)
	switch {
	case b.Field.Type == Bool:
		copyBits(room, b.bits, from, to-from)
	case b.coded:
		copy(room, b.codes[from:to])
	case values > 0:
		copy(room, memory(b.words[from:to]))
	}
	if room = next(32, starts); b.coded {
		desc[1] = 1
		binary.LittleEndian.PutUint32(desc[8:], uint32(len(b.starts)-1))
		copy(room, memory(b.starts))
		copy(next(40, text), b.text)
	} else if starts > 0 {
		first := b.starts[from]
		if first == 0 {
			copy(room, memory(b.starts[from:to+1]))
		} else {
			for at, start := range b.starts[from : to+1] {
				binary.LittleEndian.PutUint32(room[4*at:], uint32(start-first))
			}
		}
		copy(next(40, text), b.text[first:])
	} else {
		next(40, 0)
	}
	return place
}
