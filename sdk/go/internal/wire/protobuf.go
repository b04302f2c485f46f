package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// The wire types of protobuf that the messages use.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// fields reads the fields of a protobuf message one after the other, in any order.
type fields struct {
	rest   []byte
	number uint64 // of the field that next found
	kind   uint64
	value  uint64 // of a number
	bytes  []byte // of a string, a message or packed numbers
	bad    bool
}

// next finds the next field; false at the end, or if the message is no protobuf (bad is set then).
func (f *fields) next() bool {
	if f.bad || len(f.rest) == 0 {
		return false
	}
	tag := f.varint()
	f.number, f.kind, f.value, f.bytes = tag>>3, tag&7, 0, nil
	switch f.kind {
	case wireVarint:
		f.value = f.varint()
	case wireFixed8:
		if bytes := f.take(8); bytes != nil {
			f.value = binary.LittleEndian.Uint64(bytes)
		}
	case wireFixed4:
		if bytes := f.take(4); bytes != nil {
			f.value = uint64(binary.LittleEndian.Uint32(bytes))
		}
	case wireBytes:
		f.bytes = f.take(f.varint())
	default:
		f.bad = true
	}
	return !f.bad
}

func (f *fields) varint() uint64 {
	value, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return value
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.bad = true
		return nil
	}
	bytes := f.rest[:n:n]
	f.rest = f.rest[n:]
	return bytes
}

// whole returns the field's number.
func (f *fields) whole() uint64 {
	f.bad = f.bad || f.kind != wireVarint
	return f.value
}

// text returns the field's string.
func (f *fields) text() string {
	f.bad = f.bad || f.kind != wireBytes || !utf8.Valid(f.bytes)
	return string(f.bytes)
}

// message returns the bytes of the field's message behind those that came before: together they are one.
func (f *fields) message(before []byte) []byte {
	f.bad = f.bad || f.kind != wireBytes
	if before == nil {
		return f.bytes
	}
	return append(before, f.bytes...)
}

// A number that is 0 and a string that is empty are left out, as proto3 has it.

func appendNumber(to []byte, field int, value uint64) []byte {
	if value == 0 {
		return to
	}
	to = binary.AppendUvarint(to, uint64(field)<<3|wireVarint)
	return binary.AppendUvarint(to, value)
}

func appendFixed8(to []byte, field int, value uint64) []byte {
	if value == 0 {
		return to
	}
	to = binary.AppendUvarint(to, uint64(field)<<3|wireFixed8)
	return binary.LittleEndian.AppendUint64(to, value)
}

func appendText(to []byte, field int, text string) []byte {
	if text == "" {
		return to
	}
	to = binary.AppendUvarint(to, uint64(field)<<3|wireBytes)
	to = binary.AppendUvarint(to, uint64(len(text)))
	return append(to, text...)
}

func appendMessage(to []byte, field int, message []byte) []byte {
	to = binary.AppendUvarint(to, uint64(field)<<3|wireBytes)
	to = binary.AppendUvarint(to, uint64(len(message)))
	return append(to, message...)
}

func appendPacked(to []byte, field int, values []uint32) []byte {
	if len(values) == 0 {
		return to
	}
	var packed []byte
	for _, value := range values {
		packed = binary.AppendUvarint(packed, uint64(value))
	}
	return appendMessage(to, field, packed)
}
