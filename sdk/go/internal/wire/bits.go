package wire

import (
	"encoding/binary"
	"math/bits"
)

// Bits, and checks of whole buffers that look at eight bytes at a time.

func appendBit(bitmap []byte, at int, bit uint8) []byte {
	if at&7 == 0 {
		return append(bitmap, bit)
	}
	bitmap[at>>3] |= bit << (at & 7)
	return bitmap
}

func appendOnes(bitmap []byte, at, count int) []byte {
	for ; count > 0 && at&7 != 0; count-- {
		bitmap[at>>3] |= 1 << (at & 7)
		at++
	}
	for ; count >= 8; count -= 8 {
		bitmap = append(bitmap, 0xFF)
	}
	if count > 0 {
		bitmap = append(bitmap, 1<<count-1)
	}
	return bitmap
}

// copyBits copies count bits that begin at a bit of another bitmap; the rest of the last byte becomes 0.
func copyBits(to, bitmap []byte, from, count int) {
	if count == 0 {
		return
	}
	shift := from & 7
	bitmap = bitmap[from>>3:]
	for at := range to {
		value := bitmap[at] >> shift
		if shift > 0 && at+1 < len(bitmap) {
			value |= bitmap[at+1] << (8 - shift)
		}
		to[at] = value
	}
	if rest := count & 7; rest != 0 {
		to[len(to)-1] &= 1<<rest - 1
	}
}

// ones counts the bits that are set among the first count.
func ones(bitmap []byte, count int) (set int) {
	for ; count >= 64; count -= 64 {
		set += bits.OnesCount64(binary.LittleEndian.Uint64(bitmap))
		bitmap = bitmap[8:]
	}
	for ; count >= 8; count -= 8 {
		set += bits.OnesCount8(bitmap[0])
		bitmap = bitmap[1:]
	}
	if count > 0 {
		set += bits.OnesCount8(bitmap[0] & (1<<count - 1))
	}
	return set
}

const (
	highBits = 0x8080808080808080
	lowBytes = 0x0101010101010101
)

// ascii tells whether all bytes are below 128.
func ascii(text []byte) bool {
	var all uint64
	for len(text) >= 32 {
		all |= binary.LittleEndian.Uint64(text) | binary.LittleEndian.Uint64(text[8:]) |
			binary.LittleEndian.Uint64(text[16:]) | binary.LittleEndian.Uint64(text[24:])
		text = text[32:]
	}
	for _, c := range text {
		all |= uint64(c)
	}
	return all&highBits == 0
}

// below tells whether all bytes are less than a bound of at most 128; it may be false where a bound is greater.
func below(values []byte, bound int) bool {
	if bound > 128 {
		return false
	}
	// A byte below 128 that is not less than the bound carries into its highest bit.
	carry := uint64(128-bound) * lowBytes
	var all uint64
	for len(values) >= 16 {
		a, b := binary.LittleEndian.Uint64(values), binary.LittleEndian.Uint64(values[8:])
		all |= a | b | (a&^highBits + carry) | (b&^highBits + carry)
		values = values[16:]
	}
	for _, value := range values {
		if int(value) >= bound {
			return false
		}
	}
	return all&highBits == 0
}

// rising tells whether no number is less than the one before; the first is 0.
func rising(numbers []int32) bool {
	var fell int32
	for at := 1; at < len(numbers); at++ {
		fell |= numbers[at] - numbers[at-1]
		fell |= numbers[at]
	}
	return fell >= 0
}
