package modrun

import (
	"encoding/binary"
	"math/bits"
)

// Bitmap is one bit for each row: bit n mod 8 of byte n / 8.
type Bitmap []byte

// At returns the bit of a row.
func (b Bitmap) At(row int) bool { return b[row>>3]>>(row&7)&1 != 0 }

// Validity tells which rows of a column have a value: 1 is valid. It is nil if all have one.
type Validity []byte

// All tells whether every row has a value.
func (v Validity) All() bool { return v == nil }

// At tells whether a row has a value.
func (v Validity) At(row int) bool { return v == nil || v[row>>3]>>(row&7)&1 != 0 }

// Selection is the rows of a batch that are kept. It begins with none.
type Selection struct {
	words []uint64
	rows  int
}

// reset empties the selection, for a batch of so many rows.
func (s *Selection) reset(rows int) {
	count := (rows + 63) / 64
	if cap(s.words) < count {
		s.words = make([]uint64, 2*count)
	}
	s.words, s.rows = s.words[:count], rows
	clear(s.words)
}

// Rows returns how many rows the batch has.
func (s *Selection) Rows() int { return s.rows }

// Keep keeps a row.
func (s *Selection) Keep(row int) { s.words[row>>6] |= 1 << (row & 63) }

// KeepIf keeps a row if the condition holds; without a branch, so it is the faster one where that is hard to foresee.
func (s *Selection) KeepIf(row int, condition bool) {
	var bit uint64
	if condition {
		bit = 1
	}
	s.words[row>>6] |= bit << (row & 63)
}

// KeepAll keeps all rows.
func (s *Selection) KeepAll() {
	for at := range s.words {
		s.words[at] = ^uint64(0)
	}
	if rest := s.rows & 63; rest != 0 {
		s.words[len(s.words)-1] = 1<<rest - 1
	}
}

// Kept tells whether a row is kept.
func (s *Selection) Kept(row int) bool { return s.words[row>>6]>>(row&63)&1 != 0 }

// Count returns how many rows are kept.
func (s *Selection) Count() (count int) {
	for _, word := range s.words {
		count += bits.OnesCount64(word)
	}
	return count
}

// each calls do for the kept rows, in order.
func (s *Selection) each(do func(row int)) {
	for at, word := range s.words {
		for ; word != 0; word &= word - 1 {
			do(64*at + bits.TrailingZeros64(word))
		}
	}
}

// write writes the selection as a payload.
func (s *Selection) write(payload []byte) {
	var last [8]byte
	for at, word := range s.words {
		room := payload[8*at:]
		if len(room) >= 8 {
			binary.LittleEndian.PutUint64(room, word)
			continue
		}
		binary.LittleEndian.PutUint64(last[:], word)
		copy(room, last[:])
	}
}
