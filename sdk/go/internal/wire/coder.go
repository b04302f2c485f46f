package wire

import "unsafe"

// Strings that are appended one by one become codes of a dictionary as long as that pays: where a handler hands on strings
// of an input's dictionary, or its own literals, a string is known by its place in memory, and neither looked at nor copied
// again.

const (
	coderSlots  = 256
	coderTrial  = 64 // strings that may be new to the coder before it has to pay
	coderPauses = 16 // tables without codes, where they did not pay
)

// coder knows strings by their place in memory, and which code they have.
type coder struct {
	slots  [coderSlots]known
	epoch  uint32           // of the dictionary that codes belong to
	index  map[string]uint8 // codes by content
	misses int              // strings of this table that were not known by their place
	pause  int              // tables to come without codes
}

type known struct {
	text  string // keeps the memory from being used for another string
	epoch uint32
	code  uint8
}

func (c *coder) slot(text string) (slot *known, same bool) {
	at := uintptr(unsafe.Pointer(unsafe.StringData(text)))
	slot = &c.slots[(at^at>>4^at>>8)%coderSlots]
	return slot, len(text) > 0 && len(slot.text) == len(text) && unsafe.StringData(slot.text) == unsafe.StringData(text)
}

// Knows tells whether the string was appended before and lies where it lay then; then it is known to be UTF-8.
func (b *Builder) Knows(text string) bool {
	if b.coder == nil {
		return false
	}
	_, same := b.coder.slot(text)
	return same
}

// AppendString adds a string that is UTF-8, as a code where that pays.
func (b *Builder) AppendString(text string) {
	if b.coder == nil {
		b.coder = &coder{epoch: 1, index: make(map[string]uint8)}
	}
	c := b.coder
	if !b.coded && (b.rows > b.nulls || c.pause > 0) {
		b.AppendText(text)
		return
	}
	slot, same := c.slot(text)
	if same && slot.epoch == c.epoch && b.coded {
		b.codes = append(b.codes, slot.code)
		b.valids(1)
		return
	}
	code, ok := b.code(text)
	if !ok {
		c.pause = coderPauses
		b.AppendText(text)
		return
	}
	*slot = known{text, c.epoch, code}
	b.codes = append(b.codes, code)
	b.valids(1)
}

// code finds the code of a string, which gets one if it has none; false if codes do not pay.
func (b *Builder) code(text string) (uint8, bool) {
	c := b.coder
	c.misses++
	if c.misses > coderTrial && 4*c.misses > b.rows {
		return 0, false
	}
	if !b.coded {
		b.coded = true
		b.codes = append(b.codes[:0], make([]uint8, b.rows)...)
		b.starts, b.text = append(b.starts[:0], 0), b.text[:0]
		c.forget()
	}
	size := len(b.starts) - 1
	if len(c.index) != size { // the dictionary was adopted from a column
		c.forget()
		for at := range size {
			c.index[string(b.text[b.starts[at]:b.starts[at+1]])] = uint8(at)
		}
	}
	code, ok := c.index[text]
	if !ok {
		if size == DictionaryMax {
			return 0, false
		}
		code = uint8(size)
		c.index[text] = code
		b.text = append(b.text, text...)
		b.starts = append(b.starts, b.textEnd())
	}
	return code, true
}

// forget makes all codes unknown.
func (c *coder) forget() {
	c.epoch++
	clear(c.index)
}

// resetCodes empties the column's codes. The dictionary stays if the table made good use of it, so that the next one need not
// begin again.
func (b *Builder) resetCodes() {
	c := b.coder
	if c == nil {
		b.coded = false
		return
	}
	c.misses = 0
	c.pause = max(0, c.pause-1)
	if size := len(b.starts) - 1; !b.coded || len(c.index) != size || b.rows < 4*size {
		b.coded = false
	}
}
