package wire

import (
	"encoding/binary"
	"unsafe"
)

// Views of memory as another type: the only place of the package that makes them. Every view lies within the bytes it
// is made of, and their address is a multiple of 8 wherever the elements are larger than a byte.

func init() {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		panic("modrun runs on little-endian machines only")
	}
}

// alignedBytes returns n bytes whose address is a multiple of 8.
func alignedBytes(n int) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}

// Aligned tells whether the bytes can be viewed as numbers.
func Aligned(bytes []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))&7 == 0
}

// CopyAligned copies bytes to where they can be viewed as numbers, using the room if it is large enough.
func CopyAligned(room, bytes []byte) []byte {
	if cap(room) < len(bytes) {
		room = alignedBytes(2 * len(bytes))
	}
	room = room[:len(bytes)]
	copy(room, bytes)
	return room
}

// view returns bytes as numbers of N bytes each.
func view[T int32 | int64 | float64 | uint64](bytes []byte) []T {
	var number T
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(bytes))), len(bytes)/int(unsafe.Sizeof(number)))
}

// memory returns numbers as the bytes they consist of.
func memory[T int32 | int64 | float64 | uint64](numbers []T) []byte {
	var number T
	if len(numbers) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), len(numbers)*int(unsafe.Sizeof(number)))
}

// Words returns int64 and float64 values as the words they consist of, and the other way round.
func Words[To, From int64 | float64 | uint64](values []From) []To {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*To)(unsafe.Pointer(unsafe.SliceData(values))), len(values))
}

// Lent returns bytes as a string without copying them. Whoever holds it must let go of it before the bytes change.
func Lent(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
